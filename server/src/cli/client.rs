//! `gatepass client`: services with their own credentials.

use std::fs::File;
use std::io::{self, Read};

use clap::{Args, Subcommand};
use gatepass_core::admin::client_secrets::{
    AddSecret, ClientWithSecret, EndSecrets, FormerSecrets, ImportedSecret, SecretsToEnd,
};
use gatepass_core::admin::clients::{
    AddClient, ChangedClient, ClientFilter, DeleteClient, DisableClient, EnableClient, ListClients,
    SetClient, ShowClient,
};
use gatepass_core::admin::roles::SetClientRoles;
use gatepass_core::admin::{AdminError, ClientFields, Field, Invalid, Item, Obstacle, Operation};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::client::{Client, ClientSecret};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::{ClientId, SecretId};
use gatepass_core::records::scope::Scope;
use serde_json::Value;

use super::context::Context;
use super::edit::{ask_factor, parsed, role_words, roles, stdin};
use super::key::algorithm;
use crate::error::{OperationError, ProgramError};
use crate::output::Record;

/// The message about a client that was disabled or deleted.
const ENDED: &str = "Ended with it: its tokens, tickets and sessions, and those it issued for other clients.";
/// The message about a scope that was narrowed.
const NARROWED: &str = "The scope is narrower than before: it holds for the client's tokens and for the sessions it issued from now on; \
                        tickets that ask for more are refused.";
/// The message about a secret that was printed.
const NOT_KEPT: &str = "The secret is not kept and cannot be shown again.";
/// The bytes of a JWK set that are read. The keys that a client may have take a tenth of it.
const MAX_KEY_SET_BYTES: u64 = 64 * 1024;
/// The longest secret that standard input may have, in bytes.
const MAX_SECRET_BYTES: usize = 1024;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Add a client, and print its secret once
    Add {
        /// Its client_id: 1 to 64 of A-Z a-z 0-9 . _ ~ -
        id: String,
        #[command(flatten)]
        fields: Fields,
        /// Read the secret from standard input (at least 32 characters) instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Change a client; an option left out changes nothing, an empty value clears. A narrower scope limits tokens and tickets already issued, too
    Set {
        /// Its client_id
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// List every client
    List,
    /// Show one client; its secrets are not stored and cannot be shown
    Show {
        /// Its client_id
        id: String,
    },
    /// Refuse a client from now on, and end the tickets, challenges, sessions and tokens issued by it or for it
    Disable {
        /// Its client_id
        id: String,
    },
    /// Accept a disabled client again; what ended when it was disabled stays ended
    Enable {
        /// Its client_id
        id: String,
    },
    /// Delete a client, and end what was issued by it or for it; a client added later under the same id inherits nothing
    Delete {
        /// Its client_id
        id: String,
    },
    /// Add a new secret to a client, and print it once
    RotateSecret {
        /// Its client_id
        id: String,
        /// Time for which the former secrets stay valid
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        overlap: u32,
        /// Read the new secret from standard input (at least 32 characters) instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Add one more secret to a client, leave its others as they are, and print it once
    AddSecret {
        /// Its client_id
        id: String,
        /// Time after which the new secret ends [default: never]
        #[arg(long, value_name = "SECONDS")]
        lifetime: Option<u32>,
    },
    /// End one secret of a client
    EndSecret {
        /// Its client_id
        id: String,
        /// The secret's id: `gatepass client show` lists them
        secret: String,
        /// Time for which the secret stays valid
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        overlap: u32,
    },
}

#[derive(Debug, Args)]
pub(super) struct Fields {
    /// A name for people to read
    #[arg(long)]
    name: Option<String>,
    /// The scope it may request: names separated by one space
    #[arg(long)]
    scope: Option<String>,
    /// The scope it gets if it requests none; without one, it must request a scope
    #[arg(long)]
    default_scope: Option<String>,
    /// An audience of its tokens, besides this server; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// Lifetime of its own access tokens, 1 to 86400 [default: client_token_lifetime]
    #[arg(long, value_name = "SECONDS")]
    token_lifetime: Option<String>,
    /// Lifetime of access tokens of users signed in for it, 1 to 86400 [default: user_token_lifetime]
    #[arg(long, value_name = "SECONDS")]
    user_token_lifetime: Option<String>,
    /// When a second factor is asked of users who sign in for it: never, risk or always [default: second_factor]
    #[arg(long, value_name = "WHEN")]
    second_factor: Option<String>,
    /// Believe its requests about the user before it: address, user agent and device [default: false]
    #[arg(long, value_name = "true|false")]
    trusted_context: Option<bool>,
    /// The algorithm that signs its tokens and those of users signed in for it: one that a key signs by [default: the default key's]
    #[arg(long, value_name = "ALG")]
    signing_alg: Option<String>,
    /// What it may administer over HTTP: operator, officer or auditor; may be repeated where separate_roles is false
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// A file with a JWK set of its public keys, for clients that authenticate by private_key_jwt; `-` for standard input
    #[arg(long, value_name = "FILE")]
    jwks: Option<String>,
}

impl Fields {
    fn read(&self) -> Result<ClientFields, ProgramError> {
        let mut fields = ClientFields::default();
        if let Some(name) = &self.name {
            fields = fields.name(name)?;
        }
        if let Some(scope) = &self.scope {
            fields = fields.scope(parsed("--scope", scope, Scope::parse)?).map_err(|_| {
                ProgramError::usage("a scope of gatepass:… is the server's own and no client's")
            })?;
        }
        if let Some(scope) = &self.default_scope {
            fields = fields.default_scope(parsed("--default-scope", scope, Scope::parse)?);
        }
        for audience in &self.audience {
            fields = fields.audience(audience).map_err(|error| audience_failure(error, audience))?;
        }
        if let Some(seconds) = &self.token_lifetime {
            let set = fields.token_lifetime(whole(seconds));
            fields = set.map_err(|error| lifetime_failure(error, "--token-lifetime", seconds))?;
        }
        if let Some(seconds) = &self.user_token_lifetime {
            let set = fields.user_token_lifetime(whole(seconds));
            fields = set.map_err(|error| lifetime_failure(error, "--user-token-lifetime", seconds))?;
        }
        if let Some(when) = &self.second_factor {
            fields = fields.second_factor(ask_factor(when)?);
        }
        if let Some(trusted) = self.trusted_context {
            fields = fields.trusted_context(trusted);
        }
        if let Some(name) = &self.signing_alg {
            let chosen = (!name.is_empty()).then(|| algorithm(name)).transpose();
            let chosen = chosen.map_err(|known| ProgramError::usage(format!("--signing-alg: {known}")))?;
            fields = fields.signing_algorithm(chosen);
        }
        match self.jwks.as_deref() {
            None => {}
            Some("") => fields = fields.keys(None)?,
            Some(file) => {
                let set = key_set(file)?;
                fields = fields.keys(Some(&set)).map_err(|error| keys_failure(error, file))?;
            }
        }
        Ok(fields)
    }
}

/// Reads the file of a JWK set.
fn key_set(file: &str) -> Result<Vec<u8>, ProgramError> {
    let failed = |error: io::Error| ProgramError::failed(format!("cannot read the JWK set {file}: {error}"));
    let mut bytes = Vec::new();
    if file == "-" {
        io::stdin().lock().take(MAX_KEY_SET_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        let read = File::open(file).and_then(|file| file.take(MAX_KEY_SET_BYTES).read_to_end(&mut bytes));
        read.map_err(failed)?;
    }
    Ok(bytes)
}

fn keys_failure(error: AdminError, file: &str) -> ProgramError {
    if let AdminError::Invalid { reason: Invalid::Keys(error), .. } = error {
        return ProgramError::failed(format!("the JWK set {file} cannot be used: {error}"));
    }
    error.into()
}

/// Reads a number of seconds. Any other text, also an empty one, gives none.
fn whole(given: &str) -> Option<u32> {
    if given.is_empty() { None } else { Some(given.parse().unwrap_or(0)) }
}

fn audience_failure(error: AdminError, given: &str) -> ProgramError {
    if let AdminError::Invalid { reason: Invalid::NotOneWord { longest }, .. } = error {
        return ProgramError::usage(format!(
            "an audience is 1 to {longest} characters without white space, not {given:?}"
        ));
    }
    if let AdminError::Invalid { reason: Invalid::TooMany { most }, .. } = error {
        return ProgramError::usage(format!("a client has at most {most} audiences"));
    }
    error.into()
}

fn lifetime_failure(error: AdminError, flag: &str, given: &str) -> ProgramError {
    if let AdminError::Invalid { reason: Invalid::OutOfRange { most }, .. } = error {
        return ProgramError::usage(format!(
            "{flag} {given:?} is not a whole number of seconds from 1 to {most}"
        ));
    }
    error.into()
}

/// Returns the message for an error of an operation on one client, if it has one of its own.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "an error without words of its own keeps the general ones"
)]
fn words(error: &AdminError, id: &ClientId) -> Option<ProgramError> {
    match error {
        AdminError::Invalid {
            field: Field::DefaultScope,
            reason: Invalid::NotWithinScope { default_scope, scope },
        } => Some(ProgramError::usage(format!(
            "the default scope \"{default_scope}\" is not within the scope \"{scope}\": widen --scope or narrow \
             --default-scope"
        ))),
        AdminError::Invalid { field: Field::ClientId, reason: Invalid::Reserved } => {
            Some(ProgramError::usage(format!("{id} is this server's own name: choose another id")))
        }
        AdminError::AlreadyExists(_) => Some(ProgramError::failed(format!(
            "client {id} exists already: choose another id, or change it with `gatepass client set {id}`"
        ))),
        AdminError::Refused(Obstacle::TooManySecrets) => Some(ProgramError::failed(format!(
            "client {id} has {} live secrets: end one with `gatepass client end-secret {id} SECRET`, or all with `gatepass client \
             rotate-secret {id}`",
            Client::MAX_SECRETS
        ))),
        AdminError::Invalid { reason: Invalid::NoKeySigns(algorithm), .. } => {
            Some(ProgramError::failed(format!(
                "no {algorithm} key signs: run `gatepass key rotate --alg {algorithm} --beside` first, and again when it says so"
            )))
        }
        AdminError::NotFound(Item::Secret(secret)) => Some(ProgramError::failed(format!(
            "client {id} has no secret {secret}: `gatepass client show {id}` lists those that it has"
        ))),
        AdminError::Conflict => Some(ProgramError::failed(format!(
            "client {id} is being changed by others all the time: try again"
        ))),
        _ => None,
    }
}

/// Returns the facts to show about a client.
pub(super) fn record(client: &Client) -> Record {
    let time = |time: Time| Value::from(time.rfc3339());
    let secret = |secret: &ClientSecret| {
        let mut shown = serde_json::Map::new();
        shown.insert("id".into(), secret.id.as_str().into());
        shown.insert("created_at".into(), time(secret.created_at));
        shown.insert("expires_at".into(), secret.expires_at.map_or(Value::Null, time));
        shown.insert("last_used_at".into(), secret.last_used_at.map_or(Value::Null, time));
        Value::Object(shown)
    };
    let key = |key: &ClientKey| serde_json::from_str::<Value>(key.jwk()).unwrap_or_default();
    Record::new()
        .with("client_id", client.id.as_str())
        .with("name", client.name.clone())
        .with("scope", client.scope.to_string())
        .with("default_scope", client.default_scope.to_string())
        .with("audiences", client.audiences.clone())
        .with("enabled", client.enabled)
        .with("token_lifetime", client.token_lifetime)
        .with("user_token_lifetime", client.user_token_lifetime)
        .with("second_factor", client.second_factor.map(AskFactor::as_str))
        .with("trusted_context", client.trusted_context)
        .with("signing_algorithm", client.signing_algorithm.map(Algorithm::as_str))
        .with("roles", role_words(client.roles))
        .with("created_at", client.created_at.rfc3339())
        .with("secrets", client.secrets.iter().map(secret).collect::<Vec<_>>())
        .with("keys", client.keys.iter().map(key).collect::<Vec<_>>())
        .with("epoch", client.epoch)
}

fn id(given: &str) -> Result<ClientId, ProgramError> {
    parsed("the client id", given, ClientId::parse)
}

/// Reads a secret from standard input.
fn import() -> Result<ImportedSecret, ProgramError> {
    let mut text = stdin("the secret", MAX_SECRET_BYTES)?;
    ImportedSecret::new(SecretText::new(std::mem::take(&mut *text))).map_err(|error| {
        if let AdminError::Invalid { reason: Invalid::TooShort { least }, .. } = error {
            return ProgramError::usage(format!(
                "a secret has {least} characters at least: leave out --secret-stdin to have one made"
            ));
        }
        error.into()
    })
}

/// Prints the secret of a client that was added. An imported secret is known already, and is not shown again.
fn print_added(context: &Context, added: &ClientWithSecret) -> Result<(), ProgramError> {
    let ClientWithSecret { client, secret } = added;
    // It was imported, or the client has keys alone.
    let Some(secret) = secret else { return print_imported(context, &client.id) };
    context.print_once(&with_secret(&client.id, Some(secret)), || {
        format!(
            "client {id} was added, and nobody has seen its secret: run `gatepass client rotate-secret {id}` for another",
            id = client.id
        )
    })?;
    Ok(context.out.say(NOT_KEPT)?)
}

fn print_imported(context: &Context, id: &ClientId) -> Result<(), ProgramError> {
    Ok(context.out.one(&with_secret(id, None))?)
}

fn with_secret(id: &ClientId, secret: Option<&SecretText>) -> Record {
    let shown = secret.map(SecretText::expose);
    Record::new().with("client_id", id.as_str()).with("client_secret", shown)
}

/// Gives a client a new secret. The former ones end when the new one was printed.
fn rotate(context: &Context, id: &ClientId, overlap: u32) -> Result<(), ProgramError> {
    let admin = context.writing()?;
    let failure = |error: OperationError| error.into_message(|error| words(error, id));
    let former = if overlap == 0 { FormerSecrets::OldestGivesWay } else { FormerSecrets::Stay };
    let add = AddSecret { client: id.clone(), former, lifetime: None, secret: None };
    let added = admin.run(add).map_err(failure)?;
    context.print_once(&with_secret(id, added.secret.as_ref()), || {
        format!(
            "client {id} has a new secret that nobody has seen, and its former secrets are as good as before: run \
             `gatepass client rotate-secret {id}` again"
        )
    })?;
    let end = EndSecrets { client: id.clone(), secrets: SecretsToEnd::Before(added.kept.id), overlap };
    admin.run(end).map_err(|error| {
        ProgramError::failed(format!(
            "the new secret is good, and the former ones did not end: {}",
            failure(error)
        ))
    })?;
    forget_first_secret(context, id)?;
    Ok(context.out.say(NOT_KEPT)?)
}

/// Removes the file with the secret that the first start made, once the client has another, or none.
fn forget_first_secret(context: &Context, id: &ClientId) -> Result<(), ProgramError> {
    if *id != ClientId::admin() {
        return Ok(());
    }
    context.installation()?.forget_first_secret().map_err(|error| {
        ProgramError::failed(format!(
            "the command was carried out, and the former secret's file is still there: {error}"
        ))
    })
}

/// Runs `operation` on the client `id`.
fn change<O: Operation>(context: &Context, id: &ClientId, operation: O) -> Result<O::Output, ProgramError> {
    context.writing()?.run(operation).map_err(|error| error.into_message(|error| words(error, id)))
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::Add { id: given, fields, secret_stdin } => {
            let (id, roles, fields) = (id(&given)?, roles(context, &fields.roles)?, fields.read()?);
            let message = |error: &AdminError| words(error, &id);
            // Wrong arguments are reported before a secret is read.
            AddClient::new(id.clone(), fields.clone(), None)
                .map_err(|error| message(&error).unwrap_or_else(|| error.into()))?;
            let secret = if secret_stdin { Some(import()?) } else { None };
            let add = AddClient::new(id.clone(), fields, secret)?.roles(roles.unwrap_or_default());
            print_added(context, &change(context, &id, add)?)
        }
        Verb::Set { id: given, fields } => {
            let (id, roles, fields) = (id(&given)?, roles(context, &fields.roles)?, fields.read()?);
            let set = SetClient { client: id.clone(), fields };
            let ChangedClient { mut client, narrowed } = change(context, &id, set)?;
            if let Some(roles) = roles {
                client = change(context, &id, SetClientRoles { client: id.clone(), roles })?;
            }
            context.out.one(&record(&client))?;
            if narrowed {
                context.out.say(NARROWED)?;
            }
            Ok(())
        }
        Verb::List => {
            let admin = context.reading()?;
            let columns =
                &["client_id", "name", "enabled", "scope", "default_scope", "trusted_context", "created_at"];
            let mut rows = context.out.rows(columns)?;
            let list = |page| ListClients { page, filter: ClientFilter::default() };
            admin.pages(list, |client| Ok(rows.print(record(&client))?))?;
            Ok(rows.end()?)
        }
        Verb::Show { id: given } => {
            let client = context.reading()?.run(ShowClient { client: id(&given)? })?;
            Ok(context.out.one(&record(&client))?)
        }
        Verb::Disable { id: given } => {
            let id = id(&given)?;
            let client = change(context, &id, DisableClient { client: id.clone() })?;
            context.out.one(&record(&client))?;
            Ok(context.out.say(ENDED)?)
        }
        Verb::Enable { id: given } => {
            let id = id(&given)?;
            let client = change(context, &id, EnableClient { client: id.clone() })?;
            Ok(context.out.one(&record(&client))?)
        }
        Verb::Delete { id: given } => {
            let id = id(&given)?;
            change(context, &id, DeleteClient { client: id.clone() })?;
            forget_first_secret(context, &id)?;
            context.out.one(&Record::new().with("client_id", id.as_str()).with("deleted", true))?;
            Ok(context.out.say(ENDED)?)
        }
        Verb::RotateSecret { id: given, overlap, secret_stdin } => {
            let id = id(&given)?;
            if !secret_stdin {
                return rotate(context, &id, overlap);
            }
            let imported = AddSecret {
                client: id.clone(),
                former: FormerSecrets::EndAfter(overlap),
                lifetime: None,
                secret: Some(import()?),
            };
            change(context, &id, imported)?;
            forget_first_secret(context, &id)?;
            print_imported(context, &id)
        }
        Verb::AddSecret { id: given, lifetime } => {
            let id = id(&given)?;
            let add = AddSecret { client: id.clone(), former: FormerSecrets::Stay, lifetime, secret: None };
            let added = change(context, &id, add)?;
            let record = with_secret(&id, added.secret.as_ref()).with("secret_id", added.kept.id.as_str());
            context.print_once(&record, || {
                format!(
                    "client {id} has the secret {secret} that nobody has seen: run `gatepass client end-secret {id} {secret}`, and \
                     add another",
                    secret = added.kept.id
                )
            })?;
            Ok(context.out.say(NOT_KEPT)?)
        }
        Verb::EndSecret { id: given, secret, overlap } => {
            let id = id(&given)?;
            let secret = parsed("the id of the secret", &secret, SecretId::parse)?;
            let end = EndSecrets { client: id.clone(), secrets: SecretsToEnd::One(secret), overlap };
            let client = change(context, &id, end)?;
            Ok(context.out.one(&record(&client))?)
        }
    }
}
