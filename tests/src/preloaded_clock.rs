//! The clocks of a process, set by the test: a preloaded library stands between it and the system's.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// The difference between the clocks of the attached processes and the machine's.
#[derive(Debug)]
pub struct PreloadedClock {
    file: File,
    path: PathBuf,
    _dir: TempDir,
}

/// Returns the library, compiled once with the C compiler that SQLite took too.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = LIBRARY.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/clock.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let built = Command::new(compiler)
            .args(["-shared", "-fPIC", "-O2", source, "-ldl", "-o"])
            .arg(&path)
            .status();
        assert!(built.is_ok_and(|status| status.success()), "a C compiler builds {source}");
        (dir, path)
    });
    path
}

impl PreloadedClock {
    /// Makes clocks whose wall clock is off by `wall` seconds, and on which `passed` seconds more than on the machine's have passed.
    pub fn new(wall: i64, passed: i64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("clock");
        let clock = Self { file: File::create(&path).expect("a file"), path, _dir: dir };
        clock.set(wall, passed);
        clock
    }

    /// Sets them, also while processes run.
    pub fn set(&self, wall: i64, passed: i64) {
        for (place, number) in [(0, wall), (8, passed)] {
            self.file.write_all_at(&number.to_ne_bytes(), place).expect("it is written");
        }
    }

    /// Makes the process that `command` starts read these clocks.
    pub fn attach(&self, command: &mut Command) {
        command.env("LD_PRELOAD", library()).env("CLOCK_FILE", &self.path);
    }
}
