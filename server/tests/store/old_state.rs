//! Old state: every earlier copy of the files is put back under every later one. No redeemed ticket becomes good again,
//! no state is a mixture, and there is no alarm if nothing was put back.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepass::store::{Access, Create, Installation, Notice, Store, StoreError, StoreOptions};
use gatepass_core::records::ticket::TicketState;
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records};
use gatepass_tests::rng::{Rng, number};

use crate::fixture::*;

/// A machine with the data directory on one disk and the witness on another.
struct TwoDisks {
    data: tempfile::TempDir,
    other_disk: tempfile::TempDir,
}

/// The content of both disks at one moment, and the outcomes reported by then.
struct DiskState {
    database: Vec<u8>,
    log: Option<Vec<u8>>,
    witness: Vec<u8>,
    /// Tickets reported as redeemed.
    spent: BTreeSet<u64>,
    /// True if processes were running, so that this is the state after a crash.
    crashed: bool,
}

fn read(path: &Path) -> Option<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => Some(bytes),
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        Err(e) => panic!("{e}"),
    }
}

fn write(path: &Path, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => drop(fs::remove_file(path)),
    }
}

/// Returns options with which only the test makes generations.
fn options() -> StoreOptions {
    StoreOptions { readers: 1, witness_interval: Duration::from_secs(3600), ..StoreOptions::default() }
}

impl TwoDisks {
    fn new() -> Self {
        let disks = Self { data: tempfile::tempdir().unwrap(), other_disk: tempfile::tempdir().unwrap() };
        let store =
            Store::open_or_create(&disks.installation(), Access::Write, Create::InEmpty, &options()).unwrap();
        let tables = gatepass_tests::fixtures::tables();
        let users = tables.users.into_values().map(Change::InsertUser);
        let clients = tables.clients.into_values().map(Change::InsertClient);
        assert_eq!(commit(&store, users.chain(clients)), Outcome::Applied);
        disks
    }

    /// Makes a machine with the same master key and these files.
    fn with(&self, database: &[u8], log: Option<&[u8]>, witness: &[u8]) -> Self {
        let other = Self { data: tempfile::tempdir().unwrap(), other_disk: tempfile::tempdir().unwrap() };
        let (from, to) = (self.installation(), other.installation());
        fs::copy(from.master_key(), to.master_key()).unwrap();
        write(&to.database(), Some(database));
        write(&to.log(), log);
        write(&to.witness(), Some(witness));
        other
    }

    fn witness(&self) -> PathBuf {
        self.other_disk.path().join("gatepass.witness")
    }

    fn installation(&self) -> Installation {
        Installation { witness_file: Some(self.witness()), ..Installation::at(self.data.path()) }
    }

    fn state(&self, spent: &BTreeSet<u64>, crashed: bool) -> DiskState {
        let installation = self.installation();
        DiskState {
            database: read(&installation.database()).unwrap(),
            log: read(&installation.log()).filter(|log| !log.is_empty()),
            witness: read(&installation.witness()).unwrap(),
            spent: spent.clone(),
            crashed,
        }
    }
}

/// Runs the machine: tickets are issued and redeemed, and processes start, stop and crash.
fn live(disks: &mut TwoDisks, rng: &mut Rng, steps: u64) -> Vec<DiskState> {
    let (mut states, mut spent) = (Vec::new(), BTreeSet::new());
    let (mut live, mut next) = (Vec::new(), 0);
    for _ in 0..steps {
        let access = if rng.one_in(2) { Access::Serve } else { Access::Write };
        let store = Store::open(&disks.installation(), access, &options()).unwrap();
        assert_eq!(store.notices(), [], "nothing was put back");
        for _ in 0..1 + rng.below(3) {
            assert_eq!(commit(&store, [Change::InsertTicket(ticket(next))]), Outcome::Applied);
            live.push(next);
            next += 1;
        }
        for _ in 0..1 + rng.below(2) {
            if let Some(number) = live.pop() {
                assert_eq!(commit(&store, redemption(number, number)), Outcome::Applied);
                spent.insert(number);
            }
        }
        if rng.one_in(3) {
            // The power is lost: everything reported is on the disk, and the next process finds the log.
            let state = disks.state(&spent, true);
            drop(store);
            *disks = disks.with(&state.database, state.log.as_deref(), &state.witness);
            states.push(state);
        } else {
            store.close().unwrap();
            states.push(disks.state(&spent, false));
        }
    }
    states
}

#[derive(Debug, Default)]
struct Counts {
    put_back: u64,
    refused: u64,
    superseded: u64,
    complete: u64,
    not_covered: u64,
    undisturbed: u64,
    double_spends: u64,
    false_alarms: u64,
    mixtures: u64,
}

/// Starts on these files, and checks the start against what was reported at the `later` moment.
fn start(disks: &TwoDisks, later: &DiskState, case: &str, seen: &mut Counts) {
    let store = match Store::open(&disks.installation(), Access::Serve, &options()) {
        Ok(store) => store,
        Err(StoreError::LogForeign { .. }) => {
            seen.refused += 1;
            return;
        }
        Err(error) => panic!("{case}: {error}"),
    };
    let report = store.check().unwrap();
    if !report.is_sound() {
        println!("{case}: {report:?}");
        seen.mixtures += 1;
    }
    let superseded = store.notices().iter().any(|notice| matches!(notice, Notice::StateSuperseded { .. }));
    for number in &later.spent {
        let found = store.read(&Query::Ticket(ticket(*number).digest));
        let Records::Ticket(records) = found.records else { panic!("{case}") };
        let Some(records) = records else { continue };
        if records.ticket.state == TicketState::Live && records.ticket.state_epoch == found.state_epoch {
            println!("{case}: ticket {number} is good again");
            seen.double_spends += 1;
        }
    }
    if superseded {
        seen.superseded += 1;
    } else {
        seen.complete += 1;
    }
}

/// Returns the newest generation that a start would find.
fn witnessed(state: &DiskState) -> &[u8] {
    state.witness.split(|byte| *byte == b'\n').nth(2).unwrap()
}

#[test]
fn nothing_spent_comes_back_with_old_files() {
    let seed = number("GATEPASS_SEED", 1);
    let (lives, steps) = (number("GATEPASS_STATES", 2), 12);
    let (mut rng, mut seen) = (Rng::new(seed), Counts::default());
    for _ in 0..lives {
        let mut disks = TwoDisks::new();
        let states = live(&mut disks, &mut rng, steps);
        for (j, later) in states.iter().enumerate() {
            // The state after a crash or a stop, and nothing else.
            let undisturbed = disks.with(&later.database, later.log.as_deref(), &later.witness);
            let before = seen.superseded;
            start(&undisturbed, later, &format!("{j} undisturbed"), &mut seen);
            seen.false_alarms += seen.superseded - before;
            seen.undisturbed += 1;
            for (i, earlier) in states[..j].iter().enumerate() {
                // A copy and a crash within one generation look the same.
                if witnessed(earlier) == witnessed(later) {
                    seen.not_covered += 1;
                    continue;
                }
                let (old, new) = (earlier, later);
                let pairs = [
                    ("database and log", &old.database, &old.log),
                    ("database", &old.database, &new.log),
                    ("log", &new.database, &old.log),
                    ("database without its log", &old.database, &None),
                ];
                for (name, database, log) in pairs {
                    let is_half_a_crash = name == "database without its log" && old.crashed;
                    let is_one_generation = name == "log" && old.log.is_none() && new.crashed;
                    if is_half_a_crash || is_one_generation {
                        // The content of the log is lost with it, and no generation may have followed it.
                        seen.not_covered += 1;
                        continue;
                    }
                    let box_ = disks.with(database, log.as_deref(), &new.witness);
                    seen.put_back += 1;
                    start(&box_, later, &format!("{name} of {i} under {j}"), &mut seen);
                }
            }
        }
    }
    println!("{seen:?}");
    assert_eq!((seen.double_spends, seen.false_alarms, seen.mixtures), (0, 0, 0), "{seen:?}");
    assert!(seen.put_back > 300 && seen.refused > 20 && seen.superseded > 100, "{seen:?}");
}
