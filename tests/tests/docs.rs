//! The tables of the documents are what the code says.
#![allow(clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass::config::{ConfigLayer, KEYS};
use gatepass::telemetry::metrics::families::{Family, Type};
use gatepass_core::api::routes::ROUTES;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::store::audit::{Kind, Refusal};

const AUDIT: &str = include_str!("../../docs/audit.md");
const HTTP_API: &str = include_str!("../../docs/http-api.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const OPERATING: &str = include_str!("../../docs/operating.md");
const README: &str = include_str!("../../README.md");

#[test]
fn every_business_code_is_listed() {
    for problem in Problem::ALL {
        let row =
            format!("| {} | {} | {} |", problem.code(), problem.status(), problem.message(Language::English));
        assert!(HTTP_API.contains(&row), "docs/http-api.md lacks the row {row}");
    }
}

/// Returns the rows of the configuration's tables: each with its section and its cells.
fn keys_of_the_page() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut section = "";
    let mut rows = Vec::new();
    for line in CONFIGURATION.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading.split("`[").nth(1).and_then(|rest| rest.split(']').next()).unwrap_or_default();
        } else if line.starts_with("| `") {
            rows.push((section, line.split(" | ").map(|cell| cell.trim_matches(['|', ' ', '`'])).collect()));
        }
    }
    rows
}

#[test]
fn every_key_of_the_configuration_is_listed_in_its_section_with_default_and_help() {
    let rows = keys_of_the_page();
    for key in KEYS {
        let row = rows.iter().find(|(_, cells)| cells.get(1) == Some(&key.name));
        let (section, cells) = row.unwrap_or_else(|| panic!("docs/configuration.md lacks the key {key:?}"));
        assert_eq!((*section, cells[0]), key.place.unwrap_or(("", key.name)), "{key:?}");
        if let Some(default) = key.default.filter(|default| !default.is_empty()) {
            assert_eq!(cells[2], default, "{key:?}");
        }
        let meaning = key.meaning().split(" [default: ").next().unwrap_or_default();
        assert_eq!(cells[3], meaning.trim_end_matches('`'), "{key:?}");
    }
}

#[test]
fn the_example_of_the_configuration_is_read_without_a_warning() {
    let example = CONFIGURATION.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let layer = ConfigLayer::from_toml(example.expect("an example")).expect("a configuration");
    let config = layer.resolve().expect("a configuration");
    assert_eq!(config.outside_of_sections(), None);
    assert_eq!((config.ticket_lifetime.seconds(), config.risk_new_device.get()), (600, 30));
}

#[test]
fn nothing_is_listed_that_is_not_there() {
    for (_, cells) in keys_of_the_page() {
        assert!(KEYS.iter().any(|key| key.name == cells[1]), "there is no key {}", cells[1]);
    }
    let code = |line: &str| line.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok();
    let listed = HTTP_API.lines().filter_map(code).count();
    assert_eq!(listed, Problem::ALL.len(), "codes of docs/http-api.md");
}

#[test]
fn the_words_of_the_audit_log_are_the_ones_explained() {
    let (_, kinds_and_reasons) = AUDIT.split_once("\n## Kinds of events\n").expect("a section of kinds");
    let (kinds, reasons) =
        kinds_and_reasons.split_once("\n## Reasons of refusals\n").expect("a section of reasons");
    let explained = |section: &'static str| {
        let words = section.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let mut words: Vec<_> = words.map(|(word, _)| word).collect();
        words.sort_unstable();
        words
    };
    let mut written: Vec<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    written.sort_unstable();
    assert_eq!(explained(kinds), written);
    let mut written: Vec<_> = Refusal::ALL.iter().map(|refusal| refusal.as_str()).collect();
    written.sort_unstable();
    assert_eq!(explained(reasons), written);
}

#[test]
fn every_metric_is_listed_and_no_other() {
    let (_, section) = OPERATING.split_once("\n## Metrics\n").expect("a section of metrics");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).collect();
    for family in Family::ALL {
        let (name, help) = (family.name(), family.help());
        let kind = match family.kind() {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
            Type::Info => "info",
        };
        let row = listed.iter().find(|row| row.starts_with(&format!("| `{name}` | {kind} |")));
        let row = row.unwrap_or_else(|| panic!("docs/operating.md lacks the metric {name}, a {kind}"));
        assert!(row.ends_with(&format!("| {help} |")), "{row}: {help}");
    }
    assert_eq!(listed.len(), Family::ALL.len());
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

#[test]
fn the_endpoints_are_those_of_the_table_of_routes() {
    let routes = ROUTES.iter().flat_map(|route| route.methods.iter().map(|method| (*method, route.path)));
    let mut served: Vec<(&str, &str)> = routes.collect();
    let is_method = |method: &str| method.bytes().all(|byte| byte.is_ascii_uppercase());
    let first_cell = |line: &'static str| line.strip_prefix("| ")?.split(" |").next();
    let listed = HTTP_API.lines().filter_map(first_cell).flat_map(|cell| cell.split(", "));
    let listed = listed.filter_map(|one| one.strip_prefix('`')?.strip_suffix('`')?.split_once(' '));
    let mut listed: Vec<_> =
        listed.filter(|(method, path)| is_method(method) && path.starts_with('/')).collect();
    for list in [&mut served, &mut listed] {
        list.sort_unstable();
        list.dedup();
    }
    assert_eq!(listed, served, "docs/http-api.md and core/src/api/routes/mod.rs");
}
