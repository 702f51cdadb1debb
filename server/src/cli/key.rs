//! `gatepass key`: keys that sign tokens. One signs at a time; published keys wait to, others verify only.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::Subcommand;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::jose::import;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::store::audit::{Event, Kind};
use zeroize::Zeroizing;

use crate::store::AdminSession;

use super::context::Context;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::key_generation;
use crate::store::{Access, KeyChange, KeyState, SigningKeys, StoreError, StoredKey};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List every key
    List,
    /// Make a key, and publish it
    Generate {
        /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Algorithm,
        /// Sign with it from now on; the former key verifies only
        #[arg(long)]
        activate: bool,
    },
    /// Take over a key that others made: PKCS#8, PKCS#1 or SEC 1 in PEM or DER, or a private JWK
    Import {
        /// The key's file, or - for standard input
        file: String,
        /// The algorithm it is for [default: what the file says, or the usual one of its type]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Sign with it from now on; the former key verifies only
        #[arg(long)]
        activate: bool,
    },
    /// Sign with the key that was published last from now on, or with a new one where none waits
    Rotate {
        /// The algorithm [default: of the key that signs now]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
    },
    /// Replace the master key, which seals the private keys in the database
    RotateMaster {
        /// Where the new key goes [default: the old one's place, the old one is kept beside it]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Remove a key; what it signed is refused from now on
    Retire {
        /// The key's id
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
}

fn algorithm(name: &str) -> Result<Algorithm, String> {
    Algorithm::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(name)).ok_or_else(|| {
        let known: Vec<&str> = Algorithm::ALL.iter().map(|known| known.as_str()).collect();
        format!("choose one of {}", known.join(", "))
    })
}

fn record(kid: &str, alg: &str, state: &'static str) -> Record {
    Record::new().with("kid", kid).with("alg", alg).with("state", state)
}

fn event(kind: Kind, kid: &str, now: Time) -> Event {
    Event { key: Some(kid.to_owned()), ..Event::new(kind, now) }
}

/// Puts `key` into the store, to sign from now on or to wait.
pub(crate) fn insert(
    store: &dyn SigningKeys,
    key: &SigningKey,
    activate: bool,
    now: Time,
) -> Result<(), StoreError> {
    let kid = key.key_id().to_owned();
    let mut events = vec![event(Kind::KeyAdded, &kid, now)];
    if activate {
        events.push(event(Kind::KeyActivated, &kid, now));
    }
    let change = KeyChange::Insert {
        kid,
        alg: key.algorithm().as_str().to_owned(),
        storage: key.to_private_jwk(),
        created_at: now,
        state: if activate { KeyState::Signing } else { KeyState::Published },
    };
    store.change_keys(change, &events)
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::List => {
            let keys = context.reading()?.store.keys()?.keys;
            let shown = |key: &StoredKey| {
                record(&key.kid, &key.alg, key.state.as_str()).with("created_at", key.created_at.rfc3339())
            };
            let keys: Vec<Record> = keys.iter().map(shown).collect();
            Ok(context.out.list(&["kid", "alg", "state", "created_at"], &keys)?)
        }
        Verb::Generate { alg, activate } => {
            let admin = context.writing()?;
            add(context, &admin, &generate(alg)?, activate)
        }
        Verb::Import { file, alg, activate } => {
            let bytes = read(&file)?;
            let key = import::import(&bytes, alg)
                .map_err(|error| ProgramError::failed(format!("{file}: {error}")))?;
            add(context, &context.writing()?, &key, activate)
        }
        Verb::Rotate { alg } => rotate(context, alg),
        Verb::RotateMaster { to } => {
            let (admin, store) = context.open_sqlite(Access::Write)?;
            admin.warn_of_clock();
            let rotated = store.rotate_master_key(to.as_deref())?;
            let record = Record::new()
                .with("master_key", rotated.key.display().to_string())
                .with("old_master_key", rotated.old.display().to_string())
                .with("sealed", rotated.sealed);
            Ok(context.out.one(&record)?)
        }
        Verb::Retire { kid } => retire(context, &kid),
    }
}

pub(crate) fn generate(alg: Algorithm) -> Result<SigningKey, ProgramError> {
    key_generation::generate(alg).map_err(|error| ProgramError::failed(error.to_string()))
}

fn add(
    context: &Context,
    admin: &AdminSession,
    key: &SigningKey,
    activate: bool,
) -> Result<(), ProgramError> {
    let kid = key.key_id();
    if admin.store.keys()?.keys.iter().any(|stored| stored.kid == kid) {
        return Err(ProgramError::failed(format!(
            "the key {kid} is there already: `gatepass key list` shows it; to replace it, retire it first"
        )));
    }
    insert(&*admin.store, key, activate, admin.now)?;
    let state = if activate { KeyState::Signing } else { KeyState::Published };
    Ok(context.out.one(&record(kid, key.algorithm().as_str(), state.as_str()))?)
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

fn rotate(context: &Context, alg: Option<Algorithm>) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let keys = admin.store.keys()?.keys;
    let waiting = keys
        .iter()
        .filter(|key| key.state == KeyState::Published && alg.is_none_or(|alg| alg.as_str() == key.alg))
        .max_by_key(|key| key.created_at);
    if let Some(key) = waiting {
        let events = [event(Kind::KeyActivated, &key.kid, admin.now)];
        admin.store.change_keys(KeyChange::Activate { kid: key.kid.clone() }, &events)?;
        return Ok(context.out.one(&record(&key.kid, &key.alg, KeyState::Signing.as_str()))?);
    }
    let current = keys.iter().find(|key| key.state == KeyState::Signing);
    let current = current.and_then(|key| Algorithm::parse(&key.alg));
    add(context, &admin, &generate(alg.or(current).unwrap_or(Algorithm::Rs256))?, true)
}

fn retire(context: &Context, kid: &str) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let keys = admin.store.keys()?.keys;
    let key = keys.iter().find(|key| key.kid == kid).ok_or_else(|| {
        ProgramError::failed(format!("there is no key {kid:?}: `gatepass key list` shows those there are"))
    })?;
    if key.state == KeyState::Signing {
        return Err(ProgramError::failed(format!(
            "the key {kid} is the one that signs: run `gatepass key rotate` first"
        )));
    }
    admin
        .store
        .change_keys(KeyChange::Retire { kid: kid.to_owned() }, &[event(Kind::KeyRetired, kid, admin.now)])?;
    Ok(context.out.one(&record(kid, &key.alg, "retired"))?)
}
