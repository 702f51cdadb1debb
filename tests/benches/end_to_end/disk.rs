//! The server's disk syncs, counted and slowed down below SQLite: a preloaded library stands between it and the system's
//! `fsync` and `fdatasync`.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

/// Counts the syncs of the processes it is attached to.
pub(crate) struct Syncs {
    dir: TempDir,
}

impl Syncs {
    /// Compiles the library, with the C compiler that SQLite took too.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join("count"), [0; 8]).expect("a file");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/end_to_end/sync.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let built = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O2", source, "-ldl", "-o"])
            .arg(dir.path().join("sync.so"))
            .status();
        assert!(built.is_ok_and(|status| status.success()), "a C compiler builds {source}");
        Self { dir }
    }

    /// Makes the process that `command` starts count its syncs, each of which takes `delay` longer.
    pub(crate) fn attach(&self, command: &mut Command, delay: Duration) {
        command
            .env("LD_PRELOAD", self.dir.path().join("sync.so"))
            .env("SYNC_COUNT", self.file())
            .env("SYNC_DELAY_US", delay.as_micros().to_string());
    }

    /// Returns the number of syncs so far.
    pub(crate) fn count(&self) -> u64 {
        let bytes = std::fs::read(self.file()).expect("the count");
        u64::from_ne_bytes(bytes.try_into().expect("eight bytes"))
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("count")
    }
}
