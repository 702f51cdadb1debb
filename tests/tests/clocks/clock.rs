//! The clocks of a process, set by the test: right ones, wrong ones, and time that passes.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass::clock::RELEASED;
use gatepass_tests::preloaded_clock::PreloadedClock;
use gatepass_tests::records::execute;

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 3600;
pub(crate) const DAY: i64 = 24 * HOUR;
pub(crate) const FORTY_YEARS: i64 = 40 * 365 * DAY;

/// The error of a wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WrongClock {
    /// The clock has no battery and starts at the epoch.
    Epoch,
    /// The clock is off by so many seconds.
    By(i64),
}

/// The wrong clocks of a start.
pub(crate) const WRONG_CLOCKS: [WrongClock; 4] =
    [WrongClock::Epoch, WrongClock::By(-8 * HOUR), WrongClock::By(8 * HOUR), WrongClock::By(FORTY_YEARS)];

impl WrongClock {
    /// Returns true if own time follows it at once.
    pub(crate) const fn is_ahead(self) -> bool {
        matches!(self, Self::By(seconds) if seconds > 0)
    }
}

/// Both clocks of the attached processes.
#[derive(Debug)]
pub(crate) struct Clocks {
    clock: PreloadedClock,
    /// The difference between the right time and the machine's.
    right: i64,
    wrong: i64,
    passed: i64,
    /// The database whose clock shows the same.
    database: Option<String>,
}

fn machine() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    i64::try_from(since.as_secs()).expect("a time")
}

impl Clocks {
    /// Makes right clocks: 90 days after the release, whatever the machine's clock shows.
    pub(crate) fn right() -> Self {
        let released = i64::try_from(RELEASED.unix()).expect("a time");
        Self::with(released + 90 * DAY - machine(), 0)
    }

    /// Makes right clocks of the same time for other processes.
    pub(crate) fn copied(&self) -> Self {
        Self::with(self.right, self.passed)
    }

    fn with(right: i64, passed: i64) -> Self {
        let clock = PreloadedClock::new(right, passed);
        Self { clock, right, wrong: 0, passed, database: None }
    }

    fn write(&self) {
        self.clock.set(self.right + self.wrong, self.passed);
        let ahead = self.right + self.wrong + self.passed;
        self.database.iter().for_each(|database| {
            execute(database, &format!("UPDATE shifted.clock SET ahead = {ahead}"));
        });
    }

    /// Lets the clock of a database show the same to every connection from now on, as if its server ran on the same machine.
    pub(crate) fn shift(&mut self, database: Option<&str>) {
        let Some(database) = database else { return };
        let (_, name) = database.rsplit_once('/').expect("a name");
        execute(
            database,
            &format!(
                "CREATE SCHEMA IF NOT EXISTS shifted; DROP TABLE IF EXISTS shifted.clock; \
                 CREATE TABLE shifted.clock AS SELECT 0::bigint AS ahead; \
                 CREATE OR REPLACE FUNCTION shifted.clock_timestamp() RETURNS timestamptz VOLATILE LANGUAGE sql AS \
                 $$SELECT pg_catalog.clock_timestamp() + (SELECT ahead FROM shifted.clock) * interval '1 second'$$; \
                 ALTER DATABASE {name} SET search_path = shifted, pg_catalog, public"
            ),
        );
        self.database = Some(database.to_owned());
        self.write();
    }

    /// Makes the process that `command` starts read these clocks.
    pub(crate) fn attach(&self, command: &mut Command) {
        self.clock.attach(command);
    }

    /// Returns the right time.
    pub(crate) fn now(&self) -> i64 {
        machine() + self.right + self.passed
    }

    /// Returns the time of the wall clock.
    pub(crate) fn wall(&self) -> i64 {
        self.now() + self.wrong
    }

    /// Sets the wall clock.
    pub(crate) fn set(&mut self, wrong: WrongClock) {
        self.wrong = match wrong {
            WrongClock::Epoch => MINUTE - self.now(),
            WrongClock::By(seconds) => seconds,
        };
        self.write();
    }

    /// Lets time pass on every clock.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.passed += seconds;
        self.write();
    }
}
