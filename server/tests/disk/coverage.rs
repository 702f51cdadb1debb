//! Runs an operation with every fault at each of its disk operations, and with a power loss after each, and counts them.

use std::fmt::Debug;
use std::ops::Range;
use std::time::Instant;

use crate::disk::{DISK_ERRORS, Disk, DiskError, Fault, Remaining};
use crate::disk_fixture::{DiskFixture, world};
use crate::image::Image;

/// An operation on a store, and its promises.
pub(crate) trait Operation {
    /// Everything that the operation needs.
    type Prepared;

    /// True if the files are opened anew after a failure. After a failed sync, SQLite may hold in memory alone what it
    /// reads from a log, and no later sync reports that. So nothing can be promised of a power loss after that.
    const OPENS_ANEW: bool = false;

    /// Returns the files before the operation.
    fn before(&self) -> Image {
        world()
    }

    /// Prepares the operation, on a disk that does not fail.
    fn prepare(&self, fixture: &DiskFixture) -> Self::Prepared;

    /// Runs the operation. Returns true if it reported success.
    fn run(&self, fixture: &DiskFixture, prepared: &mut Self::Prepared) -> bool;

    /// Returns the operation's own disk operations in a run without a fault.
    fn span(&self, _: &Disk, run: Range<usize>) -> Range<usize> {
        run
    }

    /// Returns true if the disk operation `at`, in a run that began at `from`, belongs to this operation.
    fn is_inside(&self, _: &Disk, _from: usize, _at: usize) -> bool {
        true
    }

    /// Continues in the same process after the disk was repaired.
    fn go_on(&self, _: &DiskFixture, _: &mut Self::Prepared, _: &dyn Debug) {}

    /// Checks the promises for what is on the disk. `told` is the reported success; `None` if the power was lost before.
    fn hold(&self, fixture: &DiskFixture, told: Option<bool>, case: &dyn Debug);
}

/// Counts of the faults that one kind of operation met.
#[derive(Debug)]
pub(crate) struct Coverage {
    kind: &'static str,
    began: Instant,
    scenarios: usize,
    operations: usize,
    /// Faults that occurred, by kind: once, and lasting.
    faults: [[usize; 2]; 4],
    power_losses: usize,
}

/// The least number of faults and of power losses of each kind.
const TARGET: usize = 400;

/// Returns the target of this run.
fn target() -> usize {
    std::env::var("GATEPASS_DISK").ok().map_or(TARGET, |number| number.parse().unwrap())
}

impl Coverage {
    pub(crate) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            began: Instant::now(),
            scenarios: 0,
            operations: 0,
            faults: [[0; 2]; 4],
            power_losses: 0,
        }
    }

    fn total(&self) -> usize {
        self.power_losses + self.faults.iter().flatten().sum::<usize>()
    }

    /// Prints the counts.
    pub(crate) fn finish(self) {
        let [full, half, broken, broken_half] =
            self.faults.map(|[once, lasting]| format!("{once}+{lasting}"));
        println!(
            "{:<20} {:>2} scenarios {:>5} disk operations | full {full:>8} | half written {half:>8} | EIO {broken:>8} | \
             EIO halfway {broken_half:>8} | power cuts {:>5} | all {:>5} | {:.1} s",
            self.kind,
            self.scenarios,
            self.operations,
            self.power_losses,
            self.total(),
            self.began.elapsed().as_secs_f64()
        );
        assert!(self.total() >= target(), "{self:?}");
        assert!(self.power_losses > 0 && self.faults.iter().flatten().all(|count| *count > 0), "{self:?}");
    }

    /// Runs one of `scenarios` scenarios, which share the target.
    pub(crate) fn exercise(&mut self, operation: &impl Operation, scenarios: usize) {
        let target = target().div_ceil(scenarios);
        let before = operation.before();
        let fixture = DiskFixture::on(before.clone());
        let mut prepared = operation.prepare(&fixture);
        let from = fixture.disk.done();
        assert!(operation.run(&fixture, &mut prepared), "without a fault");
        let to = fixture.disk.done();
        let span = operation.span(&fixture.disk, from..to);
        if std::env::var_os("GATEPASS_DISK_LIST").is_some() {
            println!("{}: {:#?}", self.kind, fixture.disk.list(span.clone()));
        }
        self.scenarios += 1;
        self.operations += span.len();
        let reached = self.total();
        // A long operation fails in some of the ways at each point, in turn; with a higher target in all of them.
        let stride = (span.len() * DISK_ERRORS.len() * 2).div_ceil(target.max(10) * 7 / 10);
        for (which, trouble) in DISK_ERRORS.into_iter().enumerate() {
            for lasting in [false, true] {
                // The last operation may do more after a fault.
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
        // A long operation loses power at some of its points; with a higher target at each.
        let skip = if self::target() > TARGET { 1 } else { (points / (missing.max(target / 3) + 2)).max(1) };
        for cut in (from..=to).filter(|cut| cut % skip == 0 || *cut == to) {
            // A point with few variants leaves the others to the next one.
            for i in cut * variants..(cut + 1) * variants {
                let left = match i % variants.max(4) {
                    0 => Remaining::Nothing,
                    1 => Remaining::Everything,
                    _ => Remaining::Some(u64::try_from(i).unwrap()),
                };
                let after = DiskFixture::on(fixture.disk.after_power_loss(cut, left));
                let told = (cut == to).then_some(true);
                operation.hold(&after, told, &(self.kind, cut - from, left));
                self.power_losses += usize::from(span.start < cut && cut < span.end);
            }
        }
        drop(prepared);
    }
}

/// The end of a run with a fault.
enum Reached {
    /// The fault occurred.
    Struck,
    /// The fault does not apply to this operation, or occurred before it.
    Spared,
    /// The run has fewer operations.
    End,
}

fn with_fault<O: Operation>(
    operation: &O,
    before: &Image,
    at: usize,
    trouble: DiskError,
    lasting: bool,
) -> Reached {
    let fixture = DiskFixture::on(before.clone());
    let mut prepared = operation.prepare(&fixture);
    let from = fixture.disk.done();
    let fault = Fault { trouble, from: from + at, lasting };
    let case = (at, trouble, if lasting { "lasting" } else { "once" });
    fixture.disk.set(Some(fault));
    let told = operation.run(&fixture, &mut prepared);
    let done = fixture.disk.done();
    if done <= fault.from {
        return Reached::End;
    }
    if fixture.disk.struck() == 0 || !operation.is_inside(&fixture.disk, from, fault.from) {
        return Reached::Spared;
    }
    fixture.disk.set(None);
    // The process is killed, or goes on and ends.
    let killed = fixture.disk.image();
    operation.go_on(&fixture, &mut prepared, &case);
    drop(prepared);
    // Each is checked in one of two ways; with a higher target, in both.
    let (both, stops) = (target() > TARGET, (at + trouble as usize).is_multiple_of(2));
    if both || stops {
        let after = if lasting { fixture.disk.image() } else { killed };
        operation.hold(&DiskFixture::on(after), Some(told), &case);
    }
    if stops && !both {
        return Reached::Struck;
    }
    // The power is lost some time after the fault.
    let end = if O::OPENS_ANEW { done } else { fixture.disk.done() };
    let mut rng = gatepass_tests::rng::Rng::new(u64::try_from(at).unwrap() << 8 | trouble as u64);
    let cut = fault.from + 1 + usize::try_from(rng.below(u64::try_from(end - fault.from).unwrap())).unwrap();
    let left = if rng.one_in(4) { Remaining::Nothing } else { Remaining::Some(rng.next_u64()) };
    let told = (cut >= done && told).then_some(true);
    operation.hold(
        &DiskFixture::on(fixture.disk.after_power_loss(cut, left)),
        told,
        &(case, cut - fault.from, left),
    );
    Reached::Struck
}
