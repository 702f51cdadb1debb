//! The secrets in recorded traffic, and a search for any of them in any bytes, in any usual encoding.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::recording_relay::Exchange;

/// The shortest secret that is searched for. Shorter ones look like ordinary text.
const SHORTEST: usize = 8;
/// The length of a piece of a secret that counts as a leak.
const PIECE: usize = 12;
/// The prefixes of our own secrets. 256 bits in base64url follow; in a refresh token, after its time.
const PREFIXES: [&str; 4] = ["tkt_", "rft_", "chg_", "gps_"];
/// The members of JSON objects and forms that hold secrets.
const MEMBERS: [&str; 11] = [
    "ticket",
    "access_token",
    "refresh_token",
    "challenge_token",
    "token",
    "secret",
    "client_secret",
    "qr_code",
    "backup_codes",
    "code",
    "totp_code",
];

/// Secrets by their text or bytes, with the kind of each.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<Vec<u8>, String>);

impl Secrets {
    /// Adds a secret, unless it is short or one repeated byte, as tests make up.
    pub fn add(&mut self, what: &str, secret: impl Into<Vec<u8>>) {
        let secret = secret.into();
        let made_up = secret.iter().skip(4).all(|byte| Some(byte) == secret.last());
        if secret.len() >= SHORTEST && !made_up {
            self.0.insert(secret, what.into());
        }
    }

    /// Returns the number of secrets of the kind `what`.
    pub fn count(&self, what: &str) -> usize {
        self.0.values().filter(|kind| *kind == what).count()
    }

    /// Adds the secrets of a request and its answer.
    pub fn add_exchange(&mut self, exchange: &Exchange) {
        let text = String::from_utf8_lossy(&exchange.request);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        for line in head.lines().filter(|line| line.to_ascii_lowercase().starts_with("idempotency-key:")) {
            self.add("idempotency key", line.split_once(": ").map_or("", |(_, key)| key));
        }
        for line in head.lines().filter(|line| line.to_ascii_lowercase().starts_with("authorization:")) {
            let credentials = line.rsplit(' ').next().unwrap_or_default();
            match STANDARD.decode(credentials).ok().and_then(|pair| String::from_utf8(pair).ok()) {
                Some(pair) => {
                    self.add("client_secret", pair.split_once(':').map_or("", |(_, secret)| secret))
                }
                None => self.token(credentials),
            }
        }
        let mut form = head.lines().next().unwrap_or_default().split(['?', ' ']).collect::<Vec<_>>();
        form.push(body);
        for (name, value) in form.iter().flat_map(|form| form.split('&')).filter_map(|p| p.split_once('=')) {
            if is_secret(name) {
                self.member(name, &unescaped(value));
            }
        }
        self.json(&serde_json::from_str(body).unwrap_or(Value::Null));
        if let Some(answer) = exchange.answer() {
            self.json(&answer.json());
        }
    }

    /// Adds the members of `value` that hold secrets, at any depth.
    pub fn json(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let texts = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                    let texts = texts.iter().filter_map(Value::as_str).filter(|_| is_secret(name));
                    texts.for_each(|text| self.member(name, text));
                    self.json(value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn member(&mut self, name: &str, text: &str) {
        match name {
            "backup_codes" | "code" => {
                self.add(name, text);
                self.add(name, text.replace(['-', ' '], "").to_ascii_uppercase());
            }
            "secret" if !text.starts_with("gps_") => {
                self.add("totp", text);
                self.add("totp", totp_rs::Secret::Encoded(text.into()).to_bytes().unwrap_or_default());
            }
            // A shorter one may be part of any text.
            password if password.contains("password") && text.len() >= PIECE => self.add("password", text),
            _ => self.token(text),
        }
    }

    /// Adds a token of ours with its bytes, or a JWT without its header.
    fn token(&mut self, text: &str) {
        let prefix = PREFIXES.into_iter().find(|prefix| text.starts_with(prefix));
        if let Some(prefix) = prefix {
            self.add(prefix, text);
            self.add(prefix, &text[prefix.len()..]);
            self.add(prefix, URL_SAFE_NO_PAD.decode(&text[prefix.len()..]).unwrap_or_default());
        } else if let [_, claims, signature] = text.split('.').collect::<Vec<_>>().as_slice() {
            self.add("jwt", *claims);
            self.add("jwt", *signature);
            self.add("jwt", URL_SAFE_NO_PAD.decode(signature).unwrap_or_default());
        } else if text.len() >= 2 * PIECE {
            self.add("other", text);
        }
    }

    /// Returns the patterns to search for.
    pub fn search_patterns(&self) -> SearchPatterns<'_> {
        let mut search_patterns = SearchPatterns::default();
        for (secret, what) in &self.0 {
            for form in forms(secret) {
                if form.len() < PIECE {
                    search_patterns.short.push((form, what));
                } else {
                    let pieces = form.chunks_exact(PIECE).chain(form.rchunks_exact(PIECE).take(1));
                    search_patterns.pieces.extend(pieces.map(|piece| (piece.to_vec(), what.as_str())));
                }
            }
        }
        search_patterns
    }
}

fn is_secret(name: &str) -> bool {
    MEMBERS.contains(&name) || name.contains("password")
}

/// Returns a secret as text, URL-encoded, in hexadecimal, as `Debug` prints bytes, and in base64 at every offset.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let escaped = secret.iter().map(|byte| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let mut forms = vec![secret.to_vec(), escaped.collect::<String>().into_bytes()];
    forms.push(hex.to_ascii_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    forms.push(format!("{secret:?}").trim_matches(['[', ']']).into());
    for shift in 0..3 {
        let shifted = [&[0].repeat(shift), secret].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.encode(&shifted).into_bytes();
            // The first and last letters also encode neighbouring bytes.
            let (first, last) = (usize::from(shift > 0) * 4, text.len() - text.len() % 4);
            forms.push(text[first..last].to_vec());
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms.dedup();
    forms
}

fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escaped = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        (rest, _) = match (first, escaped) {
            (b'%', Some(byte)) => (&after[2..], bytes.push(byte)),
            (b'+', _) => (after, bytes.push(b' ')),
            (byte, _) => (after, bytes.push(*byte)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Secrets in all their encodings, in pieces.
#[derive(Debug, Default)]
pub struct SearchPatterns<'a> {
    pieces: HashMap<Vec<u8>, &'a str>,
    short: Vec<(Vec<u8>, &'a str)>,
}

impl SearchPatterns<'_> {
    /// Returns the kind of a secret found in `bytes`, with the text around it.
    pub fn found_in(&self, bytes: &[u8]) -> Option<String> {
        let windows = bytes.windows(PIECE).enumerate();
        let piece = windows.filter_map(|(at, window)| Some((at, *self.pieces.get(window)?))).next();
        let short = || {
            let all = self.short.iter();
            all.filter_map(|(form, what)| {
                Some((bytes.windows(form.len()).position(|window| window == form)?, *what))
            })
            .next()
        };
        let (at, what) = piece.or_else(short)?;
        let around = &bytes[at.saturating_sub(100)..bytes.len().min(at + 60)];
        Some(format!("{what} in …{}…", String::from_utf8_lossy(around)))
    }
}

/// Returns true if a search would find `secret` in each encoding; for a test of the search itself.
pub fn is_found_in_every_form(secret: &str) -> bool {
    let mut secrets = Secrets::default();
    secrets.token(secret);
    let search_patterns = secrets.search_patterns();
    let bits = URL_SAFE_NO_PAD.decode(&secret[4..]).unwrap_or_default();
    let texts = [
        format!("a {secret} b"),
        format!("{{\"ticket\":\"{secret}\"}}"),
        secret[4..30].to_owned(),
        STANDARD.encode(format!("x{secret}y")),
        URL_SAFE.encode(format!("xy{secret}")),
        STANDARD.encode(&bits),
        format!("{bits:02x?}").replace(['[', ']', ',', ' '], ""),
        format!("{bits:?}"),
    ];
    texts.iter().all(|text| search_patterns.found_in(text.as_bytes()).is_some())
        && search_patterns.found_in(&bits).is_some()
}
