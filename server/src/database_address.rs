//! The address of a PostgreSQL database: the one parser for the configuration and the store.
//!
//! It is libpq's form of an address, with fewer parameters. Those that would make a connection weaker than it looks are refused. No
//! message repeats a part of an address that may hold a password.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

#[cfg(test)]
mod tests;

/// The port of PostgreSQL.
const PORT: u16 = 5432;

/// The parameters that an address may have.
const PARAMETERS: &str = "host, sslmode, sslrootcert and target_session_attrs";

const NO_ADDRESS: &str = "this is not the address of a database: write for example \
                          postgres://gatepass@db.example.com/gatepass?sslrootcert=/etc/ssl/db-ca.pem";

const PASSWORD: &str = "a password in the address can be read in the list of processes and in logs: take it out, and put it in a file \
                        that store_password_file names, or in GATEPASS_STORE_PASSWORD";

/// The address of a database: `postgres://user@host:port,…/database?parameters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseAddress {
    /// The user of the database; none for that of the operating system.
    pub user: Option<String>,
    /// The servers, at least one. They are tried in this order until one takes writes.
    pub hosts: Vec<DatabaseHost>,
    /// The database.
    pub database: String,
    /// The file with the root certificates that the servers' are verified with; none for connections without TLS.
    pub root_certificates: Option<PathBuf>,
}

/// One server of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseHost {
    /// At a name or an IP address.
    Tcp(String, u16),
    /// At a socket in a directory of this machine.
    Socket(PathBuf, u16),
}

/// The parameters behind the `?`.
#[derive(Default)]
struct Parameters {
    host: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    target_session_attrs: Option<String>,
}

impl DatabaseAddress {
    /// The refusal of a build without PostgreSQL.
    pub const NOT_BUILT: &str = "this gatepass was built without PostgreSQL: build it with `cargo build --release --features postgres`, \
                                 or leave `store` out to use SQLite in the data directory";

    /// Reads an address.
    ///
    /// # Errors
    /// The fault, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        let (place, parameters) = split_at(rest.ok_or(NO_ADDRESS)?, '?');
        let (authority, database) = split_at(place, '/');
        let (user, hosts) = authority.rsplit_once('@').map_or((None, authority), |(u, h)| (Some(u), h));
        if user.is_some_and(|user| user.contains(':')) {
            return Err(PASSWORD.into());
        }
        let parameters = Parameters::parse(parameters.unwrap_or_default())?;
        let hosts = match (hosts, &parameters.host) {
            ("", None) => return Err("no host is named: write it before the name of the database".into()),
            ("", Some(hosts)) => hosts.split(',').map(|host| host_at(host.to_owned(), PORT)).collect(),
            (hosts, None) => hosts.split(',').map(DatabaseHost::parse).collect::<Result<Vec<_>, _>>(),
            (_, Some(_)) => return Err("the host is there twice: leave the parameter host out".into()),
        }?;
        let database = database.filter(|name| !name.is_empty()).ok_or(
            "no database is named: write its name behind the host, for example postgres://db.example.com/gatepass",
        )?;
        if database.contains(['/', '@']) {
            return Err("the name of the database has a / or an @: write %2F or %40 if it is meant".into());
        }
        if parameters.target_session_attrs.as_deref().is_some_and(|wanted| wanted != "read-write") {
            return Err("target_session_attrs is always read-write: leave it out".into());
        }
        let root_certificates = root_certificates(parameters.sslmode, parameters.sslrootcert, &hosts)?;
        let user = user.filter(|user| !user.is_empty()).map(decoded).transpose()?;
        Ok(Self { user, hosts, database: decoded(database)?, root_certificates })
    }
}

impl Parameters {
    fn parse(text: &str) -> Result<Self, String> {
        let mut found = Self::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = split_at(parameter, '=');
            let place = match name {
                "password" | "sslpassword" | "passfile" => return Err(PASSWORD.into()),
                "host" => &mut found.host,
                "sslmode" => &mut found.sslmode,
                "sslrootcert" => &mut found.sslrootcert,
                "target_session_attrs" => &mut found.target_session_attrs,
                // What stands in an unknown place may be a password.
                _ if value.is_none() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                    return Err(format!("a parameter is malformed: it is name=value, of {PARAMETERS}"));
                }
                _ => return Err(format!("unknown parameter {name:?}: an address has {PARAMETERS}")),
            };
            let value = decoded(value.unwrap_or_default())?;
            if value.is_empty() {
                return Err(format!("the parameter {name} has no value: write one, or leave it out"));
            }
            if place.replace(value).is_some() {
                return Err(format!("the parameter {name} is there twice: leave one out"));
            }
        }
        Ok(found)
    }
}

/// Returns the file of the root certificates, if the connections are to be encrypted. One that is encrypted and not verified protects from
/// nobody who can redirect it.
fn root_certificates(
    mode: Option<String>,
    file: Option<String>,
    hosts: &[DatabaseHost],
) -> Result<Option<PathBuf>, String> {
    let by_network = hosts.iter().any(|host| matches!(host, DatabaseHost::Tcp(..)));
    let by_socket = hosts.iter().any(|host| matches!(host, DatabaseHost::Socket(..)));
    match (mode.as_deref(), file.as_deref()) {
        (Some("disable"), None) => Ok(None),
        (Some("disable"), Some(_)) => {
            Err("sslmode=disable verifies no certificate: leave it or sslrootcert out".into())
        }
        (Some("verify-full"), _) if by_socket => {
            Err("sslmode=verify-full does not fit a Unix socket, which has no TLS: leave it out".into())
        }
        (Some("verify-full") | None, file) => match file {
            Some("system") => Err(
                "sslrootcert=system is not supported: name the file of the system's certificates, for example \
                 /etc/ssl/certs/ca-certificates.crt"
                    .into(),
            ),
            Some(_) if !by_network => {
                Err("sslrootcert does not fit a Unix socket, which has no TLS: leave it out".into())
            }
            Some(file) => Ok(Some(file.into())),
            None if by_network => Err("the certificate of the database has to be verified: name the file with the \
                 certificate of its authority by sslrootcert=FILE, or add sslmode=disable on a network that nobody else can use"
                .into()),
            None => Ok(None),
        },
        (Some("prefer" | "allow"), _) => {
            Err("with this sslmode anybody on the way can switch the encryption off: use sslmode=verify-full with \
                 sslrootcert=FILE"
                .into())
        }
        (Some("require" | "verify-ca"), _) => {
            Err("with this sslmode another server can pass for the database: use sslmode=verify-full with sslrootcert=FILE"
                .into())
        }
        (Some(_), _) => Err("sslmode is verify-full or disable".into()),
    }
}

impl DatabaseHost {
    fn parse(text: &str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = split_at(rest, ']');
                let port = port.ok_or("an IPv6 address is not closed by ]")?;
                host.parse::<Ipv6Addr>().map_err(|_| "the text in [ ] is not an IPv6 address")?;
                let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(BAD_PORT)?) };
                (host, port)
            }
            None => split_at(text, ':'),
        };
        let port = match port {
            None | Some("") => PORT,
            Some(digits) if digits.contains(':') => {
                return Err("an IPv6 address stands in brackets: write for example [::1]:5432".into());
            }
            Some(digits) => digits.parse().ok().filter(|port| *port > 0).ok_or(BAD_PORT)?,
        };
        host_at(decoded(host)?, port)
    }
}

const BAD_PORT: &str = "a port is a number from 1 to 65535";

fn host_at(host: String, port: u16) -> Result<DatabaseHost, String> {
    if host.starts_with('/') {
        return Ok(DatabaseHost::Socket(host.into(), port));
    }
    let is_name =
        |host: &str| host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if !host.is_empty() && (is_name(&host) || host.parse::<Ipv6Addr>().is_ok()) {
        return Ok(DatabaseHost::Tcp(host, port));
    }
    Err("a host is a name, an IP address, or the directory of a socket with %2F for each /".into())
}

/// Splits at the first `separator`; nothing follows where there is none.
fn split_at(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// Replaces `%XX` by the byte.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit().zip(digit()).and_then(|(high, low)| u8::try_from(high << 4 | low).ok());
        bytes.push(value.ok_or("two hexadecimal digits have to follow a %: write %25 for the sign itself")?);
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control));
    text.ok_or_else(|| "a part of the address is not UTF-8, or has a control character".into())
}

/// Writes `text` as a part of an address.
fn write_encoded(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        match c {
            '%' | '/' | '@' | ':' | ',' | '?' | '&' | ' ' => write!(f, "%{:02X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    Ok(())
}

impl fmt::Display for DatabaseHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let port = match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]").map(|()| *port)?,
            Self::Tcp(host, port) => f.write_str(host).map(|()| *port)?,
            Self::Socket(directory, port) => {
                write_encoded(f, &directory.to_string_lossy()).map(|()| *port)?
            }
        };
        if port == PORT { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// Writes the address without its parameters, as messages have it.
impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = &self.user {
            write_encoded(f, user)?;
            f.write_str("@")?;
        }
        for (n, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if n == 0 { "" } else { "," })?;
        }
        f.write_str("/")?;
        write_encoded(f, &self.database)
    }
}
