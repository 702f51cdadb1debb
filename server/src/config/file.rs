//! The configuration's file.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::key::Key;
use super::layer::{ConfigLayer, Source, key};
use super::nearest::nearest;
use super::{ConfigError, ConfigErrors, KEYS};

/// The name of the file in the data directory that is read without `--config`.
pub const FILE_NAME: &str = "gatepass.toml";

impl ConfigLayer {
    /// Reads the file `named`, or else `gatepass.toml` in `data`, which need not exist. What is wrong in it goes to
    /// `errors`.
    pub(super) fn from_file(named: Option<&Path>, data: &Path, errors: &mut Vec<ConfigError>) -> Self {
        let path = named.map_or_else(|| data.join(FILE_NAME), PathBuf::from);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::from_text(&text, &path, errors),
            Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => {
                let problem = format!("cannot read the configuration {}: {error}", path.display());
                errors.push(ConfigError { place: None, problem });
                Self::default()
            }
        }
    }

    /// Reads the TOML text of a file.
    ///
    /// # Errors
    /// If it is not TOML, has unknown keys or values out of range: all of that, with its lines.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let layer = Self::from_text(text, Path::new(FILE_NAME), &mut errors);
        if errors.is_empty() { Ok(layer) } else { Err(ConfigErrors(errors)) }
    }

    fn from_text(text: &str, path: &Path, errors: &mut Vec<ConfigError>) -> Self {
        let mut reader = Reader {
            text,
            path: path.into(),
            layer: Self::default(),
            seen: BTreeSet::new(),
            broken: BTreeSet::new(),
            problems: Vec::new(),
        };
        reader.read();
        reader.problems.sort_by_key(|(line, _)| *line);
        for (line, problem) in reader.problems {
            errors.push(ConfigError::at(format!("{} line {line}", path.display()), problem));
        }
        reader.layer
    }
}

/// A file that is being read.
struct Reader<'a> {
    text: &'a str,
    path: Arc<Path>,
    layer: ConfigLayer,
    seen: BTreeSet<&'static str>,
    /// Lines that are not TOML. Nothing else is said about them.
    broken: BTreeSet<usize>,
    problems: Vec<(usize, String)>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let line = self.line_of(error.span().unwrap_or_default());
            if self.broken.insert(line) {
                let problem = format!("not valid TOML: {}", error.message().replace('\n', ", "));
                self.problems.push((line, problem));
            }
        }
        for (name, value) in table.get_ref() {
            let line = self.line_of(name.span());
            let name = name.get_ref().as_ref();
            let value = value.get_ref();
            match (value.as_table().filter(|_| is_section(name)), key(name)) {
                (Some(section), _) => self.section(name, section),
                (None, Some(key)) => self.take(line, key, name, value),
                (None, None) => self.refuse(line, unknown(name)),
            }
        }
    }

    fn section(&mut self, section: &str, keys: &DeTable<'_>) {
        for (short, value) in keys {
            let line = self.line_of(short.span());
            let short = short.get_ref().as_ref();
            match key_in(section, short) {
                Some(key) => self.take(line, key, &format!("{section}.{short}"), value.get_ref()),
                None => self.refuse(line, unknown_in(section, short)),
            }
        }
    }

    /// Takes `value` for `key`, which the file spells `spelled`.
    fn take(&mut self, line: usize, key: &'static Key, spelled: &str, value: &DeValue<'_>) {
        if !self.seen.insert(key.name) {
            let (section, short) = key.place.unwrap_or_default();
            let name = key.name;
            let problem =
                format!("{name} is there twice: keep `{short}` in [{section}], and take `{name}` out");
            return self.refuse(line, problem);
        }
        let source = Source::File(Arc::clone(&self.path), line);
        let taken = key.kind.text_of(value).and_then(|text| self.layer.set_key(key, &text, source));
        match taken {
            Err(problem) => self.refuse(line, format!("{spelled}: {problem}")),
            Ok(()) if key.place.is_some() && key.name == spelled => self.layer.outside.push(key),
            Ok(()) => {}
        }
    }

    fn refuse(&mut self, line: usize, problem: String) {
        if !self.broken.contains(&line) {
            self.problems.push((line, problem));
        }
    }

    /// Returns the number of the line that a part of the text begins in, from 1.
    fn line_of(&self, part: Range<usize>) -> usize {
        1 + self.text.bytes().take(part.start).filter(|byte| *byte == b'\n').count()
    }
}

fn places() -> impl Iterator<Item = (&'static Key, &'static str, &'static str)> {
    KEYS.iter().filter_map(|key| key.place.map(|(section, short)| (key, section, short)))
}

fn is_section(name: &str) -> bool {
    places().any(|(_, section, _)| section == name)
}

/// Returns the key that `section` has as `short`.
pub(super) fn key_in(section: &str, short: &str) -> Option<&'static Key> {
    places().find(|(_, known, name)| *known == section && *name == short).map(|(key, ..)| key)
}

fn unknown_in(section: &str, short: &str) -> String {
    // A key of another section, or of none, by the name that flags have.
    if let Some(key) = key(short) {
        return match key.place {
            Some((section, short)) => format!("{} is `{short}` in [{section}]", key.name),
            None => format!("{} stands outside of sections, at the top of the file", key.name),
        };
    }
    let names = places().filter(|(_, known, _)| *known == section).map(|(.., name)| name);
    match (nearest(short, names), section_of(short)) {
        (Some(known), _) => format!("unknown key {short:?} in [{section}]: did you mean `{known}`?"),
        (None, Some(other)) => format!("unknown key {short:?} in [{section}]: it stands in [{other}]"),
        (None, None) => format!("unknown key {short:?} in [{section}]: docs/configuration.md lists them all"),
    }
}

fn unknown(name: &str) -> String {
    let sections: BTreeSet<&str> = places().map(|(_, section, _)| section).collect();
    if let Some(section) = section_of(name) {
        return format!("unknown key {name:?}: it stands in [{section}]");
    }
    match nearest(name, KEYS.iter().map(|key| key.name).chain(sections.iter().copied())) {
        Some(known) if sections.contains(known) && key(known).is_none() => {
            format!("unknown key {name:?}: did you mean the section [{known}]?")
        }
        Some(known) => format!("unknown key {name:?}: did you mean `{known}`?"),
        None => format!("unknown key {name:?}: `gatepass serve --help` lists them all, with _ for -"),
    }
}

/// Returns the only section that has a key with this short name.
fn section_of(short: &str) -> Option<&'static str> {
    let mut sections = places().filter(|(_, _, name)| *name == short).map(|(_, section, _)| section);
    sections.next().filter(|_| sections.next().is_none())
}
