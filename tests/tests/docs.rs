//! The tables of the documents are what the code says.
#![allow(clippy::panic, reason = "a failed expectation is a failed test")]

use gatepass::config::{ConfigLayer, KEYS};
use gatepass::telemetry::metrics::families::{Family, Type};
use gatepass_core::api::routes::{Authentication, ROUTES};
use gatepass_core::base::warning::Warning;
use gatepass_core::http::language::Language;
use gatepass_core::http::problem::Problem;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::store::audit::{Kind, Refusal};

const AUDIT: &str = include_str!("../../docs/audit.md");
const HTTP_API: &str = include_str!("../../docs/http-api.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const ALERTS: &str = include_str!("../../docs/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../docs/alerts_test.yml");
const DASHBOARD: &str = include_str!("../../docs/grafana.json");
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

/// Returns the words of `text` that begin with one of `beginnings`.
fn words<'a>(text: &'a str, beginnings: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(move |c| !is_word(c));
    words.filter(|word| beginnings.iter().any(|beginning| word.starts_with(beginning)))
}

#[test]
fn the_dashboard_and_the_alerts_name_metrics_that_exist() {
    let mut known: Vec<String> = Family::ALL.iter().map(|family| family.name()).collect();
    for family in Family::ALL.iter().filter(|family| family.kind() == Type::Histogram) {
        known.extend(["_bucket", "_sum", "_count"].map(|end| family.name() + end));
    }
    for (file, text) in
        [("grafana.json", DASHBOARD), ("alerts.yml", ALERTS), ("alerts_test.yml", ALERTS_TEST)]
    {
        for word in words(text, &["gatepass_", "process_"]) {
            assert!(known.iter().any(|name| name == word), "docs/{file}: there is no metric {word}");
        }
    }
    let shown = |family: &&Family| words(DASHBOARD, &[family.base()]).next().is_some();
    let hidden: Vec<_> = Family::ALL.iter().filter(|family| !shown(family)).collect();
    assert!(hidden.is_empty(), "docs/grafana.json does not show {hidden:?}");
}

#[test]
fn the_alerts_ask_for_words_that_exist_and_are_explained() {
    let values = |label: &'static str| {
        let found = ALERTS.split(label).skip(1).filter_map(|rest| rest.split('"').nth(1));
        found.flat_map(|value| value.split('|'))
    };
    for refusal in values("refusal=") {
        assert!(Refusal::parse(refusal).is_some(), "docs/alerts.yml: no refusal is called {refusal}");
    }
    for kind in values("kind=") {
        assert!(Kind::parse(kind).is_some(), "docs/alerts.yml: no kind of event is called {kind}");
    }
    let alerts = ALERTS.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let (_, section) = OPERATING.split_once("\n## Alerts\n").expect("a section of alerts");
    let section = section.split("\n## ").next().unwrap_or_default();
    let mut explained: Vec<_> = words(section, &["Gatepass"]).collect();
    explained.sort_unstable();
    explained.dedup();
    let mut alerts: Vec<_> = alerts.collect();
    alerts.sort_unstable();
    assert_eq!(explained, alerts, "docs/operating.md and docs/alerts.yml");
}

#[test]
fn the_roles_of_administration_are_those_of_the_table_of_routes() {
    for route in ROUTES.iter().filter(|route| route.authentication == Authentication::Administrator) {
        let names: Vec<_> = route.roles.iter().map(Role::as_str).collect();
        let roles = if route.roles == Roles::ALL { "any".into() } else { names.join(", ") };
        for method in route.methods {
            let row = format!("\n| `{method} {}` | {roles} | ", route.path);
            assert!(HTTP_API.contains(&row), "docs/http-api.md lacks the row {row}");
        }
    }
}

#[test]
fn the_way_over_http_stands_beside_the_command() {
    let (_, section) = OPERATING.split_once("\n### Over HTTP and by command\n").expect("a section");
    let section = section.split("\n#").next().unwrap_or_default();
    let row_of = |path: &str| {
        let mut rows = section.lines().filter(|line| line.starts_with("| "));
        rows.any(|row| row.split(['`', ' ', '?']).any(|word| word == path))
    };
    let routes = ROUTES.iter().filter(|route| route.authentication == Authentication::Administrator);
    let missing: Vec<_> = routes.map(|route| route.path).filter(|path| !row_of(path)).collect();
    assert!(missing.is_empty(), "docs/operating.md lacks {missing:?}");
}

#[test]
fn every_warning_of_readyz_is_explained() {
    let (_, section) = OPERATING.split_once("\n## Is it ready?\n").expect("a section");
    let section = section.split("\n## ").next().unwrap_or_default();
    let listed = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let warnings = Warning::ALL.iter().map(|warning| warning.as_str());
    assert!(listed.eq(warnings), "docs/operating.md, section \"Is it ready?\"");
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
