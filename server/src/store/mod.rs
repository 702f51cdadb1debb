//! The store: what an installation keeps, durably.

mod admin_session;
mod clock;
mod engine;
pub mod sqlite;

pub use admin_session::AdminSession;
pub use clock::Clock;
pub use engine::load_engine;

pub use sqlite::{
    Access, Archived, AuditCut, AuditRow, AuditVerdict, BackupReport, BrokenLink, ClockMark, Contents,
    Create, DATABASE, EndedAhead, Finding, Generation, Installation, KEEP_EXPIRED, KeyChange, KeyState, LOCK,
    Notice, Phase, RESERVE, Report, Restored, Rotated, STEP, Severity, SqliteErrorKind, Store, StoreError,
    StoreOptions, StoredKey, StoredKeys, Swept, WITNESS, Witness, accept, check, read_any_files, restore,
};
