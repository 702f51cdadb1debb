//! Every metric, once: its name, its type, its unit and its meaning.

/// The type of a metric (OpenMetrics §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number that only rises.
    Counter,
    /// A number that rises and falls.
    Gauge,
    /// A distribution.
    Histogram,
    /// Labels about the server itself.
    Info,
}

macro_rules! families {
    ($($name:ident: $type:ident $text:literal $(in $unit:literal)? = $help:literal;)+) => {
        /// A metric with all of its labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Family { $(#[doc = $help] $name,)+ }

        impl Family {
            /// Every one of them, in the order of the text.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns its name without its unit and the endings of its type.
            pub const fn base(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// Returns its type.
            pub const fn kind(self) -> Type {
                match self { $(Self::$name => Type::$type,)+ }
            }

            /// Returns its unit, if it has one.
            pub const fn unit(self) -> Option<&'static str> {
                match self { $(Self::$name => families!(@unit $($unit)?),)+ }
            }

            /// Returns its meaning, without a full stop.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$name => $help,)+ }
            }
        }
    };
    (@unit) => { None };
    (@unit $unit:literal) => { Some($unit) };
}

impl Family {
    /// Returns its name as a query names it. Those of a histogram go on with `_bucket`, `_sum` or `_count`.
    pub fn name(self) -> String {
        let unit = self.unit().map(|unit| format!("_{unit}")).unwrap_or_default();
        let end = match self.kind() {
            Type::Counter => "_total",
            Type::Info => "_info",
            Type::Gauge | Type::Histogram => "",
        };
        format!("{}{unit}{end}", self.base())
    }
}

families! {
    Build: Info "gatepass_build" = "The version of the server and its cryptography";
    Uptime: Gauge "gatepass_uptime" in "seconds" = "Time since the start";
    ResidentMemory: Gauge "process_resident_memory" in "bytes" = "Memory of the process that is in use";
    CpuTime: Counter "process_cpu" in "seconds" = "Time of processors that the process has used";

    Requests: Counter "gatepass_requests" = "Answers, by route and status; the route is empty if no route was found";
    RequestTime: Histogram "gatepass_request_duration" in "seconds" = "Time from a whole request to its answer, by route";
    Refusals: Counter "gatepass_refusals" = "Refused requests, by route and by the word of the audit log";
    SignIns: Counter "gatepass_sign_ins" = "Requests that sign in, by what the audit log says of them: the kind of event and the refusal";
    AuditEvents: Counter "gatepass_audit_events" = "Audit rows that requests wrote, by kind";
    GuessesLimited: Counter "gatepass_guesses_limited" = "Requests that got 429, because their address had failed too often";

    Connections: Gauge "gatepass_connections" = "Open connections";
    ConnectionLimit: Gauge "gatepass_connections_limit" = "Most connections at once";
    ConnectionsClosed: Counter "gatepass_connections_closed_for_others" = "Connections closed to make room for others";
    ConnectionsRefused: Counter "gatepass_connections_refused" = "Connections closed at once, because their address had too many";
    InFlight: Gauge "gatepass_requests_in_flight" = "Requests that are not answered yet";
    RequestsWaiting: Gauge "gatepass_requests_waiting" = "Requests that wait for a worker";
    RequestsParked: Gauge "gatepass_requests_parked" = "Requests that wait for the disk or for a password hash";
    HashesWaiting: Gauge "gatepass_password_hashes_waiting" = "Passwords that wait to be hashed";
    HashesRunning: Gauge "gatepass_password_hashes_running" = "Passwords that are being hashed";
    Hashes: Counter "gatepass_password_hashes" = "Passwords hashed or being hashed";
    HashesRefused: Counter "gatepass_password_hashes_refused" = "Passwords that found no place in the queue, and got 503";

    Commits: Counter "gatepass_commits" = "Commits of requests, by outcome";
    CommitsWaiting: Gauge "gatepass_commits_waiting" = "Commits that wait for the thread that writes";
    BatchSize: Histogram "gatepass_batch_commits" = "Commits in one transaction";
    WriteTime: Histogram "gatepass_batch_write" in "seconds" = "Time to write a transaction";
    SyncTime: Histogram "gatepass_batch_sync" in "seconds" = "Time until a written transaction was durable";
    LostAnswers: Counter "gatepass_lost_answers" = "Transactions whose answer from PostgreSQL was lost, by what was found out about them";
    LogSize: Gauge "gatepass_log" in "bytes" = "Size of the write-ahead log";
    DatabaseSize: Gauge "gatepass_database" in "bytes" = "Size of the database file";
    DiskFull: Gauge "gatepass_disk_full" = "1 while the disk is full, and only what ends or counts something is written";
    Rows: Gauge "gatepass_rows" = "Rows of each table, as last counted";
    RollbackCovered: Gauge "gatepass_rollback_covered" = "1 while the witness works, so that older files that are put back are noticed";
    BackupAge: Gauge "gatepass_backup_age" in "seconds" = "Time since the last successful backup; absent if there was none";

    KeyAge: Gauge "gatepass_key_age" in "seconds" = "Time since a signing key was added, by key and state";
    ClockBehind: Gauge "gatepass_clock_behind" in "seconds" = "How far the wall clock is behind, and does not count";
    ClockAhead: Gauge "gatepass_clock_ahead" in "seconds" = "How far the wall clock has jumped ahead of the mark";
    ClockMark: Gauge "gatepass_clock_mark_timestamp" in "seconds" = "The latest time that is trusted, since 1970";
}
