//! Hashes that another program made: how they are written, what they may cost, and how a password is compared with one.
//!
//! | hash | written |
//! |---|---|
//! | bcrypt | `$2a$`, `$2b$` or `$2y$`; `{CRYPT}` (LDAP), `bcrypt$` or `bcrypt_sha256$` (Django) before it |
//! | scrypt | `$scrypt$ln=…,r=…,p=…$` (PHC, passlib), `scrypt$N$salt$r$p$` (Django), `scrypt:N:r:p$salt$` (Werkzeug) |
//! | PBKDF2 | `$pbkdf2-sha256$…$` (PHC, passlib), `pbkdf2_sha256$` (Django), `pbkdf2:sha256:…$` (Werkzeug), `{PBKDF2-SHA256}` (LDAP); SHA-1 and SHA-512 likewise |
//! | Argon2 | `$argon2i$`, `$argon2d$` or `$argon2id$`; `{ARGON2}` (LDAP) or `argon2` (Django) before it |

use alloc::vec::Vec;

use argon2::password_hash::phc;
use argon2::{Algorithm, Params, Version};
use base64::Engine as _;
use base64::alphabet::{BCRYPT, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use zeroize::Zeroizing;

use crate::base::secret::same_bytes;
use crate::crypto::{Pbkdf2Hash, pbkdf2, sha256};
use crate::records::password::{PasswordHashError, Workspace};

/// The most that bcrypt may cost: 2¹⁴ rounds, which take a second.
pub(super) const MAX_BCRYPT_COST: u32 = 14;
/// The most iterations of PBKDF2.
pub(super) const MAX_ITERATIONS: u32 = 2_000_000;
/// The most memory of scrypt and Argon2, in KiB.
pub(super) const MAX_MEMORY: u32 = 131_072;
/// The most times that scrypt and Argon2 may fill [`MAX_MEMORY`].
pub(super) const MAX_FILLS: u32 = 4;
/// The most lanes of Argon2.
const MAX_LANES: u32 = 16;
/// The longest text.
const MAX_TEXT: usize = 512;
/// The longest salt, in bytes.
const MAX_SALT: usize = 64;
/// The fewest and the most bytes of a hash. One of fewer is found by guessing.
const OUTPUT: core::ops::RangeInclusive<usize> = 16..=64;
/// The bytes of a password that bcrypt takes.
const BCRYPT_KEY: usize = 72;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
/// Base64 with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
/// The base64 of bcrypt. Some programs leave random bits at the end of a salt.
const BCRYPT64: GeneralPurpose = GeneralPurpose::new(&BCRYPT, LENIENT.with_decode_allow_trailing_bits(true));

/// A hash that has been read, and whose cost is bounded.
#[derive(Debug)]
pub(super) enum Foreign {
    Bcrypt {
        /// True if it is of the password's SHA-256 in hexadecimal digits.
        of_sha256: bool,
        cost: u32,
        salt: [u8; 16],
        output: [u8; 23],
    },
    Scrypt {
        params: scrypt::Params,
        /// Bytes of memory.
        memory: usize,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Pbkdf2 {
        hash: Pbkdf2Hash,
        iterations: u32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Argon2 {
        algorithm: Algorithm,
        version: Version,
        params: Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

type Parsed<T = Foreign> = Result<T, PasswordHashError>;

impl Foreign {
    /// Reads a hash.
    pub(super) fn parse(text: &str) -> Parsed {
        if text.len() > MAX_TEXT {
            return Err(PasswordHashError::Malformed);
        }
        if let Some(rest) = text.strip_prefix("bcrypt_sha256$") {
            return bcrypt(rest, true);
        }
        let text = unwrapped(text);
        match text.trim_start_matches(['$', '{']).get(..6) {
            Some(name) if name.eq_ignore_ascii_case("pbkdf2") => pbkdf2_of(text),
            Some("argon2") => argon2(text),
            Some("scrypt") => scrypt_of(text),
            Some(_) | None => bcrypt(text, false),
        }
    }

    /// Returns true if `password` has this hash; none if there is no memory for it.
    pub(super) fn is_of(&self, password: &[u8]) -> Option<bool> {
        let mut made = Zeroizing::new([0; *OUTPUT.end()]);
        match self {
            Self::Bcrypt { of_sha256, cost, salt, output } => {
                let digest = of_sha256.then(|| Zeroizing::new(HEXLOWER.encode(&sha256(password))));
                let password = digest.as_ref().map_or(password, |digest| digest.as_bytes());
                // A zero ends the password, and belongs to it.
                let mut key = Zeroizing::new([0; BCRYPT_KEY]);
                let length = password.len().saturating_add(1).min(BCRYPT_KEY);
                for (byte, given) in key.iter_mut().zip(password) {
                    *byte = *given;
                }
                let made = Zeroizing::new(bcrypt::bcrypt(*cost, *salt, key.get(..length)?));
                // The last byte is not written.
                return Some(same_bytes(made.get(..output.len())?, output));
            }
            Self::Scrypt { params, memory, salt, output } => {
                // The library asks for the same memory, and does not bear a refusal.
                Vec::<u8>::new().try_reserve_exact(*memory).ok()?;
                scrypt::scrypt(password, salt, params, made.get_mut(..output.len())?).ok()?;
            }
            Self::Pbkdf2 { hash, iterations, salt, output } => {
                pbkdf2(*hash, *iterations, password, salt, made.get_mut(..output.len())?)?;
            }
            Self::Argon2 { algorithm, version, params, salt, output } => {
                // In memory of its own: it may be more than is to be kept.
                let made = made.get_mut(..output.len())?;
                Workspace::default().fill((*algorithm, *version), params, password, salt, made)?;
            }
        }
        Some(same_bytes(made.get(..self.output().len())?, self.output()))
    }

    fn output(&self) -> &[u8] {
        match self {
            Self::Bcrypt { output, .. } => output,
            Self::Scrypt { output, .. } | Self::Pbkdf2 { output, .. } | Self::Argon2 { output, .. } => output,
        }
    }
}

/// Returns `text` without the word of a framework or of LDAP before a hash that says itself what it is.
fn unwrapped(text: &str) -> &str {
    let scheme = text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
    if let Some((scheme, rest)) = scheme
        && ["crypt", "bcrypt", "argon2"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return rest;
    }
    let django = text.strip_prefix("bcrypt$").or_else(|| text.strip_prefix("argon2"));
    django.filter(|rest| rest.starts_with('$')).unwrap_or(text)
}

fn bcrypt(text: &str, of_sha256: bool) -> Parsed {
    let parts = || {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| text.strip_prefix(version))?;
        let (cost, rest) = rest.split_once('$')?;
        let (salt, output) = rest.split_at_checked(22)?;
        let cost = (cost.len() == 2).then(|| number(cost)).flatten()?;
        let (salt, output) = (BCRYPT64.decode(salt).ok()?, BCRYPT64.decode(output).ok()?);
        Some((cost, salt.try_into().ok()?, output.try_into().ok()?))
    };
    let (cost, salt, output) = parts().ok_or(PasswordHashError::Malformed)?;
    match cost {
        0..4 => Err(PasswordHashError::Malformed),
        4..=MAX_BCRYPT_COST => Ok(Foreign::Bcrypt { of_sha256, cost, salt, output }),
        _ => Err(PasswordHashError::BcryptCost),
    }
}

fn scrypt_of(text: &str) -> Parsed {
    let phc = || {
        let [params, salt, output] = fields(text.strip_prefix("$scrypt$")?, '$')?;
        let [log_n, r, p] = fields(params, ',')?;
        let n = 1u32.checked_shl(number(log_n.strip_prefix("ln=")?)?)?;
        let (r, p) = (number(r.strip_prefix("r=")?)?, number(p.strip_prefix("p=")?)?);
        Some(([n, r, p], base64(salt)?, base64(output)?))
    };
    let django = || {
        let [n, salt, r, p, output] = fields(text.strip_prefix("scrypt$")?, '$')?;
        Some(([number(n)?, number(r)?, number(p)?], salt.into(), base64(output)?))
    };
    let werkzeug = || {
        let [params, salt, output] = fields(text.strip_prefix("scrypt:")?, '$')?;
        let [n, r, p] = fields(params, ':')?;
        Some(([number(n)?, number(r)?, number(p)?], salt.into(), hexadecimal(output)?))
    };
    let parts = phc().or_else(django).or_else(werkzeug);
    let ([n, r, p], salt, output) = parts.ok_or(PasswordHashError::Malformed)?;
    if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
        return Err(PasswordHashError::Malformed);
    }
    // A row is r times 128 bytes.
    let memory = n.checked_mul(r).map(|rows| rows.div_ceil(8));
    within_memory(memory, p)?;
    let (salt, output) = sized(salt, output)?;
    let memory = memory.and_then(|kib| usize::try_from(kib).ok()?.checked_mul(1024));
    let log_n = u8::try_from(n.ilog2()).map_err(|_| PasswordHashError::Malformed)?;
    let params = scrypt::Params::new(log_n, r, p).map_err(|_| PasswordHashError::Malformed)?;
    Ok(Foreign::Scrypt { params, memory: memory.ok_or(PasswordHashError::Memory)?, salt, output })
}

fn pbkdf2_of(text: &str) -> Parsed {
    let parts = || {
        let ldap = || text.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let phc = || text.strip_prefix('$').and_then(|rest| rest.split_once('$'));
        let werkzeug = || text.strip_prefix("pbkdf2:").and_then(|rest| rest.split_once(':'));
        let (name, salt, output, rest): (_, Decode, Decode, _) =
            if let Some((name, rest)) = ldap().or_else(phc) {
                (name, base64, base64, rest)
            } else if let Some((name, rest)) = werkzeug() {
                (name, plain, hexadecimal, rest)
            } else {
                let (name, rest) = text.split_once('$')?;
                (name, plain, base64, rest)
            };
        let name = name.to_ascii_lowercase();
        let hash = match name
            .strip_prefix("pbkdf2")
            .map_or(name.as_str(), |hash| hash.trim_start_matches(['-', '_']))
        {
            "" | "sha1" => Pbkdf2Hash::Sha1,
            "sha256" => Pbkdf2Hash::Sha256,
            "sha512" => Pbkdf2Hash::Sha512,
            _ => return None,
        };
        let [iterations, given_salt, given_output] = fields(rest, '$')?;
        // In the PHC format, the length of the output may follow.
        let iterations =
            iterations.strip_prefix("i=").map_or(iterations, |i| i.split(',').next().unwrap_or(i));
        let iterations = number(iterations).filter(|iterations| *iterations > 0)?;
        Some((hash, iterations, salt(given_salt)?, output(given_output)?))
    };
    let (hash, iterations, salt, output) = parts().ok_or(PasswordHashError::Malformed)?;
    let runs = u32::try_from(output.len().div_ceil(hash.length())).unwrap_or(u32::MAX);
    if iterations.checked_mul(runs).is_none_or(|all| all > MAX_ITERATIONS) {
        return Err(PasswordHashError::Iterations);
    }
    let (salt, output) = sized(salt, output)?;
    Ok(Foreign::Pbkdf2 { hash, iterations, salt, output })
}

fn argon2(text: &str) -> Parsed {
    let parts = || {
        let hash = phc::PasswordHash::new(text).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        // The first version did not write its number.
        let version = hash.version.map_or(Some(Version::V0x10), |version| Version::try_from(version).ok())?;
        let params = Params::try_from(&hash).ok()?;
        Some((algorithm, version, params, hash.salt?.as_ref().to_vec(), hash.hash?.as_ref().to_vec()))
    };
    let (algorithm, version, params, salt, output) = parts().ok_or(PasswordHashError::Malformed)?;
    within_memory(Some(params.m_cost()), params.t_cost())?;
    if params.p_cost() > MAX_LANES {
        return Err(PasswordHashError::Memory);
    }
    let (salt, output) = sized(salt, output)?;
    Ok(Foreign::Argon2 { algorithm, version, params, salt, output })
}

/// Checks what is filled with `memory` KiB so many times.
fn within_memory(memory: Option<u32>, times: u32) -> Parsed<()> {
    let memory = memory.filter(|memory| *memory <= MAX_MEMORY);
    let work = memory.and_then(|memory| memory.checked_mul(times));
    if work.is_some_and(|work| work <= MAX_FILLS * MAX_MEMORY) {
        Ok(())
    } else {
        Err(PasswordHashError::Memory)
    }
}

fn sized(salt: Vec<u8>, output: Vec<u8>) -> Parsed<(Vec<u8>, Vec<u8>)> {
    if salt.len() <= MAX_SALT && OUTPUT.contains(&output.len()) {
        Ok((salt, output))
    } else {
        Err(PasswordHashError::Malformed)
    }
}

fn fields<const N: usize>(text: &str, between: char) -> Option<[&str; N]> {
    text.split(between).collect::<Vec<_>>().try_into().ok()
}

/// Reads a number without a sign.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A way in which a salt or a hash is written.
type Decode = fn(&str) -> Option<Vec<u8>>;

fn plain(text: &str) -> Option<Vec<u8>> {
    Some(text.into())
}

/// Reads base64, also with a dot for the plus, as passlib writes it.
fn base64(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.replace('.', "+")).ok()
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString};

    /// Hashes of [`PASSWORD`] by other programs.
    const MADE: &[&str] = &[
        // Python's bcrypt and passlib.
        "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.",
        "$2y$05$R8yd5b9ELv5AtRg0vpHPvOVImp30YyIWGod0XzknJakNM3Ubq7h.y",
        "$2a$05$a.W1.Y0bfIhYO/nWwuay.edYLE5p4rO1.AiDKjL6OYwU3tLqkQa0G",
        "{CRYPT}$2y$05$R8yd5b9ELv5AtRg0vpHPvOVImp30YyIWGod0XzknJakNM3Ubq7h.y",
        "{bcrypt}$2a$05$a.W1.Y0bfIhYO/nWwuay.edYLE5p4rO1.AiDKjL6OYwU3tLqkQa0G",
        // passlib.
        "$pbkdf2$1000$mhMiJMT4XytFKEUIobS2Fg$dFGJsYJTRRMNUgOqBTIrvzvOeVw",
        "$pbkdf2-sha256$1000$5vyfM0ZISSkFwHiP8d47Rw$fHqaMEGgxPbsWML9gTUaorJkvA6qEJiFg9p1Kot2FpQ",
        "$pbkdf2-sha256$i=1000,l=32$5vyfM0ZISSkFwHiP8d47Rw$fHqaMEGgxPbsWML9gTUaorJkvA6qEJiFg9p1Kot2FpQ",
        "{PBKDF2-SHA256}1000$RshZKyXEGAOAsLYWgvDeuw$fS7XcCZbN8cJt/PisYD6K4UURKavUkOZgNXeEqMX6o8",
        "$scrypt$ln=10,r=8,p=1$1BqjVCoFwDjnnLOWknKOMQ$kUJ/LIOYE5ID6aCvawHKMuK9V2WG+isw87FBZl39Pfo",
        // Argon2's reference implementation.
        "$argon2i$v=16$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$F+vI5Ig+mhOoiL7QJ5I+6naFHwCrX0Wpm0NAyBMsIA8",
        "$argon2i$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$F+vI5Ig+mhOoiL7QJ5I+6naFHwCrX0Wpm0NAyBMsIA8",
        "$argon2i$v=19$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$j/TEKiJYQSJ+7cFQqnkFdIRm7u5cXxI0p5YkcJQeUXc",
        "$argon2d$v=16$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$+T06NOfopVHsrcvlSW2qxtFxWSQniiCiD3lGF84R0uk",
        "$argon2d$v=19$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$QGgjNLD4o171SuQTLsjJGz7xmEsN4UdJFYpTBIj1RqQ",
        "$argon2id$v=16$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$M5VGvMvVORBBJKmhztU5mIoiG1HLJOy9pemg0nvkH+o",
        "$argon2id$v=19$m=256,t=2,p=2$c2FsdHNhbHRzYWx0c2FsdA$Z1plu/WheYBWDgKhQYl1V5chWQ5E+M5OvriDp8j2vGU",
        "{ARGON2}$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$BxcK6huShklLZWp7Zro/r/1sLdBZmtcepYit1Xux4JU",
        "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0c2FsdA$LeZbD3UAKvUcACx9il4XPtXtFiDX3/ScRE4eQjOYNyM",
        // Werkzeug.
        "scrypt:1024:8:1$ORUe0xMxIiJJcweH$994c8a72b69540add5458d676d25798da01f1e26a5d602020ac3e5be3e4e6c3145acb19d000262f883bfffc51deab50896178d4e35ef768a619e76ee2159aaf2",
        "pbkdf2:sha256:1000$vL6QlZ1EKtxt3jL9$223df9768bf69960ea6e1463b2e2a542bd5f59c795e160db7cef57f8e1a6dac1",
        "pbkdf2:sha512:1000$vrR5T1L92xsDSNZZ$ea44832b8fe8884b48a99dae4d9e83548085dd3c840bf5ec962e0bdbf6df5bfcc21380bfb9719ff53849961321e029d38c14a600d7c190017be7b178152d389d",
        "pbkdf2:sha1:1000$r8NVwbvhvszPdjlI$f6750ccc5887185b2b4664f1774b493600f508c2",
        // Django.
        "pbkdf2_sha256$1000$somesalt12$WN59NP4FjbM2jInhBAAKsjPYjplp9G3Wlu9udzguW40=",
        "pbkdf2_sha1$1000$somesalt12$a+Cdv8WvxMdUWy4918rX+RvDeh8=",
        "scrypt$1024$somesalt12$8$1$mefjeeX0j4BdytwDqqXdaZWhBTxwFUCy47J0EAvBBf+OOoI/tb9sqjUTWLJ4Lxl54xuRETlItahCdl+SWJ2n6g==",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$c29tZXNhbHQxMg$eNxoJa3V2mLK9APgu1xrFsTbcpALrrPFBkt6+pJq0RU",
        "bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e",
        "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuIvyWZlBcE3WoQXKqRnwrLYJ6nenE0Bq",
    ];
    const PASSWORD: &str = "correct horse";

    #[test]
    fn hashes_of_other_programs() {
        for text in MADE {
            let hash = Foreign::parse(text).unwrap_or_else(|error| panic!("{text} {error}"));
            assert_eq!(hash.is_of(PASSWORD.as_bytes()), Some(true), "{text}");
            assert_eq!(hash.is_of(b"correct horsf"), Some(false), "{text}");
        }
        let long = "x".repeat(72);
        for (text, password) in [
            ("$2b$04$9vN8TMguIYnGAT.c0OmCveVolf4kxFXsxUB5f2TfYMUe7fN/rPKdW", "pässwörd 密码"),
            ("$2b$04$WejEGU.bVwvaTUFORhvc3u3K5Dt83HU3EKDQYPembGv/wYU3GJ2Ge", ""),
            // bcrypt takes the first 72 bytes of a hundred.
            ("$2b$04$58bzEYKkEW4JZUXEnVTjjOeKt9ywMdW61Qz2mSAH77NKe5Q3jpUBu", &long),
            (
                "$pbkdf2-sha512$1000$fi9lzJnTmtNaa43Ruhdi7A$UPUQGEDoQFqRj5jxFeZxsDsVZmxjrdRp.LCkwQ3o2NOjAtY7zMX3NlTQ9Ayy4rzv40tKJuoKbzC6LSKB7OPuPw",
                "pässwörd 密码",
            ),
            (
                "$scrypt$ln=8,r=4,p=3$2BsDoFRqTSnF+J+ztpayVg$o034lCUTgQmyrnqF/hD6AoRA/Mw/YLea/p/Uy4W4FiU",
                "pässwörd 密码",
            ),
        ] {
            assert_eq!(Foreign::parse(text).unwrap().is_of(password.as_bytes()), Some(true), "{text}");
        }
    }

    #[test]
    fn what_costs_too_much_or_is_no_hash() {
        use PasswordHashError::{BcryptCost, Iterations, Malformed, Memory};
        let bcrypt =
            |cost: &str| ["$2b$", cost, "$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7."].concat();
        let scrypt =
            |cost: &str| ["$scrypt$", cost, "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"].concat();
        let pbkdf2 = |rest: &str| ["$pbkdf2-sha256$", rest].concat();
        let argon2 =
            |cost: &str| ["$argon2id$v=19$", cost, "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"].concat();
        let salted = "$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA";
        for (text, expected) in [
            (bcrypt("14"), Ok(())),
            (bcrypt("15"), Err(BcryptCost)),
            (bcrypt("99"), Err(BcryptCost)),
            (bcrypt("03"), Err(Malformed)),
            (bcrypt("4"), Err(Malformed)),
            (bcrypt("+4"), Err(Malformed)),
            (bcrypt("04").replace("$2b", "$2x"), Err(Malformed)),
            (bcrypt("04").replace("7.", "7"), Err(Malformed)),
            (bcrypt("04") + "A", Err(Malformed)),
            (scrypt("ln=17,r=8,p=1"), Ok(())),
            (scrypt("ln=17,r=8,p=4"), Ok(())),
            (scrypt("ln=17,r=8,p=5"), Err(Memory)),
            (scrypt("ln=18,r=8,p=1"), Err(Memory)),
            (scrypt("ln=31,r=4294967295,p=1"), Err(Memory)),
            (scrypt("ln=1,r=1,p=4294967295"), Err(Memory)),
            (scrypt("ln=32,r=8,p=1"), Err(Malformed)),
            (scrypt("ln=0,r=8,p=1"), Err(Malformed)),
            (scrypt("ln=4,r=0,p=1"), Err(Malformed)),
            (scrypt("ln=4,r=8,p=0"), Err(Malformed)),
            (scrypt("ln=4,r=8"), Err(Malformed)),
            ("scrypt:1023:8:1$salt$994c8a72b69540add5458d676d25798d".to_string(), Err(Malformed)),
            ("scrypt:1024:8:1$salt$994c8a72b69540add5458d676d25798d".to_string(), Ok(())),
            ("scrypt:1024:8:1$salt$994c8a72b69540add5458d676d2579".to_string(), Err(Malformed)),
            (pbkdf2(&["2000000", salted].concat()), Ok(())),
            (pbkdf2(&["2000001", salted].concat()), Err(Iterations)),
            (pbkdf2(&["4294967295", salted].concat()), Err(Iterations)),
            (pbkdf2(&["1000001", salted, &"A".repeat(21)].concat()), Ok(())),
            (pbkdf2(&["1000001", salted, &"A".repeat(22)].concat()), Err(Iterations)),
            (pbkdf2(&["0", salted].concat()), Err(Malformed)),
            (pbkdf2(&["1", salted, &"A".repeat(66)].concat()), Err(Malformed)),
            (pbkdf2("1$AAAA$"), Err(Malformed)),
            (pbkdf2("1$AAAA"), Err(Malformed)),
            (pbkdf2(salted), Err(Malformed)),
            ("$pbkdf2-md5$1$AAAA$AAAAAAAAAAAAAAAAAAAAAA".to_string(), Err(Malformed)),
            (argon2("m=131072,t=4,p=16"), Ok(())),
            (argon2("m=131072,t=5,p=1"), Err(Memory)),
            (argon2("m=131073,t=1,p=1"), Err(Memory)),
            (argon2("m=4294967295,t=4294967295,p=1"), Err(Memory)),
            (argon2("m=1024,t=1,p=17"), Err(Memory)),
            (argon2("m=7,t=1,p=1"), Err(Malformed)),
            (argon2("m=8,t=1,p=1") + "!", Err(Malformed)),
            (String::new(), Err(Malformed)),
            ("{".to_string(), Err(Malformed)),
            ("{CRYPT}".to_string(), Err(Malformed)),
            ("{CRYPT}$6$saltsalt$abc".to_string(), Err(Malformed)),
            ("5f4dcc3b5aa765d61d8327deb882cf99".to_string(), Err(Malformed)),
            ("密码密码".to_string(), Err(Malformed)),
            ("$".repeat(600), Err(Malformed)),
        ] {
            assert_eq!(Foreign::parse(&text).map(|_| ()), expected, "{text}");
        }
    }
}
