//! Runs an operation with every fault at each of its disk operations and a power cut after each, and counts them.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Instant;

use crate::disk::{Disk, Fault, Left, TROUBLES, Trouble};
use crate::image::Image;
use crate::site::Site;

/// Something that is done with a store, and what it promises.
pub(crate) trait Operation {
    /// What it needs.
    type Prepared;

    /// Whether the files are opened anew after it failed. What SQLite then reads from a log may be in memory alone, after a
    /// sync that failed, and no later sync tells so. Nothing can be promised of a power cut after that.
    const OPENS_ANEW: bool = false;

    /// Returns the files before it.
    fn before(&self) -> Image;

    /// Prepares it, on a disk that does not fail.
    fn prepare(&self, site: &Site) -> Self::Prepared;

    /// Runs it. Returns whether it was told to be done.
    fn run(&self, site: &Site, prepared: &mut Self::Prepared) -> bool;

    /// Returns which disk operations are its own, of those of a run without a fault.
    fn span(&self, _: &Disk, run: Range<usize>) -> Range<usize> {
        run
    }

    /// Tells whether a fault at the operation `at` of a run that began at `from` struck inside of it.
    fn is_inside(&self, _: &Disk, _from: usize, _at: usize) -> bool {
        true
    }

    /// Goes on in the same process after the disk was mended.
    fn go_on(&self, _: &Site, _: &mut Self::Prepared, _: &dyn Debug) {}

    /// Holds what is on the disk to the promises. `told` is whether it was told to be done; none where the power went before.
    fn hold(&self, site: &Site, told: Option<bool>, case: &dyn Debug);
}

/// How much of one kind of operation was reached.
#[derive(Debug)]
pub(crate) struct Coverage {
    kind: &'static str,
    began: Instant,
    scenarios: usize,
    operations: usize,
    /// Faults that struck, by what they are: once, and lasting.
    faults: [[usize; 2]; 4],
    cuts: usize,
}

/// How many faults and power cuts of each kind there are to be at least.
const TARGET: usize = 1000;

/// Returns how many there are to be in this run.
fn target() -> usize {
    std::env::var("GATEPASS_DISK").ok().map_or(TARGET, |number| number.parse().unwrap())
}

impl Coverage {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self { kind, began: Instant::now(), scenarios: 0, operations: 0, faults: [[0; 2]; 4], cuts: 0 }
    }

    fn total(&self) -> usize {
        self.cuts + self.faults.iter().flatten().sum::<usize>()
    }

    /// Prints what was reached.
    pub(crate) fn finish(self) {
        let [full, half, broken, broken_half] =
            self.faults.map(|[once, lasting]| format!("{once}+{lasting}"));
        println!(
            "{:<20} {:>2} scenarios {:>5} disk operations | full {full:>8} | half written {half:>8} | EIO {broken:>8} | \
             EIO halfway {broken_half:>8} | power cuts {:>5} | all {:>5} | {:.1} s",
            self.kind,
            self.scenarios,
            self.operations,
            self.cuts,
            self.total(),
            self.began.elapsed().as_secs_f64()
        );
        assert!(self.total() >= target(), "{self:?}");
        assert!(self.cuts > 0 && self.faults.iter().flatten().all(|count| *count > 0), "{self:?}");
    }

    /// Runs one of so many scenarios, which share the faults that are to be reached.
    pub(crate) fn exercise(&mut self, operation: &impl Operation, scenarios: usize) {
        let target = target().div_ceil(scenarios);
        let before = operation.before();
        let site = Site::on(before.clone());
        let mut prepared = operation.prepare(&site);
        let from = site.disk.done();
        assert!(operation.run(&site, &mut prepared), "without a fault");
        let to = site.disk.done();
        let span = operation.span(&site.disk, from..to);
        if std::env::var_os("GATEPASS_DISK_LIST").is_some() {
            println!("{}: {:#?}", self.kind, site.disk.list(span.clone()));
        }
        self.scenarios += 1;
        self.operations += span.len();
        let reached = self.total();
        // Where there are very many, each operation fails in some of the ways, in turn; with a higher number in all of them.
        let stride = (span.len() * TROUBLES.len() * 2).div_ceil(target.max(10) * 7 / 10);
        for (which, trouble) in TROUBLES.into_iter().enumerate() {
            for lasting in [false, true] {
                // Where it comes last, there may be more to do after a fault.
                let end = if span.end == to { usize::MAX } else { span.end - from };
                let first = span.start - from + (which * 2 + usize::from(lasting)) % stride;
                for at in (first..end).step_by(stride) {
                    match with_fault(operation, &before, at, trouble, lasting) {
                        Reached::Struck => self.faults[which][usize::from(lasting)] += 1,
                        Reached::Spared => {}
                        Reached::End => break,
                    }
                }
            }
        }
        let points = span.len().saturating_sub(1).max(1);
        let missing = target.saturating_sub(self.total() - reached);
        let variants = missing.div_ceil(points).max(1);
        for cut in from..=to {
            // Where one point has few, the next one has the others.
            for i in cut * variants..(cut + 1) * variants {
                let left = match i % variants.max(4) {
                    0 => Left::Nothing,
                    1 => Left::Everything,
                    _ => Left::Some(u64::try_from(i).unwrap()),
                };
                let after = Site::on(site.disk.after_cut(cut, left));
                let told = (cut == to).then_some(true);
                operation.hold(&after, told, &(self.kind, cut - from, left));
                self.cuts += usize::from(span.start < cut && cut < span.end);
            }
        }
        drop(prepared);
    }
}

/// How far a run with a fault came.
enum Reached {
    /// The fault struck.
    Struck,
    /// The fault does not befall this operation, or struck before.
    Spared,
    /// There are fewer operations.
    End,
}

fn with_fault<O: Operation>(
    operation: &O,
    before: &Image,
    at: usize,
    trouble: Trouble,
    lasting: bool,
) -> Reached {
    let site = Site::on(before.clone());
    let mut prepared = operation.prepare(&site);
    let from = site.disk.done();
    let fault = Fault { trouble, from: from + at, lasting };
    let case = (at, trouble, if lasting { "lasting" } else { "once" });
    site.disk.set(Some(fault));
    let told = operation.run(&site, &mut prepared);
    let done = site.disk.done();
    if done <= fault.from {
        return Reached::End;
    }
    if site.disk.struck() == 0 || !operation.is_inside(&site.disk, from, fault.from) {
        return Reached::Spared;
    }
    site.disk.set(None);
    // The process is killed, or it goes on and ends.
    let killed = site.disk.image();
    operation.go_on(&site, &mut prepared, &case);
    drop(prepared);
    // Each is held in one of two ways; where there is more time, in both.
    let (both, stops) = (target() > TARGET, (at + trouble as usize).is_multiple_of(2));
    if both || stops {
        let after = if lasting { site.disk.image() } else { killed };
        operation.hold(&Site::on(after), Some(told), &case);
    }
    if stops && !both {
        return Reached::Struck;
    }
    // The power goes at some time after the fault.
    let end = if O::OPENS_ANEW { done } else { site.disk.done() };
    let mut dice = gatepass_tests::dice::Dice::new(u64::try_from(at).unwrap() << 8 | trouble as u64);
    let cut = fault.from + 1 + usize::try_from(dice.below(u64::try_from(end - fault.from).unwrap())).unwrap();
    let left = if dice.once_in(4) { Left::Nothing } else { Left::Some(dice.roll()) };
    let told = (cut >= done && told).then_some(true);
    operation.hold(&Site::on(site.disk.after_cut(cut, left)), told, &(case, cut - fault.from, left));
    Reached::Struck
}
