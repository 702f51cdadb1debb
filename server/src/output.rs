//! Output on stdout: with `--json` exactly one JSON object or array, otherwise aligned text.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};

use rustix::fs::OFlags;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;
use zeroize::Zeroizing;

/// A record to print: its keys in the order they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record(Vec<(Cow<'static, str>, Value)>);

impl Record {
    /// Returns an empty record.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds `value` as `key`.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        self.0.push((key.into(), value.into()));
        self
    }

    /// Returns the value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    /// Returns the record as one line of `key=value`. Whatever could be read as more than one value is in quotes.
    pub(crate) fn line(&self) -> String {
        let known = self.0.iter().filter(|(_, value)| !value.is_null());
        known.map(|(key, value)| format!("{key}={}", quoted(value))).collect::<Vec<_>>().join(" ")
    }
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The format of the output.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    /// True for JSON.
    pub json: bool,
    colours: bool,
}

impl Output {
    /// Makes an output in JSON, or in text, with bold names or without.
    pub const fn new(json: bool, colours: bool) -> Self {
        Self { json, colours }
    }

    /// Prints one record.
    ///
    /// # Errors
    /// Errors of stdout.
    pub fn one(self, record: &Record) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut stdout, record)?;
            writeln!(stdout)?;
        } else {
            stdout.write_all(paragraph(record, self.colours).as_bytes())?;
        }
        stdout.flush()
    }

    /// Prints a record with a secret, which is shown this once, in one write.
    ///
    /// # Errors
    /// Errors of stdout, and one if stdout was closed when the process started: nobody has read the secret.
    pub fn once(self, record: &Record) -> Result<(), NotPrinted> {
        if is_closed() {
            return Err(NotPrinted("standard output is closed".into()));
        }
        let text = if self.json {
            let json = serde_json::to_string(record).map_err(|error| NotPrinted(error.to_string()))?;
            Zeroizing::new(json + "\n")
        } else {
            Zeroizing::new(paragraph(record, self.colours))
        };
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(|error| NotPrinted(error.to_string()))
    }

    /// Prints several records. Text shows `columns` of each.
    ///
    /// # Errors
    /// Errors of stdout.
    pub fn list(self, columns: &[&'static str], records: &[Record]) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut stdout, records)?;
            writeln!(stdout)?;
        } else {
            stdout.write_all(table(columns, records, self.colours).as_bytes())?;
        }
        stdout.flush()
    }

    /// Begins to print records one by one. Text shows `columns` of each.
    ///
    /// # Errors
    /// Errors of stdout.
    pub(super) fn rows(self, columns: &'static [&'static str]) -> io::Result<Rows> {
        Rows::begin(self, Shown::Columns { columns, waiting: Vec::new(), widths: Vec::new() })
    }

    /// Begins to print records one by one. Text shows each on a line of its own.
    ///
    /// # Errors
    /// Errors of stdout.
    pub(crate) fn lines(self) -> io::Result<Rows> {
        Rows::begin(self, Shown::Lines)
    }

    /// Prints `text` as it is, also with `--json`.
    ///
    /// # Errors
    /// Errors of stdout.
    pub fn text(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Begins to print records that come one by one, without an end: each on a line of its own, an object with `--json`.
    pub(crate) fn stream(self) -> Stream {
        Stream { json: self.json, stdout: io::BufWriter::new(io::stdout().lock()) }
    }

    /// Prints a line of text, and nothing with `--json`.
    ///
    /// # Errors
    /// Errors of stdout.
    pub fn say(self, line: &str) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{line}")?;
        stdout.flush()
    }
}

/// The reason why a secret was not printed.
#[derive(Debug)]
pub struct NotPrinted(String);

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns true if stdout was closed when the process started. Rust's runtime has put the null device there then, open for
/// reading and writing, and writes to it succeed.
fn is_closed() -> bool {
    let is_null = || {
        let (stdout, null) = (rustix::fs::fstat(io::stdout())?, rustix::fs::stat("/dev/null")?);
        let both_ways = rustix::fs::fcntl_getfl(io::stdout())?.contains(OFlags::RDWR);
        rustix::io::Result::Ok(stdout.st_rdev == null.st_rdev && stdout.st_ino == null.st_ino && both_ways)
    };
    is_null().unwrap_or(false)
}

/// The text format of records that are printed one by one.
enum Shown {
    Lines,
    /// Aligned within a page; columns only grow wider.
    Columns {
        columns: &'static [&'static str],
        waiting: Vec<Record>,
        widths: Vec<usize>,
    },
}

/// Records that are printed one by one, however many there are.
pub(super) struct Rows {
    json: bool,
    colours: bool,
    shown: Shown,
    stdout: io::BufWriter<io::StdoutLock<'static>>,
    any: bool,
}

/// Records that are printed as they come.
pub(super) struct Stream {
    json: bool,
    stdout: io::BufWriter<io::StdoutLock<'static>>,
}

impl Stream {
    pub(super) fn print(&mut self, record: &Record) -> io::Result<()> {
        if !self.json {
            return writeln!(self.stdout, "{}", record.line());
        }
        serde_json::to_writer(&mut self.stdout, record)?;
        self.stdout.write_all(b"\n")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.stdout.flush()
    }
}

/// The lines of a table that are aligned together.
const PAGE: usize = 500;

impl Rows {
    fn begin(out: Output, shown: Shown) -> io::Result<Self> {
        let mut stdout = io::BufWriter::new(io::stdout().lock());
        if out.json {
            stdout.write_all(b"[")?;
        }
        Ok(Self { json: out.json, colours: out.colours, shown, stdout, any: false })
    }

    pub(super) fn print(&mut self, record: Record) -> io::Result<()> {
        if self.json {
            if self.any {
                self.stdout.write_all(b",\n")?;
            }
            self.any = true;
            serde_json::to_writer(&mut self.stdout, &record)?;
            return Ok(());
        }
        match &mut self.shown {
            Shown::Lines => writeln!(self.stdout, "{}", record.line()),
            Shown::Columns { waiting, .. } => {
                waiting.push(record);
                if waiting.len() < PAGE { Ok(()) } else { self.page() }
            }
        }
    }

    /// Prints the lines that wait to be aligned.
    fn page(&mut self) -> io::Result<()> {
        let Shown::Columns { columns, waiting, widths } = &mut self.shown else { return Ok(()) };
        let text = aligned(columns, &std::mem::take(waiting), widths, (!self.any).then_some(self.colours));
        self.any = true;
        self.stdout.write_all(text.as_bytes())
    }

    pub(super) fn end(mut self) -> io::Result<()> {
        if self.json {
            self.stdout.write_all(b"]\n")?;
        } else {
            self.page()?;
        }
        self.stdout.flush()
    }
}

/// Returns a value as text, with control characters escaped.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => return "-".into(),
        Value::String(text) => text.clone(),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    if text.is_empty() {
        return "-".into();
    }
    harmless(&text)
}

/// Returns a value as a word: in quotes unless it has only characters that nobody takes for something else.
fn quoted(value: &Value) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "._:/@+-(),~%".contains(c);
    match value {
        Value::String(text) if !text.is_empty() && text.chars().all(word) => text.clone(),
        // Control characters, and those that are invisible or change the direction, are escaped.
        Value::String(text) => format!("{text:?}"),
        Value::Number(_) | Value::Bool(_) | Value::Null => plain(value),
        Value::Array(_) | Value::Object(_) => format!("{:?}", value.to_string()),
    }
}

/// Returns a text with control characters escaped.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi_control(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}

/// Characters that make a terminal show text in another order than it is.
const fn is_bidi_control(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn bold(text: &str, colours: bool) -> String {
    if colours { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
}

fn paragraph(record: &Record, colours: bool) -> String {
    let widest = record.0.iter().map(|(key, _)| key.len()).max().unwrap_or_default();
    let line = |(key, value): &(Cow<'static, str>, Value)| {
        format!("{}{}  {}\n", bold(key, colours), " ".repeat(widest - key.len()), plain(value))
    };
    record.0.iter().map(line).collect()
}

fn table(columns: &[&'static str], records: &[Record], colours: bool) -> String {
    aligned(columns, records, &mut Vec::new(), Some(colours))
}

/// Returns the lines of a table whose columns are at least `widths` wide, with an optional head, bold on a terminal.
fn aligned(
    columns: &[&'static str],
    records: &[Record],
    widths: &mut Vec<usize>,
    head: Option<bool>,
) -> String {
    let row = |record: &Record| -> Vec<String> {
        columns.iter().map(|column| record.get(column).map(plain).unwrap_or_default()).collect()
    };
    let rows: Vec<Vec<String>> = records.iter().map(row).collect();
    let names: Vec<String> = columns.iter().map(|column| column.to_uppercase()).collect();
    if widths.is_empty() {
        *widths = names.iter().map(|name| name.width()).collect();
    }
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = cell.width().max(*widest);
        }
    }
    let line = |row: &[String]| {
        let cells = row.iter().zip(&*widths);
        let padded: String =
            cells.map(|(cell, widest)| format!("{cell}{}  ", " ".repeat(widest - cell.width()))).collect();
        padded.trim_end().to_owned()
    };
    let mut text = String::new();
    if let Some(colours) = head {
        text.push_str(&bold(&line(&names), colours));
        text.push('\n');
    }
    for row in &rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_keep_their_order() {
        let record = Record::new().with("z", 1).with("a", Value::Null).with("m", json!(["x"]));
        assert_eq!(serde_json::to_string(&record).unwrap(), r#"{"z":1,"a":null,"m":["x"]}"#);
        assert_eq!(paragraph(&record, false), "z  1\na  -\nm  x\n");
    }

    #[test]
    fn columns_align_for_every_script() {
        let rows = [
            Record::new().with("id", "a").with("name", "张伟").with("on", true),
            Record::new().with("id", "long").with("name", "Bo").with("on", false),
        ];
        assert_eq!(
            table(&["id", "name", "on"], &rows, false),
            "ID    NAME  ON\na     张伟  yes\nlong  Bo    no\n"
        );
        assert_eq!(table(&["id"], &[], false), "ID\n");
        // A later page is as wide as those before it, at least.
        let (mut widths, columns) = (Vec::new(), ["id", "name"]);
        let pages = [(1, Some(false)), (0, None)]
            .map(|(at, head)| aligned(&columns, &rows[at..=at], &mut widths, head));
        assert_eq!(pages, ["ID    NAME\nlong  Bo\n", "a     张伟\n"]);
    }

    #[test]
    fn no_value_of_a_line_forges_another() {
        for (value, shown) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2001:db8::1", "2001:db8::1"),
            ("root(0)", "root(0)"),
            ("a call", r#""a call""#),
            ("", r#""""#),
            ("x\" refusal=ticket-spent", r#""x\" refusal=ticket-spent""#),
            ("x\\", r#""x\\""#),
            ("x=y", r#""x=y""#),
            ("a\nseq=2", r#""a\nseq=2""#),
            ("a\r\tb", r#""a\r\tb""#),
            ("a\u{1b}[31mb", r#""a\u{1b}[31mb""#),
            ("a\u{2028}b", r#""a\u{2028}b""#),
            ("a\u{202e}b", r#""a\u{202e}b""#),
            ("a\u{200b}b", r#""a\u{200b}b""#),
            ("a\u{85}b", r#""a\u{85}b""#),
            ("a\u{a0}b", r#""a\u{a0}b""#),
            ("因为", r#""因为""#),
        ] {
            let line = Record::new().with("reason", value).with("none", Value::Null).with("count", 1).line();
            assert_eq!(line, format!("reason={shown} count=1"));
        }
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(plain(&json!("a\u{1b}[31m\u{202e}b")), "a\\u{1b}[31m\\u{202e}b");
        assert_eq!(plain(&json!("")), "-");
    }
}
