//! Old state: every earlier copy of the files put back under every later one. Nothing spent comes back, nothing is a mixture,
//! and where nothing was put back there is no alarm.

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
use gatepass_tests::dice::{Dice, number};

use crate::fixture::*;

/// A box: the data directory on one disk, the witness on another.
struct Machine {
    data: tempfile::TempDir,
    other_disk: tempfile::TempDir,
}

/// What the disks held at one moment, and what had been told by then.
struct RequestInputs {
    database: Vec<u8>,
    log: Option<Vec<u8>>,
    witness: Vec<u8>,
    /// Tickets that were told to be spent.
    spent: BTreeSet<u64>,
    /// Whether processes were running, so that it is what a crash leaves.
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

/// No generation is made but those that the test asks for.
fn options() -> StoreOptions {
    StoreOptions { readers: 1, witness_interval: Duration::from_secs(3600), ..StoreOptions::default() }
}

impl Machine {
    fn new() -> Self {
        let machine = Self { data: tempfile::tempdir().unwrap(), other_disk: tempfile::tempdir().unwrap() };
        let store =
            Store::open_or_create(&machine.installation(), Access::Write, Create::InEmpty, &options())
                .unwrap();
        let tables = gatepass_tests::world::tables();
        let users = tables.users.into_values().map(Change::InsertUser);
        let clients = tables.clients.into_values().map(Change::InsertClient);
        assert_eq!(commit(&store, users.chain(clients)), Outcome::Applied);
        machine
    }

    /// Another box with the same master key, in the state of `moment` but for its files.
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

    fn inputs(&self, spent: &BTreeSet<u64>, crashed: bool) -> RequestInputs {
        let installation = self.installation();
        RequestInputs {
            database: read(&installation.database()).unwrap(),
            log: read(&installation.log()).filter(|log| !log.is_empty()),
            witness: read(&installation.witness()).unwrap(),
            spent: spent.clone(),
            crashed,
        }
    }
}

/// A life of the box: tickets are issued and redeemed, processes come, go and crash.
fn live(machine: &mut Machine, dice: &mut Dice, steps: u64) -> Vec<RequestInputs> {
    let (mut moments, mut spent) = (Vec::new(), BTreeSet::new());
    let (mut live, mut next) = (Vec::new(), 0);
    for _ in 0..steps {
        let access = if dice.once_in(2) { Access::Serve } else { Access::Write };
        let store = Store::open(&machine.installation(), access, &options()).unwrap();
        assert_eq!(store.notices(), [], "nothing was put back");
        for _ in 0..1 + dice.below(3) {
            assert_eq!(commit(&store, [Change::InsertTicket(ticket(next))]), Outcome::Applied);
            live.push(next);
            next += 1;
        }
        for _ in 0..1 + dice.below(2) {
            if let Some(number) = live.pop() {
                assert_eq!(commit(&store, redemption(number, number)), Outcome::Applied);
                spent.insert(number);
            }
        }
        if dice.once_in(3) {
            // The power goes: what was told is on the disk, and the next process finds the log.
            let inputs = machine.inputs(&spent, true);
            drop(store);
            *machine = machine.with(&inputs.database, inputs.log.as_deref(), &inputs.witness);
            moments.push(inputs);
        } else {
            store.close().unwrap();
            moments.push(machine.inputs(&spent, false));
        }
    }
    moments
}

#[derive(Debug, Default)]
struct Seen {
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

/// Starts on these files, and holds the start to what was told by the `later` moment.
fn start(machine: &Machine, later: &RequestInputs, case: &str, seen: &mut Seen) {
    let store = match Store::open(&machine.installation(), Access::Serve, &options()) {
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

/// The number of the newest generation that a start would find.
fn witnessed(inputs: &RequestInputs) -> &[u8] {
    inputs.witness.split(|byte| *byte == b'\n').nth(2).unwrap()
}

#[test]
fn nothing_spent_comes_back_with_old_files() {
    let seed = number("GATEPASS_SEED", 1);
    let (lives, steps) = (number("GATEPASS_STATES", 2), 12);
    let (mut dice, mut seen) = (Dice::new(seed), Seen::default());
    for _ in 0..lives {
        let mut machine = Machine::new();
        let moments = live(&mut machine, &mut dice, steps);
        for (j, later) in moments.iter().enumerate() {
            // What a crash or a stop leaves, and nothing else.
            let undisturbed = machine.with(&later.database, later.log.as_deref(), &later.witness);
            let before = seen.superseded;
            start(&undisturbed, later, &format!("{j} undisturbed"), &mut seen);
            seen.false_alarms += seen.superseded - before;
            seen.undisturbed += 1;
            for (i, earlier) in moments[..j].iter().enumerate() {
                // A copy and a crash within one generation are not told apart.
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
                        // What was in the log is gone with it, and no generation may have followed it.
                        seen.not_covered += 1;
                        continue;
                    }
                    let box_ = machine.with(database, log.as_deref(), &new.witness);
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
