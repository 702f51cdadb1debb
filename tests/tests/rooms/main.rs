//! The rooms of both crates use those below them, and no others. The order is the one that ARCHITECTURE.md draws.
//!
//! The paths of the code are read: `use` lines with their lists, and paths that stand in expressions and types. `crate`,
//! `self` and `super` are resolved by the file's module. A name that the root of a crate hands on counts as its own room's.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

mod reader;

use reader::{Used, paths_of};

/// A crate, and what each of its rooms may use.
struct Order {
    /// Its name, by which its own `main.rs` knows it.
    name: &'static str,
    /// The folder of its code.
    source: &'static str,
    /// Each room with the rooms below it.
    rooms: &'static [(&'static str, &'static [&'static str])],
}

/// `api, admin → engine → policy → {store, settings} → records → jose → crypto → base`, and `api → http → base`: a room may
/// use any below it. `api` may drive the operations of `admin`. Nothing but `api` uses `http`.
const CORE: Order = Order {
    name: "gatepass_core",
    source: "core/src",
    rooms: &[
        ("base", &[]),
        ("crypto", &["base"]),
        ("jose", &["crypto", "base"]),
        ("records", &["jose", "crypto", "base"]),
        ("settings", &["records", "jose", "crypto", "base"]),
        ("store", &["records", "jose", "crypto", "base"]),
        ("policy", &["store", "settings", "records", "jose", "crypto", "base"]),
        ("engine", &["policy", "store", "settings", "records", "jose", "crypto", "base"]),
        ("admin", &["engine", "policy", "store", "settings", "records", "jose", "crypto", "base"]),
        ("http", &["base"]),
        (
            "api",
            &["admin", "engine", "policy", "store", "settings", "records", "jose", "crypto", "base", "http"],
        ),
    ],
};

/// `main → {cli, runtime}`. Neither of the two uses the other. `error`, `output`, `clock`, `authority`, `database_address`, `terminal`, `threads` and `measures` lie below everything.
const SERVER: Order = Order {
    name: "gatepass",
    source: "server/src",
    rooms: &[
        ("error", &[]),
        ("output", &["error"]),
        ("clock", &[]),
        ("authority", &[]),
        ("database_address", &[]),
        ("threads", &[]),
        ("terminal", &[]),
        ("measures", &[]),
        ("config", &["error", "threads", "authority", "database_address"]),
        ("secrets", &["error", "clock"]),
        ("store", &["secrets", "error", "clock", "threads", "measures", "database_address"]),
        ("net", &[]),
        ("telemetry", &["net", "terminal", "measures"]),
        ("http", &["net", "threads", "authority", "measures"]),
        (
            "cli",
            &[
                "store",
                "secrets",
                "config",
                "telemetry",
                "error",
                "database_address",
                "output",
                "clock",
                "terminal",
            ],
        ),
        (
            "runtime",
            &[
                "http",
                "net",
                "telemetry",
                "store",
                "secrets",
                "config",
                "error",
                "output",
                "clock",
                "threads",
            ],
        ),
        ("main", &["cli", "runtime", "error"]),
    ],
};

#[test]
fn the_rooms_of_the_core_use_those_below_them() {
    assert_eq!(offences(&CORE), "");
}

#[test]
fn the_rooms_of_the_server_use_those_below_them() {
    assert_eq!(offences(&SERVER), "");
}

/// Returns one line for each path that goes where it may not: file, line and arrow.
fn offences(order: &Order) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").join(order.source);
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(files.len() > 20, "{} has files", order.source);
    let sources: Vec<(String, String)> = files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).expect("below the root").display().to_string();
            (name, fs::read_to_string(&path).expect("a source file"))
        })
        .collect();
    judge(order, &sources)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Judges files, each by its name below the source folder.
fn judge(order: &Order, sources: &[(String, String)]) -> String {
    let mut told = String::new();
    let known: BTreeMap<&str, &[&str]> = order.rooms.iter().copied().collect();
    let mut handed_on = BTreeMap::new();
    for (file, text) in sources {
        if file == "lib.rs" {
            handed_on = names_of_the_root(text);
        }
    }
    for (file, text) in sources {
        let module = module_of(file);
        let room = if file == "main.rs" { "main" } else { module.first().map_or("lib", String::as_str) };
        if room == "lib" {
            // The front page hands names on and holds nothing.
            continue;
        }
        let Some(below) = known.get(room) else {
            let _ = writeln!(told, "{file}: the room {room} has no place in the order");
            continue;
        };
        let mut arrows = BTreeSet::new();
        for Used { line, path, in_test } in
            paths_of(text, &module, if room == "main" { order.name } else { "crate" })
        {
            let Some(first) = path.first() else { continue };
            let target = match handed_on.get(first) {
                Some(room) if !known.contains_key(first.as_str()) => room.as_str(),
                _ => first.as_str(),
            };
            if target == room || below.contains(&target) || !known.contains_key(target) {
                continue;
            }
            arrows.insert((line, target.to_owned(), in_test));
        }
        for (line, target, in_test) in arrows {
            let whose = if in_test { " (in its tests)" } else { "" };
            let _ = writeln!(told, "{}/{file}:{line}: {room} → {target}{whose}", order.source);
        }
    }
    told
}

/// Returns the module of a file, from the root of its crate: `records/mod.rs` and `records.rs` are `records`.
fn module_of(file: &str) -> Vec<String> {
    let mut parts: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        parts.pop();
    }
    parts
}

/// Returns the names that the front page hands on, each with its room.
fn names_of_the_root(text: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for Used { path, .. } in paths_of(text, &[], "crate") {
        if let [room, .., name] = path.as_slice()
            && room != name
        {
            names.insert(name.clone(), room.clone());
        }
    }
    names
}

/// Judges one made-up file of the server.
fn told(file: &str, text: &str) -> String {
    judge(
        &SERVER,
        &[
            ("lib.rs".into(), "pub use store::Kept;\npub use crate::store::Kept;".into()),
            (file.into(), text.into()),
        ],
    )
}

#[test]
fn an_arrow_that_runs_back_is_told_with_its_file_and_line() {
    for (file, text, expected) in [
        // A plain line, a list, a list in a list, a line broken in two.
        ("store/mod.rs", "\nuse crate::cli::Context;\n", "server/src/store/mod.rs:2: store → cli\n"),
        (
            "net/a.rs",
            "use crate::{error::E, config::{A, B as C}};",
            "server/src/net/a.rs:1: net → config\nserver/src/net/a.rs:1: net → error\n",
        ),
        (
            "http/mod.rs",
            "pub(crate) use crate::\n    runtime::Service;",
            "server/src/http/mod.rs:1: http → runtime\n",
        ),
        // `super`, as often as it takes, also from inside a module of the file.
        (
            "store/sqlite/read.rs",
            "use super::super::super::config::Config;",
            "server/src/store/sqlite/read.rs:1: store → config\n",
        ),
        ("store/mod.rs", "use super::http::Limits;", "server/src/store/mod.rs:1: store → http\n"),
        (
            "net/mod.rs",
            "mod inner {\n    use super::super::http::Limits;\n}",
            "server/src/net/mod.rs:2: net → http\n",
        ),
        ("clock.rs", "use super::store::Clock;", "server/src/clock.rs:1: clock → store\n"),
        // In a type and in an expression.
        (
            "secrets/a.rs",
            "fn f(x: &crate::store::Store) -> bool { crate::config::KEYS.is_empty() }",
            "server/src/secrets/a.rs:1: secrets → config\nserver/src/secrets/a.rs:1: secrets → store\n",
        ),
        // By a name that the front page hands on.
        ("net/a.rs", "use crate::Kept;", "server/src/net/a.rs:1: net → store\n"),
        // In tests, which obey as well.
        (
            "net/a.rs",
            "#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::config::value::List;\n}",
            "server/src/net/a.rs:4: net → config (in its tests)\n",
        ),
        (
            "http/connection/tests.rs",
            "use crate::store::Store;",
            "server/src/http/connection/tests.rs:1: http → store (in its tests)\n",
        ),
        // Nothing but main uses these two.
        ("runtime/demo.rs", "use crate::cli::client;", "server/src/runtime/demo.rs:1: runtime → cli\n"),
        ("cli/mod.rs", "fn f() { crate::runtime::run() }", "server/src/cli/mod.rs:1: cli → runtime\n"),
        ("main.rs", "use gatepass::store::Store;", "server/src/main.rs:1: main → store\n"),
        // A room that nobody has given a place.
        ("attic.rs", "", "attic.rs: the room attic has no place in the order\n"),
    ] {
        assert_eq!(told(file, text), expected, "{file}: {text}");
    }
}

#[test]
fn what_is_allowed_or_is_no_path_is_not_told() {
    for (file, text) in [
        (
            "store/mod.rs",
            "use crate::secrets::files::Files;\nuse super::secrets::random;\nuse self::sqlite::Store;",
        ),
        (
            "store/sqlite/read.rs",
            "use super::rows;\nuse super::super::Backend;\nuse crate::store::StoreError;",
        ),
        ("main.rs", "use gatepass::cli;\nuse crate::runtime;"),
        (
            "net/a.rs",
            "// use crate::cli::Context;\n/* crate::cli /* nested */ crate::cli */ const A: &str = \"crate::cli::Context\";",
        ),
        (
            "net/a.rs",
            "const A: &str = r#\"\"crate::cli::X\"#; const Q: char = '\"'; const B: &[u8] = b\"\\\"crate::cli::X\"; fn f<'a>(x: &'a str) {}",
        ),
        ("net/a.rs", "use gatepass_core::http::request::Request; use std::io::{self, Read};"),
        ("lib.rs", "pub use crate::cli::main;"),
        ("http/mod.rs", "mod inner { use super::limits; fn f() {} } use super::net::Proxies;"),
    ] {
        assert_eq!(told(file, text), "", "{file}: {text}");
    }
}
