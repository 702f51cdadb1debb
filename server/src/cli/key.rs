//! `gatepass key`: keys that sign tokens. One signs at a time; published keys wait to, others verify only.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Subcommand;
use gatepass_core::admin::keys::{AddKey, ListKeys, RetireKey, RotateKey, Rotated};
use gatepass_core::admin::{AdminError, Item, Obstacle};
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::jose::import;
use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::signing_key::KeyRecord;
use zeroize::Zeroizing;

use super::context::Context;
use crate::error::OperationError;
use crate::error::ProgramError;
use crate::output::Record;
use crate::secrets::key_generation::generate;
use crate::store::{Access, AdminSession};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List every key
    List,
    /// Generate a key, and publish it
    Generate {
        /// RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, Ed25519, HS256, HS384 or HS512
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Algorithm,
        /// Sign with it from now on; the former key only verifies
        #[arg(long)]
        activate: bool,
    },
    /// Import a key: PKCS#8, PKCS#1 or SEC 1 in PEM or DER, or a private JWK
    Import {
        /// The file of the key, or - for standard input
        file: String,
        /// The algorithm of the key [default: what the file says, or the usual one of its type]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Sign with it from now on; the former key only verifies
        #[arg(long)]
        activate: bool,
    },
    /// Sign with a key that has been published for a while; if there is none, publish one and say when to rotate again
    Rotate {
        /// The algorithm of the new key [default: that of the signing key]
        #[arg(long, value_name = "ALG", value_parser = algorithm)]
        alg: Option<Algorithm>,
        /// Sign at once, also with a new key; verifiers with an older copy of the key set refuse its tokens meanwhile
        #[arg(long)]
        now: bool,
    },
    /// Replace the master key, which encrypts the private keys in the database
    RotateMaster {
        /// The file of the new key [default: that of the old key, which is kept beside it]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Remove a key; tokens it signed are refused from now on
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

fn record(key: &KeyRecord, state: &'static str) -> Record {
    Record::new().with("kid", key.id.as_str()).with("alg", key.algorithm.as_str()).with("state", state)
}

fn in_its_state(key: &KeyRecord) -> Record {
    record(key, key.state.as_str())
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::List => {
            let keys = context.reading()?.run(ListKeys)?;
            let shown = |key: &KeyRecord| in_its_state(key).with("created_at", key.created_at.rfc3339());
            let keys: Vec<Record> = keys.iter().map(shown).collect();
            Ok(context.out.list(&["kid", "alg", "state", "created_at"], &keys)?)
        }
        Verb::Generate { alg, activate } => {
            let admin = context.writing()?;
            add(context, &admin, generate(alg)?, activate)
        }
        Verb::Import { file, alg, activate } => {
            let bytes = read(&file)?;
            let key = import::import(&bytes, alg)
                .map_err(|error| ProgramError::failed(format!("{file}: {error}")))?;
            add(context, &context.writing()?, key, activate)
        }
        Verb::Rotate { alg, now } => rotate(context, alg, now),
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
        Verb::Retire { kid } => {
            let retired = context.writing()?.run(RetireKey { id: kid.clone() }).map_err(|error| {
                error.told(|error| {
                    (*error == AdminError::Refused(Obstacle::KeySigns)).then(|| {
                        ProgramError::failed(format!(
                            "the key {kid} is the one that signs: run `gatepass key rotate` first"
                        ))
                    })
                })
            })?;
            Ok(context.out.one(&record(&retired, "retired"))?)
        }
    }
}

fn add(context: &Context, admin: &AdminSession, key: SigningKey, activate: bool) -> Result<(), ProgramError> {
    let added = admin.run(AddKey { key, activate }).map_err(told)?;
    Ok(context.out.one(&in_its_state(&added))?)
}

fn told(error: OperationError) -> ProgramError {
    error.told(|error| {
        let AdminError::AlreadyExists(Item::Key(id)) = error else { return None };
        Some(ProgramError::failed(format!(
            "the key {id} is there already: `gatepass key list` shows it; to replace it, retire it first"
        )))
    })
}

fn rotate(context: &Context, algorithm: Option<Algorithm>, at_once: bool) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let mut made = None;
    loop {
        match admin.run(RotateKey { algorithm, at_once, made }).map_err(told)? {
            Rotated::Signs(key) => {
                if at_once {
                    let seconds = admin.settings.key_set_lifetime;
                    // A closed stderr cannot be reported.
                    let _ = writeln!(
                        io::stderr(),
                        "gatepass: whoever holds a copy of the key set from before {} was published refuses its tokens, for up to {seconds} s",
                        key.id
                    );
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
