//! The types of the keys' values. Each is read from one text, whatever its source.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::scope::Scope;
use gatepass_core::settings::{Issuer, TotpIssuer};
use ipnet::IpNet;

use crate::authority;
use crate::database_address::DatabaseAddress;

/// A value of the file.
pub type TomlValue<'a> = toml::de::DeValue<'a>;

/// A value of the configuration.
pub trait Value: Clone + PartialEq + Send + Sync + Sized + 'static {
    /// The placeholder of the value in the help text.
    const SHAPE: &'static str;

    /// True if the value is shown to nobody.
    const IS_SECRET: bool = false;

    /// True if a bad value may hold a password. Then no message repeats it.
    const MAY_HOLD_PASSWORD: bool = false;

    /// Reads the value.
    ///
    /// # Errors
    /// The fault of `text`, and what to write instead; the caller names the key.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Returns the text of a value of the file: any scalar is as good as its text.
    ///
    /// # Errors
    /// If it is none.
    fn text_of(value: &TomlValue<'_>) -> Result<String, String> {
        scalar(value)
    }
}

fn scalar(value: &TomlValue<'_>) -> Result<String, String> {
    let not = |what: &str| Err(format!("{what} cannot be a value here"));
    match value {
        TomlValue::String(text) => Ok(text.clone().into_owned()),
        TomlValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            read.map(|number| number.to_string()).map_err(|_| format!("{number} is too large"))
        }
        TomlValue::Boolean(truth) => Ok(truth.to_string()),
        TomlValue::Float(_) => not("a number with a fraction"),
        TomlValue::Datetime(_) => not("a date"),
        TomlValue::Array(_) => not("a list"),
        TomlValue::Table(_) => not("a table"),
    }
}

impl Value for bool {
    const SHAPE: &'static str = "true|false";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("{text:?} is neither true nor false"))
    }
}

/// The address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// At an address; port 0 takes a free one.
    Tcp(SocketAddr),
    /// On a Unix socket; only for the stock front.
    Unix(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Value for Listen {
    const SHAPE: &'static str = "ADDRESS:PORT";

    fn from_text(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a path follows unix:, for example unix:/run/gatepass.sock".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!("{text:?} is not an address with a port: write for example 127.0.0.1:8080")
            }),
        }
    }
}

impl Value for DatabaseAddress {
    const SHAPE: &'static str = "postgres://…";
    const MAY_HOLD_PASSWORD: bool = true;

    fn from_text(text: &str) -> Result<Self, String> {
        if cfg!(feature = "postgres") { Self::parse(text) } else { Err(Self::NOT_BUILT.into()) }
    }
}

impl Value for PathBuf {
    const SHAPE: &'static str = "FILE";

    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("a path cannot be empty".into()) } else { Ok(Self::from(text)) }
    }
}

/// The permissions of a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// Returns the permission bits.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Value for SocketMode {
    const SHAPE: &'static str = "MODE";

    fn from_text(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777);
        match mode {
            Some(mode) if mode & 0o600 == 0o600 => Ok(Self(mode)),
            Some(_) => Err(format!("{text:?} shuts out the server itself: write for example 0660")),
            None => Err(format!("{text:?} is no mode: write three octal digits, for example 0660")),
        }
    }

    /// A number of TOML is decimal, and its octal digits are not known any more.
    fn text_of(value: &TomlValue<'_>) -> Result<String, String> {
        match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => Err("a mode is a text with octal digits: write for example \"0660\"".into()),
        }
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> Count<MIN, MAX> {
    /// Returns the number.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number, for percentages and scores.
    pub fn percent(self) -> u8 {
        u8::try_from(self.0).unwrap_or(u8::MAX)
    }

    /// Returns the number, for sizes in memory.
    pub fn size(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u32, const MAX: u32> Value for Count<MIN, MAX> {
    const SHAPE: &'static str = "N";

    fn from_text(text: &str) -> Result<Self, String> {
        number(text, MIN, MAX).map(Self)
    }
}

fn number(text: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("{text:?} is not a whole number from {min} to {max}"))
}

/// A length of time from `MIN` to `MAX` milliseconds: whole seconds, or a number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<const MIN: u64, const MAX: u64>(Duration);

impl<const MIN: u64, const MAX: u64> Span<MIN, MAX> {
    /// Returns the length of time.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Returns the length of time in whole seconds.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.as_secs()).unwrap_or(u32::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Value for Span<MIN, MAX> {
    const SHAPE: &'static str = "TIME";

    fn from_text(text: &str) -> Result<Self, String> {
        span_between(text, MIN, MAX).map(Self)
    }
}

/// Reads a length of time from `min` to `max` milliseconds.
fn span_between(text: &str, min: u64, max: u64) -> Result<Duration, String> {
    let span = span(text).ok_or_else(|| {
        format!("{text:?} is not a length of time: write whole seconds, or a number with ms, s, m, h or d")
    })?;
    if (u128::from(min)..=u128::from(max)).contains(&span.as_millis()) {
        Ok(span)
    } else {
        let bound = |bound| in_words(Duration::from_millis(bound));
        Err(format!("{text:?} is out of range: from {} to {}", bound(min), bound(max)))
    }
}

/// A deadline on the wire: a tenth of a second to an hour.
pub type Deadline = Span<100, 3_600_000>;
/// The lifetime of a ticket: a second to an hour.
pub type TicketLifetime = Span<1_000, 3_600_000>;
/// The lifetime of an access token: a second to a day.
pub type TokenLifetime = Span<1_000, 86_400_000>;
/// The lifetime of a session: a minute to ten years.
pub type SessionLifetime = Span<60_000, 315_360_000_000>;

/// The time for which something counts as a signal of risk: a second to ten years.
pub type Risked = Span<1_000, 315_360_000_000>;
/// The lifetime of a password, and the times around its end: up to ten years.
pub type PasswordSpan = Span<0, 315_360_000_000>;

/// Reads `90`, `500ms`, `10s`, `5m`, `2h` or `7d`.
pub fn span(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(unit_at)?;
    let milliseconds = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Returns the shortest text that [`span`] reads back.
fn in_words(span: Duration) -> String {
    let milliseconds = span.as_millis();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if milliseconds >= size && milliseconds.is_multiple_of(size) {
            return format!("{}{unit}", milliseconds / size);
        }
    }
    format!("{milliseconds}ms")
}

/// A list: an array in the file, a text with commas elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T>(Vec<T>);

impl<T> std::ops::Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Value> Value for List<T> {
    const SHAPE: &'static str = "A,B,…";

    fn from_text(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(T::from_text).collect::<Result<_, _>>().map(Self)
    }

    fn text_of(value: &TomlValue<'_>) -> Result<String, String> {
        let Some(items) = value.as_array() else { return scalar(value) };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let text = T::text_of(item.get_ref())?;
            if text.contains(',') {
                return Err(format!("{text:?} is no item: a comma separates two"));
            }
            texts.push(text);
        }
        Ok(texts.join(","))
    }
}

/// A network, or a single address as the smallest one. IPv4 addresses mapped into IPv6 are plain IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Returns the network.
    pub const fn get(&self) -> IpNet {
        self.0
    }
}

impl Value for Network {
    const SHAPE: &'static str = "NETWORK";

    fn from_text(text: &str) -> Result<Self, String> {
        let single = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        text.parse::<IpNet>().or_else(|_| single()).map(Self).map_err(|_| {
            format!("{text:?} is not an address or network: write for example 10.0.0.1 or 10.0.0.0/8")
        })
    }
}

/// An own authority: `host` or `host:port`, without scheme, path or user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(String);

impl Authority {
    /// Returns the authority as text, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns true if `text` is `host` or `host:port`. A request may leave the port empty or escape the name; nobody writes that down.
fn is_authority(text: &str) -> bool {
    authority::Authority::parse(text.as_bytes()).is_some() && !text.contains('%') && !text.ends_with(':')
}

impl Value for Authority {
    const SHAPE: &'static str = "HOST[:PORT]";

    fn from_text(text: &str) -> Result<Self, String> {
        if is_authority(text) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(format!(
                "{text:?} is not a host with or without a port: write for example id.example.com:8443"
            ))
        }
    }
}

impl Value for Issuer {
    const SHAPE: &'static str = "URL";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|bad| format!("{text:?} will not do: {bad}"))
    }
}

impl Value for TotpIssuer {
    const SHAPE: &'static str = "NAME";

    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|bad| format!("{text:?} will not do: {bad}"))
    }
}

/// Returns true if the host of `issuer` is `0.0.0.0` or `[::]`.
pub fn is_unspecified(issuer: &Issuer) -> bool {
    let authority = authority::Authority::parse(issuer.authority().as_bytes());
    authority.and_then(|authority| authority.address()).is_some_and(|address| address.is_unspecified())
}

/// A scope of users' tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserScope(Scope);

impl UserScope {
    /// Returns the scope.
    pub const fn get(&self) -> &Scope {
        &self.0
    }
}

impl Value for UserScope {
    const SHAPE: &'static str = "SCOPE";

    fn from_text(text: &str) -> Result<Self, String> {
        let scope = Scope::parse(text).map_err(|bad| bad.to_string())?;
        if scope.has_reserved() {
            return Err("ticket:… and gatepass:… are for services and never go into a person's token".into());
        }
        Ok(Self(scope))
    }
}

/// The country whose telephone numbers are written without its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneCountry(NumberingPlan);

impl PhoneCountry {
    /// Returns the numbering plan.
    pub const fn plan(&self) -> &NumberingPlan {
        &self.0
    }
}

impl Value for PhoneCountry {
    const SHAPE: &'static str = "CODE[/TRUNK]";

    fn from_text(text: &str) -> Result<Self, String> {
        NumberingPlan::parse(text).map(Self).map_err(|wrong| wrong.to_string())
    }
}

/// The name of the one tenant served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant(String);

impl Tenant {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for Tenant {
    const SHAPE: &'static str = "NAME";

    fn from_text(text: &str) -> Result<Self, String> {
        if (1..=128).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err("a tenant's name is 1 to 128 characters, none of them a control character".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("90", Some(90_000)),
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("", None),
            ("s", None),
            ("-1", None),
            ("1.5s", None),
            ("1 s", None),
            ("1w", None),
            ("99999999999999999999", None),
            ("18446744073709551615d", None),
        ] {
            assert_eq!(span(text), milliseconds.map(Duration::from_millis), "{text:?}");
        }
        assert_eq!(in_words(Duration::from_millis(100)), "100ms");
        assert_eq!(in_words(Duration::from_secs(90)), "90s");
        assert_eq!(in_words(Duration::from_secs(3600)), "1h");
    }

    #[test]
    fn modes() {
        for (text, mode) in [
            ("0660", Some(0o660)),
            ("660", Some(0o660)),
            ("0o660", Some(0o660)),
            ("0777", Some(0o777)),
            ("0600", Some(0o600)),
            ("0060", None),
            ("0400", None),
            ("1777", None),
            ("0680", None),
            ("+660", None),
            ("", None),
            ("rw", None),
        ] {
            assert_eq!(SocketMode::from_text(text).ok().map(SocketMode::get), mode, "{text}");
        }
        let text_of = |text: &str| SocketMode::text_of(toml::de::DeValue::parse(text).unwrap().get_ref());
        for number in ["660", "0o660"] {
            assert!(text_of(number).unwrap_err().contains("\"0660\""));
        }
        assert_eq!(text_of("\"0666\""), Ok("0666".into()));
    }

    #[test]
    fn authorities() {
        for (text, good) in [
            ("id.example.com", true),
            ("id.example.com:8443", true),
            ("127.0.0.1:80", true),
            ("[::1]", true),
            ("[::1]:8080", true),
            ("", false),
            (":80", false),
            ("[x]", false),
            ("[::1]80", false),
            ("a:", false),
            ("a:99999", false),
            ("https://a", false),
            ("a/b", false),
            ("user@a", false),
        ] {
            assert_eq!(is_authority(text), good, "{text:?}");
        }
    }

    #[test]
    fn lists_are_arrays_or_texts_with_commas() {
        let both = List::<Network>::from_text("10.0.0.0/8, ::1").unwrap();
        assert_eq!(both.len(), 2);
        let text_of =
            |text: &str| List::<Network>::text_of(toml::de::DeValue::parse(text).unwrap().get_ref());
        let array = text_of("[\"10.0.0.0/8\", \"::1\"]").unwrap();
        assert_eq!(List::<Network>::from_text(&array).unwrap(), both);
        assert!(text_of("[\"10.0.0.0/8,::1\"]").unwrap_err().contains("a comma"));
        assert!(text_of("[[]]").is_err());
        assert!(List::<Network>::from_text("").unwrap().is_empty());
        assert!(List::<Network>::from_text("a").is_err());
    }

    #[test]
    fn networks() {
        let holds = |network: &str, address: &str| {
            Network::from_text(network).unwrap().get().contains(&address.parse::<IpAddr>().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.9.9.9") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("::ffff:10.0.0.1", "10.0.0.1"));
        assert!(holds("fd00::/8", "fd12::1") && !holds("fd00::/8", "10.0.0.1"));
    }
}
