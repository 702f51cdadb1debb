//! The tables of the documents are what the code says.
#![allow(clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass::config::ConfigLayer;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;

const HTTP_API: &str = include_str!("../../docs/http-api.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const README: &str = include_str!("../../README.md");

#[test]
fn every_business_code_is_listed() {
    for problem in Problem::ALL {
        let row =
            format!("| {} | {} | {} |", problem.code(), problem.status(), problem.message(Language::English));
        assert!(HTTP_API.contains(&row), "docs/http-api.md lacks the row {row}");
    }
}

#[test]
fn every_key_of_the_configuration_is_listed_with_its_default() {
    for key in ConfigLayer::KEYS {
        let row = CONFIGURATION.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/configuration.md lacks the key {key}"));
        if let Some(default) = ConfigLayer::default_of(key).filter(|default| !default.is_empty()) {
            assert!(row.contains(&format!("| `{default}` |")), "{row}");
        }
    }
}

#[test]
fn nothing_is_listed_that_is_not_there() {
    let keys = CONFIGURATION
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'))
        .map(|(key, _)| key);
    for key in keys {
        assert!(ConfigLayer::KEYS.contains(&key), "there is no key {key}");
    }
    let code = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok();
    let listed = HTTP_API.lines().filter_map(code).count();
    assert_eq!(listed, Problem::ALL.len(), "codes of docs/http-api.md");
}

#[test]
fn the_readme_is_short_and_its_links_lead_somewhere() {
    assert!(README.lines().count() <= 200);
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    for link in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let file = link.split('#').next().unwrap_or_default();
        assert!(std::path::Path::new(root).join(file).exists(), "{link}");
    }
}
