//! `gatepass client`: services with credentials of their own.

use clap::{Args, Subcommand};
use gatepass_core::base::time::Time;
use gatepass_core::records::client::{Client, ClientSecret};
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::scope::Scope;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::Change;
use serde_json::Value;

use crate::store::{AdminSession, BackendExt as _};

use crate::secrets::random::random;

use super::context::Context;
use super::edit::{ATTEMPTS, ask_factor, parsed, text};
use super::secret;
use crate::error::ProgramError;
use crate::output::Record;

/// The longest access token life, in seconds: a day.
const MAX_LIFETIME: u32 = 86_400;
/// What is told of a client that was disabled or deleted.
const ENDED: &str = "Ended with it: its tokens, tickets and sessions, and those it issued for other clients.";
/// What is told of a scope that was narrowed.
const NARROWED: &str = "The scope is narrower than before: it holds for the client's tokens and for the sessions it issued from now on; \
                        tickets that ask for more are refused.";
/// The most audiences a client has, and the longest, in characters.
const MAX_AUDIENCES: usize = 16;
const MAX_AUDIENCE: usize = 256;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Register a client, and print its secret once
    Add {
        /// Its client_id: 1 to 64 of A-Z a-z 0-9 . _ ~ -
        id: String,
        #[command(flatten)]
        fields: Fields,
        /// Read the secret from standard input (32 characters at least) instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
    /// Change a client; what is not named stays, an empty value clears. A narrower scope holds for what was issued before, too
    Set {
        /// Its client_id
        id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// List every client
    List,
    /// Show one client; secrets are not kept and cannot be shown
    Show {
        /// Its client_id
        id: String,
    },
    /// Refuse a client from its next request on, and end what was issued by it or for it: tickets, challenges, sessions, tokens
    Disable {
        /// Its client_id
        id: String,
    },
    /// Let a disabled client in again; what was issued before it was disabled stays ended
    Enable {
        /// Its client_id
        id: String,
    },
    /// Delete a client, and end what was issued by it or for it; a client added later under its id inherits nothing
    Delete {
        /// Its client_id
        id: String,
    },
    /// Give a client a new secret, and print it once
    RotateSecret {
        /// Its client_id
        id: String,
        /// How long the former secrets stay good
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        overlap: u32,
        /// Read the new secret from standard input (32 characters at least) instead of making one
        #[arg(long)]
        secret_stdin: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Fields {
    /// What people call it
    #[arg(long)]
    name: Option<String>,
    /// What it may ask for: names with one space between
    #[arg(long)]
    scope: Option<String>,
    /// What it gets where it asks for nothing; without, it has to ask
    #[arg(long)]
    default_scope: Option<String>,
    /// Who its tokens are for, beside this server; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// Life of its own access tokens, 1 to 86400 [default: the configured one]
    #[arg(long, value_name = "SECONDS")]
    token_lifetime: Option<String>,
    /// Life of the access tokens of people signed in for it, 1 to 86400 [default: the configured one]
    #[arg(long, value_name = "SECONDS")]
    user_token_lifetime: Option<String>,
    /// When people who sign in for it are asked for their second factor: never, risk or always [default: the configured]
    #[arg(long, value_name = "WHEN")]
    second_factor: Option<String>,
}

impl Fields {
    fn apply(&self, client: &mut Client) -> Result<(), ProgramError> {
        if let Some(name) = &self.name {
            client.name = text("a name", name, 128)?;
        }
        if let Some(scope) = &self.scope {
            client.scope = parsed("--scope", scope, Scope::parse)?;
            if scope.split(' ').any(|name| name.starts_with("gatepass:")) {
                return Err(ProgramError::usage("a scope of gatepass:… is the server's own and no client's"));
            }
        }
        if let Some(scope) = &self.default_scope {
            client.default_scope = parsed("--default-scope", scope, Scope::parse)?;
        }
        if !client.default_scope.is_within(&client.scope) {
            return Err(ProgramError::usage(format!(
                "the default scope \"{}\" is not within the scope \"{}\": widen --scope or narrow --default-scope",
                client.default_scope, client.scope
            )));
        }
        if !self.audience.is_empty() {
            client.audiences = audiences(&self.audience)?;
        }
        if let Some(seconds) = &self.token_lifetime {
            client.token_lifetime = lifetime("--token-lifetime", seconds)?;
        }
        if let Some(seconds) = &self.user_token_lifetime {
            client.user_token_lifetime = lifetime("--user-token-lifetime", seconds)?;
        }
        if let Some(when) = &self.second_factor {
            client.second_factor = ask_factor(when)?;
        }
        Ok(())
    }
}

fn audiences(given: &[String]) -> Result<Vec<String>, ProgramError> {
    let mut audiences: Vec<String> = Vec::new();
    for audience in given.iter().filter(|audience| !audience.is_empty()) {
        // RFC 7519 §2, StringOrURI: no white space in any that is of use.
        if audience.chars().count() > MAX_AUDIENCE
            || audience.chars().any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(ProgramError::usage(format!(
                "an audience is 1 to {MAX_AUDIENCE} characters without white space, not {audience:?}"
            )));
        }
        if !audiences.contains(audience) {
            audiences.push(audience.clone());
        }
    }
    if audiences.len() > MAX_AUDIENCES {
        return Err(ProgramError::usage(format!("a client has at most {MAX_AUDIENCES} audiences")));
    }
    Ok(audiences)
}

fn lifetime(what: &str, given: &str) -> Result<Option<u32>, ProgramError> {
    if given.is_empty() {
        return Ok(None);
    }
    match given.parse() {
        Ok(seconds @ 1..=MAX_LIFETIME) => Ok(Some(seconds)),
        _ => Err(ProgramError::usage(format!(
            "{what} {given:?} is not a whole number of seconds from 1 to {MAX_LIFETIME}"
        ))),
    }
}

/// What is shown of a client.
pub(super) fn record(client: &Client) -> Record {
    let time = |time: Time| Value::from(time.rfc3339());
    let secret = |secret: &ClientSecret| {
        let mut shown = serde_json::Map::new();
        shown.insert("created_at".into(), time(secret.created_at));
        shown.insert("expires_at".into(), secret.expires_at.map_or(Value::Null, time));
        Value::Object(shown)
    };
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
        .with("created_at", client.created_at.rfc3339())
        .with("secrets", client.secrets.iter().map(secret).collect::<Vec<_>>())
        .with("epoch", client.epoch)
}

fn event(kind: Kind, id: &ClientId, now: Time) -> Change {
    Change::Audit(Event { client: Some(id.clone()), ..Event::new(kind, now) })
}

fn id(given: &str) -> Result<ClientId, ProgramError> {
    parsed("the client id", given, ClientId::parse)
}

fn find(admin: &AdminSession, id: &ClientId) -> Result<Client, ProgramError> {
    admin.store.client(id)?.ok_or_else(|| {
        ProgramError::failed(format!("there is no client {id}: `gatepass client list` shows those there are"))
    })
}

/// A client with nothing but its id, as of `now`: another than any that had the id before.
pub(crate) fn blank(id: ClientId, scope: Scope, now: Time) -> Result<Client, ProgramError> {
    let epoch = Client::first_epoch(u64::from_le_bytes(*random()?));
    Ok(Client {
        id,
        name: None,
        scope,
        default_scope: Scope::default(),
        audiences: Vec::new(),
        enabled: true,
        token_lifetime: None,
        user_token_lifetime: None,
        second_factor: None,
        created_at: now,
        secrets: Vec::new(),
        revision: 0,
        epoch,
    })
}

/// What writes a new client down.
pub(crate) fn added(client: Client, now: Time) -> Vec<Change> {
    let event = event(Kind::ClientAdded, &client.id, now);
    vec![Change::InsertClient(client), event]
}

/// Makes `change` to a client, on top of whatever others change at the same time. Where it says that nothing
/// changes, nothing is written.
fn edit(
    admin: &AdminSession,
    id: &ClientId,
    kind: Kind,
    mut change: impl FnMut(&mut Client) -> Result<(), ProgramError>,
) -> Result<Client, ProgramError> {
    for _ in 0..ATTEMPTS {
        let before = find(admin, id)?;
        let mut client = before.clone();
        change(&mut client)?;
        if client == before {
            return Ok(client);
        }
        if admin.try_commit(vec![Change::UpdateClient(client.clone()), event(kind, id, admin.now)])? {
            return Ok(client);
        }
    }
    Err(ProgramError::failed(format!("client {id} is being changed by others all the time: try again")))
}

/// Gives a client that is there already `scope` and one new secret in place of all former ones.
pub(crate) fn renew(
    admin: &AdminSession,
    id: &ClientId,
    scope: &Scope,
    secret: ClientSecret,
) -> Result<(), ProgramError> {
    edit(admin, id, Kind::SecretRotated, |client| {
        client.enable();
        client.scope = scope.clone();
        client.default_scope = Scope::default();
        succeed(client, secret.clone(), 0, admin.now)
    })
    .map(drop)
}

fn print_secret(context: &Context, id: &ClientId, made: Option<&str>) -> Result<(), ProgramError> {
    // A secret that was brought along is known already; it is not shown again.
    context.out.one(&Record::new().with("client_id", id.as_str()).with("client_secret", made))?;
    if made.is_some() {
        context.out.say("The secret is not kept and cannot be shown again.")?;
    }
    Ok(())
}

pub(super) fn run(context: &Context, verb: Verb) -> Result<(), ProgramError> {
    match verb {
        Verb::Add { id: given, fields, secret_stdin } => add(context, &given, &fields, secret_stdin),
        Verb::Set { id: given, fields } => {
            let id = id(&given)?;
            let mut narrowed = false;
            let client = edit(&context.writing()?, &id, Kind::ClientChanged, |client| {
                let before = client.scope.clone();
                fields.apply(client)?;
                narrowed = !before.is_within(&client.scope);
                Ok(())
            })?;
            context.out.one(&record(&client))?;
            if narrowed {
                context.out.say(NARROWED)?;
            }
            Ok(())
        }
        Verb::List => {
            let admin = context.reading()?;
            let columns = &["client_id", "name", "enabled", "scope", "default_scope", "created_at"];
            let mut rows = context.out.rows(columns)?;
            admin.store.each_client(|client| Ok::<_, ProgramError>(rows.print(record(&client))?))?;
            Ok(rows.end()?)
        }
        Verb::Show { id: given } => {
            let client = find(&context.reading()?, &id(&given)?)?;
            Ok(context.out.one(&record(&client))?)
        }
        Verb::Disable { id } => switch(context, &id, false),
        Verb::Enable { id } => switch(context, &id, true),
        Verb::Delete { id: given } => {
            let (id, admin) = (id(&given)?, context.writing()?);
            find(&admin, &id)?;
            let changes = vec![Change::DeleteClient(id.clone()), event(Kind::ClientDeleted, &id, admin.now)];
            admin.commit(changes, || format!("client {id} is already gone"))?;
            context.out.one(&Record::new().with("client_id", id.as_str()).with("deleted", true))?;
            Ok(context.out.say(ENDED)?)
        }
        Verb::RotateSecret { id: given, overlap, secret_stdin } => {
            rotate(context, &given, overlap, secret_stdin)
        }
    }
}

fn add(context: &Context, given: &str, fields: &Fields, secret_stdin: bool) -> Result<(), ProgramError> {
    let id = id(given)?;
    if id == ClientId::own() {
        return Err(ProgramError::usage(format!("{id} is this server's own name: choose another id")));
    }
    let mut client = blank(id.clone(), Scope::default(), Time::default())?;
    fields.apply(&mut client)?;
    let secret = if secret_stdin { secret::import()? } else { secret::generate()? };
    let admin = context.writing()?;
    client.created_at = admin.now;
    client.secrets.push(secret::kept(&secret, admin.now));
    admin.commit(added(client, admin.now), || {
        format!("client {id} exists already: choose another id, or change it with `gatepass client set {id}`")
    })?;
    print_secret(context, &id, (!secret_stdin).then_some(&secret))
}

fn switch(context: &Context, given: &str, enabled: bool) -> Result<(), ProgramError> {
    let kind = if enabled { Kind::ClientEnabled } else { Kind::ClientDisabled };
    let client = edit(&context.writing()?, &id(given)?, kind, |client| {
        if enabled {
            client.enable();
        } else {
            client.disable();
        }
        Ok(())
    })?;
    context.out.one(&record(&client))?;
    if !enabled {
        context.out.say(ENDED)?;
    }
    Ok(())
}

fn rotate(context: &Context, given: &str, overlap: u32, secret_stdin: bool) -> Result<(), ProgramError> {
    let id = id(given)?;
    let secret = if secret_stdin { secret::import()? } else { secret::generate()? };
    let admin = context.writing()?;
    edit(&admin, &id, Kind::SecretRotated, |client| {
        succeed(client, secret::kept(&secret, admin.now), overlap, admin.now)
    })?;
    print_secret(context, &id, (!secret_stdin).then_some(&secret))
}

/// `new` becomes a secret of `client`; the former ones end after `overlap` seconds, or sooner where they were to.
pub(crate) fn succeed(
    client: &mut Client,
    new: ClientSecret,
    overlap: u32,
    now: Time,
) -> Result<(), ProgramError> {
    let end = now.plus(overlap.into());
    client.secrets.retain(|former| former.digest != new.digest);
    for former in &mut client.secrets {
        former.expires_at = Some(former.expires_at.map_or(end, |sooner| sooner.min(end)));
    }
    client.secrets.retain(|former| former.expires_at.is_none_or(|end| now < end));
    if client.secrets.len() >= Client::MAX_SECRETS {
        return Err(ProgramError::failed(format!(
            "client {} has {} live secrets: wait until one has ended, or end them all with --overlap 0",
            client.id,
            client.secrets.len()
        )));
    }
    client.secrets.push(new);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Time {
        Time::from_unix(seconds)
    }

    fn client() -> Client {
        let blank = blank(ClientId::parse("svc").unwrap(), Scope::parse("a b").unwrap(), at(1)).unwrap();
        Client { epoch: 1, ..blank }
    }

    fn ends(client: &Client) -> Vec<Option<u64>> {
        client.secrets.iter().map(|secret| secret.expires_at.map(Time::unix)).collect()
    }

    #[test]
    fn former_secrets_end_after_the_overlap_and_never_later_than_they_would_have() {
        let mut client = client();
        for (name, overlap, now, expected) in [
            ("one", 0, 10, vec![None]),
            ("two", 60, 10, vec![Some(70), None]),
            ("three", 100, 20, vec![Some(70), Some(120), None]),
            ("four", 100, 70, vec![Some(120), Some(170), None]),
            ("five", 0, 80, vec![None]),
            ("five", 60, 80, vec![None]),
        ] {
            succeed(&mut client, secret::kept(name, at(now)), overlap, at(now)).unwrap();
            assert_eq!(ends(&client), expected, "{name}");
        }
        for n in 1..Client::MAX_SECRETS {
            succeed(&mut client, secret::kept(&n.to_string(), at(100)), 60, at(100)).unwrap();
        }
        assert!(succeed(&mut client, secret::kept("more", at(100)), 60, at(100)).is_err());
        assert!(succeed(&mut client, secret::kept("more", at(100)), 0, at(100)).is_ok());
    }

    #[test]
    fn fields_are_set_cleared_or_left_alone() {
        let none = || Fields {
            name: None,
            scope: None,
            default_scope: None,
            audience: vec![],
            token_lifetime: None,
            user_token_lifetime: None,
            second_factor: None,
        };
        let mut changed = client();
        none().apply(&mut changed).unwrap();
        assert_eq!(changed, client());
        let set = Fields {
            name: Some("Service".into()),
            default_scope: Some("a".into()),
            audience: vec!["x".into(), "x".into()],
            token_lifetime: Some("60".into()),
            ..none()
        };
        set.apply(&mut changed).unwrap();
        assert_eq!((changed.name.as_deref(), changed.token_lifetime), (Some("Service"), Some(60)));
        assert_eq!(changed.audiences, ["x"]);
        let clear = Fields {
            name: Some(String::new()),
            default_scope: Some(String::new()),
            audience: vec![String::new()],
            token_lifetime: Some(String::new()),
            ..none()
        };
        clear.apply(&mut changed).unwrap();
        assert_eq!(changed, client());
        for wrong in [
            Fields { scope: Some(" a".into()), ..none() },
            Fields { scope: Some("a gatepass:enrol".into()), ..none() },
            Fields { default_scope: Some("c".into()), ..none() },
            Fields { name: Some("a\nb".into()), ..none() },
            Fields { audience: vec!["a b".into()], ..none() },
            Fields { second_factor: Some("often".into()), ..none() },
            Fields { token_lifetime: Some("0".into()), ..none() },
            Fields { user_token_lifetime: Some("86401".into()), ..none() },
        ] {
            assert!(matches!(wrong.apply(&mut client()), Err(ProgramError::Usage(_))), "{wrong:?}");
        }
    }
}
