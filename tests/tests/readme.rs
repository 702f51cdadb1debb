//! The README says what is so.
#![allow(clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass::config::Given;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;

const README: &str = include_str!("../../README.md");

#[test]
fn every_business_code_is_in_the_readme() {
    for problem in Problem::ALL {
        let row =
            format!("| {} | {} | {} |", problem.code(), problem.status(), problem.message(Language::English));
        assert!(README.contains(&row), "the README lacks the row {row}");
    }
}

#[test]
fn every_key_of_the_configuration_is_in_the_readme_with_its_default() {
    for key in Given::KEYS {
        let row = README.lines().find(|line| line.starts_with(&format!("| `{key}` |")));
        let row = row.unwrap_or_else(|| panic!("the README lacks the key {key}"));
        if let Some(default) = Given::default_of(key).filter(|default| !default.is_empty()) {
            assert!(row.contains(&format!("| `{default}` |")), "{row}");
        }
    }
}
