//! The resources that a process has used, from the system's accounts.

use std::fmt;
use std::fs::read_to_string;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the processor time of process `id`, including the system's on its behalf, in scheduler ticks of 10 ms.
pub(crate) fn cpu_of(id: u32) -> Duration {
    let stat = read_to_string(format!("/proc/{id}/stat")).expect("the process runs");
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the processor time of this process, to the nanosecond.
pub(crate) fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default())
}

/// Returns the resident memory of process `id` in MiB.
pub(crate) fn resident(id: u32) -> f64 {
    let status = read_to_string(format!("/proc/{id}/status")).expect("the process runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
}

/// Returns the number of processors and their model.
pub(crate) fn machine() -> String {
    let cpuinfo = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(':').nth(1));
    let kernel = read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} × {}, Linux {}", cores(), model.unwrap_or("unknown").trim(), kernel.trim())
}

/// Returns the number of processors.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// The median, the least and the greatest of some figures.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (figures[0], figures[figures.len() - 1]);
        Self { least, median: figures[figures.len() / 2], greatest }
    }
}

impl fmt::Display for Spread {
    /// `median (least–greatest)`, whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0} ({:.0}–{:.0})", self.median, self.least, self.greatest)
    }
}
