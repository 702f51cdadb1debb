//! Compares the public interface of the core with `core/public-api.txt`, so that a change to it is seen in review.
//!
//! `GATEPASS_WRITE=1 cargo test -p gatepass-tests --test public_api` writes the file again. It is read from the sources,
//! on any toolchain: the lint `unreachable_pub` keeps `pub` from items that nobody outside can reach.
#![allow(clippy::expect_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::wildcard_enum_match_arm, reason = "the kinds of items are many, and grow with the language")]

mod attributes;
mod names;
mod shown;
mod sources;

use std::fs;
use std::path::Path;

use syn::Item;

use names::Names;
use shown::shown;
use sources::{Module, read};

const CORE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core");

/// Returns the public interface of the core as one text.
fn interface() -> String {
    let mut modules = Vec::new();
    read("gatepass_core", false, &Path::new(CORE).join("src/lib.rs"), &mut modules);
    let names = Names::of(&modules);
    let mut text = String::from(
        "// The public interface of gatepass-core. Written by tests/tests/public_api/main.rs.\n",
    );
    for Module { path, items, hidden } in modules {
        let kept: Vec<Item> = items
            .into_iter()
            .filter(|item| !hidden || names.exports(item))
            .filter_map(|item| shown(item, &names))
            .collect();
        if !kept.is_empty() {
            let file = syn::File { shebang: None, frontmatter: None, attrs: Vec::new(), items: kept };
            text.push_str(&format!("\n// {path}\n{}", prettyplease::unparse(&file)));
        }
    }
    text
}

#[test]
fn the_public_interface_of_the_core_is_the_recorded_one() {
    let file = Path::new(CORE).join("public-api.txt");
    let found = interface();
    if std::env::var_os("GATEPASS_WRITE").is_some() {
        fs::write(&file, &found).expect("the file is written");
    }
    let recorded = fs::read_to_string(&file).unwrap_or_default();
    let gone = recorded.lines().filter(|line| !found.lines().any(|other| other == *line));
    let new = found.lines().filter(|line| !recorded.lines().any(|other| other == *line));
    let changes: Vec<String> =
        gone.map(|line| format!("- {line}")).chain(new.map(|line| format!("+ {line}"))).collect();
    assert!(
        recorded == found,
        "core/public-api.txt is not the interface of the core; GATEPASS_WRITE=1 writes it\n{}",
        changes.join("\n")
    );
}

#[test]
fn every_feature_has_a_row_on_both_front_pages() {
    let text = |name: &str| fs::read_to_string(Path::new(CORE).join(name)).expect("a file of the core");
    let manifest = text("Cargo.toml");
    let (_, below) = manifest.split_once("\n[features]\n").expect("features");
    let features: Vec<&str> = below
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = ").map(|(name, _)| name))
        .filter(|name| !name.starts_with('#') && *name != "default")
        .collect();
    assert!(features.contains(&"ring"), "{features:?}");
    for (page, mark) in [("README.md", ""), ("src/lib.rs", "//! ")] {
        for feature in &features {
            let row = format!("\n{mark}| `{feature}`");
            assert!(text(page).contains(&row), "core/{page} lacks a row of the feature {feature}");
        }
    }
}
