//! `gatepass key`: keys that sign tokens. One of each algorithm signs; published keys wait to, others verify only.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Subcommand;
use gatepass_core::admin::keys::{
    ActivateKey, AddKey, ListKeys, ListedKey, RetireKey, RotateKey, Rotated, StopKey,
};
use gatepass_core::admin::{AdminError, Item, Obstacle};
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::{Algorithm, KeyType};
use gatepass_core::jose::import;
use gatepass_core::jose::key::{KeySet, SigningKey};
use gatepass_core::records::signing_key::{KeyRecord, StoredKey};
use zeroize::Zeroizing;

use super::context::Context;
use crate::error::OperationError;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::key_generation::generate;
use crate::store::AdminSession;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List every key
    List,
    /// Generate a key, and publish it
    Generate {
        /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519, HS256, HS384 or HS512
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Algorithm,
        /// Sign with it from now on, whether or not verifiers know it; the former key only verifies
        #[arg(long)]
        activate: bool,
        /// Sign only for clients that choose its algorithm; the default key stays as it is
        #[arg(long)]
        beside: bool,
    },
    /// Import a key: PKCS#8, PKCS#1 or SEC 1 in PEM or DER, or a private JWK
    Import {
        /// The file of the key, or - for standard input
        file: String,
        /// The algorithm of the key [default: what the file says, or the usual one of its type]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Sign with it from now on, whether or not verifiers know it; the former key only verifies
        #[arg(long)]
        activate: bool,
        /// Sign only for clients that choose its algorithm; the default key stays as it is
        #[arg(long)]
        beside: bool,
    },
    /// Sign with a key that has been published for a while; if there is none, publish one and say when to rotate again
    Rotate {
        /// The algorithm of the new key [default: that of the default key]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Sign at once, also with a new key; verifiers with an older copy of the key set refuse its tokens meanwhile
        #[arg(long)]
        now: bool,
        /// Sign only for clients that choose its algorithm; the default key stays as it is
        #[arg(long)]
        beside: bool,
    },
    /// Sign with one key, once verifiers know it
    Activate {
        /// The key's id
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Make it the default key, which signs for every client that chooses no algorithm
        #[arg(long, conflicts_with = "beside")]
        default: bool,
        /// Sign only for clients that choose its algorithm
        #[arg(long)]
        beside: bool,
        /// Sign at once; verifiers with an older copy of the key set refuse its tokens meanwhile
        #[arg(long)]
        now: bool,
    },
    /// Print public keys as a JWK set, or as PEM
    Export {
        /// The key's id [default: every key that has a public part]
        #[arg(allow_hyphen_values = true)]
        kid: Option<String>,
        /// Print SubjectPublicKeyInfo in PEM
        #[arg(long)]
        pem: bool,
    },
    /// Replace the master key, which encrypts the private keys in the database
    RotateMaster {
        /// The file of the new key [default: that of the old key, which is kept beside it]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Remove a key when no token that it signed is still good
    Retire {
        /// The key's id
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// Remove it at once; tokens it signed are refused from now on
        #[arg(long)]
        now: bool,
    },
}

pub(super) fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
        format!("choose one of {}", known.join(", "))
    })
}

fn record(key: &KeyRecord, state: &'static str) -> Record {
    Record::new().with("kid", key.id.as_str()).with("alg", key.algorithm.as_str()).with("state", state)
}

fn in_its_state(key: &KeyRecord) -> Record {
    record(key, key.state.as_str()).with("default", key.is_default())
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::List => {
            let admin = context.reading()?;
            let shown = |ListedKey { key, signs_from }: &ListedKey| {
                in_its_state(key)
                    .with("created_at", key.created_at.rfc3339())
                    .with("signs_from", signs_from.map(Time::rfc3339))
                    .with("retire_from", key.retire_from.map(Time::rfc3339))
            };
            let keys: Vec<Record> = admin.run(ListKeys)?.iter().map(shown).collect();
            let columns = &["kid", "alg", "state", "default", "created_at", "signs_from", "retire_from"];
            Ok(context.out.list(columns, &keys)?)
        }
        Verb::Generate { alg, activate, beside } => {
            let admin = context.writing()?;
            let key = generate(alg)?;
            add(context, &admin, AddKey { key, activate, beside })
        }
        Verb::Import { file, alg, activate, beside } => {
            let bytes = read(&file)?;
            let key = import::import(&bytes, alg)
                .map_err(|error| ProgramError::failed(format!("{file}: {error}")))?;
            add(context, &context.writing()?, AddKey { key, activate, beside })
        }
        Verb::Rotate { alg, now, beside } => rotate(context, alg, now, beside),
        Verb::Activate { kid, default, beside, now } => {
            let admin = context.writing()?;
            let beside = (default || beside).then_some(beside);
            let activate = ActivateKey { id: kid.clone(), at_once: now, beside };
            let key = admin.run(activate).map_err(|error| failure(error, &kid))?;
            if now {
                warn_of_copies(&admin, &key);
            }
            Ok(context.out.one(&in_its_state(&key))?)
        }
        Verb::Export { kid, pem } => export(context, kid.as_deref(), pem),
        Verb::RotateMaster { to } => {
            let admin = context.writing()?;
            let rotated = admin.store.rotate_master_key(to.as_deref())?;
            let record = Record::new()
                .with("master_key", rotated.key.display().to_string())
                .with("old_master_key", rotated.old.display().to_string())
                .with("sealed", rotated.sealed);
            context.out.one(&record)?;
            if context.installation()?.server.is_some() {
                let key = rotated.key.display();
                context.out.say(&format!(
                    "Copy {key} over the master key on every other machine now: a server without it answers 503 until it is there."
                ))?;
            }
            Ok(())
        }
        Verb::Retire { kid, now } => retire(context, &kid, now),
    }
}

/// Removes a key. One that signs beside the default key stops first, and is removed later or, with `at_once`, now.
fn retire(context: &Context, kid: &str, at_once: bool) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let retire = || RetireKey { id: kid.to_owned(), at_once };
    let retired = match admin.run(retire()) {
        Err(OperationError::Refused(AdminError::Refused(Obstacle::KeySignsBeside))) => {
            let stop = StopKey { id: kid.to_owned() };
            let stopped = admin.run(stop).map_err(|error| failure(error, kid))?;
            if !at_once {
                let from = stopped.retire_from.map(Time::rfc3339).unwrap_or_default();
                context.out.one(&in_its_state(&stopped).with("retire_from", from.as_str()))?;
                return Ok(context.out.say(&format!(
                    "It signs no more. Tokens that it signed are good until then: run `gatepass key retire {kid}` again at {from} or later."
                ))?);
            }
            admin.run(retire())
        }
        retired => retired,
    };
    let key = retired.map_err(|error| failure(error, kid))?;
    Ok(context.out.one(&record(&key, "retired"))?)
}

fn add(context: &Context, admin: &AdminSession, add: AddKey) -> Result<(), ProgramError> {
    let (id, activate) = (add.key.key_id().to_owned(), add.activate);
    let is_first = activate && admin.run(ListKeys)?.is_empty();
    let added = admin.run(add).map_err(|error| failure(error, &id))?;
    // Nobody has a copy of a key set that was empty.
    if activate && !is_first {
        warn_of_copies(admin, &added);
    }
    Ok(context.out.one(&in_its_state(&added))?)
}

/// Warns of a key that signs before every copy of the key set holds it.
fn warn_of_copies(admin: &AdminSession, key: &KeyRecord) {
    let seconds = admin.settings.key_set_lifetime;
    // A closed stderr cannot be reported.
    let _ = writeln!(
        io::stderr(),
        "gatepass: whoever holds a copy of the key set from before {} was published refuses its tokens, for up to {seconds} s",
        key.id
    );
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an error without words of its own keeps the general ones"
)]
fn failure(error: OperationError, kid: &str) -> ProgramError {
    error.into_message(|error| {
        let said = match error {
            AdminError::AlreadyExists(Item::Key(id)) => format!(
                "the key {id} is there already: `gatepass key list` shows it; to replace it, retire it first"
            ),
            AdminError::Refused(Obstacle::KeySigns) => {
                format!("the key {kid} is the one that signs by default: run `gatepass key rotate` first")
            }
            AdminError::Refused(Obstacle::KeyIsChosen(algorithm)) => format!(
                "the key {kid} signs for clients that choose {algorithm}: run `gatepass key rotate --alg {algorithm}`, or \
                 have them choose none by `gatepass client set ID --signing-alg \"\"`"
            ),
            AdminError::Refused(Obstacle::KeyIsNew { from }) => format!(
                "copies of the key set may not hold the key {kid} yet: activate it at {from} or later, or with --now"
            ),
            AdminError::Refused(Obstacle::KeyVerifies { until }) => format!(
                "tokens that the key {kid} signed may still be good: retire it at {until} or later, or with --now, and they \
                 are refused from then on"
            ),
            _ => return None,
        };
        Some(ProgramError::failed(said))
    })
}

/// Prints public keys. A shared key has no public part.
fn export(context: &Context, kid: Option<&str>, pem: bool) -> Result<(), ProgramError> {
    let stored = context.reading()?.store.keys()?.keys;
    let named = stored.iter().filter(|key| kid.is_none_or(|kid| key.record.id == kid));
    let keys = named.map(StoredKey::signing_key).collect::<Result<Vec<_>, _>>();
    let keys = keys.map_err(|_| ProgramError::failed("a key cannot be used: run `gatepass check`"))?;
    let shared = keys.iter().all(|key| key.algorithm().key_type() == KeyType::Octets);
    match kid {
        Some(kid) if keys.is_empty() => {
            return Err(AdminError::NotFound(Item::Key(kid.to_owned())).into());
        }
        Some(kid) if shared => {
            return Err(ProgramError::failed(format!(
                "the key {kid} is a shared secret: it has no public part to export"
            )));
        }
        Some(_) | None => {}
    }
    if !pem {
        let set = KeySet::new(keys.iter().filter_map(|key| key.verifying_key().ok()).collect());
        return Ok(context.out.text(&format!("{}\n", set.public_jwk_set()))?);
    }
    let texts = keys.iter().filter_map(|key| Some((key, key.public_pem()?)));
    if !context.out.json {
        return Ok(context.out.text(&texts.map(|(_, pem)| pem).collect::<String>())?);
    }
    let shown = |(key, pem): (&SigningKey, String)| {
        Record::new().with("kid", key.key_id()).with("alg", key.algorithm().as_str()).with("pem", pem)
    };
    Ok(context.out.list(&[], &texts.map(shown).collect::<Vec<_>>())?)
}

fn rotate(
    context: &Context,
    algorithm: Option<Algorithm>,
    at_once: bool,
    beside: bool,
) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let mut made = None;
    loop {
        let rotate = RotateKey { algorithm, at_once, beside, made };
        match admin.run(rotate).map_err(|error| failure(error, ""))? {
            Rotated::Signs(key) => {
                if at_once {
                    warn_of_copies(&admin, &key);
                }
                return Ok(context.out.one(&in_its_state(&key))?);
            }
            Rotated::Waits { key, from } => {
                let from = from.rfc3339();
                context.out.one(&in_its_state(&key).with("signs_from", from.as_str()))?;
                return Ok(context.out.say(&format!(
                    "It signs nothing yet: copies of the key set have to know it first. Run `gatepass key rotate` again at {from} or later."
                ))?);
            }
            Rotated::NeedsKey(algorithm) => made = Some(generate(algorithm)?),
        }
    }
}

fn read(file: &str) -> Result<Zeroizing<Vec<u8>>, ProgramError> {
    let failed = |error: io::Error| ProgramError::failed(format!("cannot read the key {file}: {error}"));
    let mut bytes = Zeroizing::new(Vec::with_capacity(import::MAX_BYTES + 1));
    let limit = u64::try_from(import::MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if file == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        File::open(file).and_then(|file| file.take(limit).read_to_end(&mut bytes)).map_err(failed)?;
    }
    Ok(bytes)
}
