//! Operations on the secrets of clients.

use super::clients::{edit, found};
use super::error::{AdminError, Field, Invalid, Item, Obstacle};
use super::step::{Decision, Operation, OperationInputs};
use crate::base::base64url::prefixed;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::records::client::{Client, ClientSecret};
use crate::records::id::{ClientId, SecretId};
use crate::records::request_inputs::RequestInputs;
use crate::records::scope::Scope;
use crate::store::audit::Kind;
use crate::store::query::{Query, Records};

/// A client's secret that was made elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedSecret(SecretText);

impl ImportedSecret {
    /// Takes a secret over.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it has fewer than [`Client::MIN_SECRET_CHARS`] characters, or a control character.
    pub fn new(secret: SecretText) -> Result<Self, AdminError> {
        let invalid = |reason| AdminError::Invalid { field: Field::Secret, reason };
        let least = Client::MIN_SECRET_CHARS;
        if secret.expose().chars().count() < least {
            return Err(invalid(Invalid::TooShort { least }));
        }
        if secret.expose().chars().any(char::is_control) {
            return Err(invalid(Invalid::NotOneLine));
        }
        Ok(Self(secret))
    }
}

/// Gives a client another secret, beside those that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddSecret {
    /// The client.
    pub client: ClientId,
    /// The rule for the secrets that it has.
    pub former: FormerSecrets,
    /// The seconds that the new secret is good for; none: until it is ended.
    pub lifetime: Option<u32>,
    /// The secret; one is made where there is none.
    pub secret: Option<ImportedSecret>,
}

/// The rule for the secrets that a client has when it gets another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormerSecrets {
    /// They stay. Where there is no room for another, none is added.
    Stay,
    /// They stay. Where there is no room for another, the oldest gives way.
    OldestGivesWay,
    /// They end after so many seconds, or sooner where they were to. Where there is no room for another and they are to end at once,
    /// the oldest gives way.
    EndAfter(u32),
}

/// The result of [`AddSecret`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedSecret {
    /// The client.
    pub client: Client,
    /// The record of the secret.
    pub kept: ClientSecret,
    /// The secret, where one was made. The store does not keep it.
    pub secret: Option<SecretText>,
}

/// Ends secrets of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSecrets {
    /// The client.
    pub client: ClientId,
    /// The secrets.
    pub secrets: SecretsToEnd,
    /// The seconds that they are still good for. None gets a later end than it had.
    pub overlap: u32,
}

/// Secrets of a client that are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretsToEnd {
    /// This one.
    One(SecretId),
    /// Those that the client had before this one. A secret that does not arrive where it is needed costs nothing if its former ones
    /// are ended only then.
    Before(SecretId),
}

/// Enables a client, gives it exactly this scope, and one new secret in place of all it had.
#[derive(Clone, Debug, PartialEq)]
pub struct RenewClient {
    /// The client.
    pub client: ClientId,
    /// Its scope.
    pub scope: Scope,
}

/// The result of an operation that gives a client a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientWithSecret {
    /// The client.
    pub client: Client,
    /// The secret, where one was made. The store does not keep it.
    pub secret: Option<SecretText>,
}

impl Operation for AddSecret {
    type Output = AddedSecret;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<AddedSecret>, AdminError> {
        let now = inputs.request.now;
        let (mut kept, secret) = new_secret(self.secret.as_ref(), inputs.request)?;
        kept.expires_at = self.lifetime.map(|seconds| now.plus(seconds.into()));
        let decision =
            edit(inputs, Kind::SecretRotated, found(&self.client, records)?, |client| match self.former {
                FormerSecrets::Stay => add_secret(client, kept.clone(), false, now),
                FormerSecrets::OldestGivesWay => add_secret(client, kept.clone(), true, now),
                FormerSecrets::EndAfter(overlap) => succeed(client, kept.clone(), overlap, now),
            })?;
        Ok(decision.map(|client| AddedSecret { client, kept, secret }))
    }
}

impl Operation for EndSecrets {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        let now = inputs.request.now;
        edit(inputs, Kind::SecretsEnded, found(&self.client, records)?, |client| match &self.secrets {
            SecretsToEnd::One(id) => {
                let named = client.secrets.iter_mut().find(|secret| secret.id == *id);
                let named = named.ok_or_else(|| AdminError::NotFound(Item::Secret(id.clone())))?;
                named.end_by(now.plus(self.overlap.into()));
                remove_ended(client, now);
                Ok(())
            }
            SecretsToEnd::Before(id) => {
                end_former(client, id, self.overlap, now);
                Ok(())
            }
        })
    }
}

impl Operation for RenewClient {
    type Output = ClientWithSecret;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ClientWithSecret>, AdminError> {
        let (kept, secret) = new_secret(None, inputs.request)?;
        let decision = edit(inputs, Kind::SecretRotated, found(&self.client, records)?, |client| {
            client.enable();
            client.scope = self.scope.clone();
            client.default_scope = Scope::default();
            succeed(client, kept, 0, inputs.request.now)
        })?;
        Ok(decision.map(|client| ClientWithSecret { client, secret }))
    }
}

/// Returns what is kept of a secret, and its text where it was made: `gps_` and 256 bits in base64url.
pub(super) fn new_secret(
    imported: Option<&ImportedSecret>,
    request: &RequestInputs,
) -> Result<(ClientSecret, Option<SecretText>), AdminError> {
    if let Some(ImportedSecret(text)) = imported {
        return Ok((ClientSecret::new(secret_id(request)?, text.expose(), request.now), None));
    }
    let text =
        SecretText::new(prefixed(Client::SECRET_PREFIX, request.seed.draw(Label::ClientSecret).expose()));
    Ok((ClientSecret::new(secret_id(request)?, text.expose(), request.now), Some(text)))
}

/// Draws the public name of a secret.
fn secret_id(request: &RequestInputs) -> Result<SecretId, AdminError> {
    let name = request.seed.name(Label::ClientSecretId, "sec_");
    SecretId::parse(&name).map_err(|_| AdminError::Internal)
}

/// Makes `new` a secret of `client`. The former ones end after `overlap` seconds, or sooner where they were to.
fn succeed(client: &mut Client, new: ClientSecret, overlap: u32, now: Time) -> Result<(), AdminError> {
    let id = new.id.clone();
    add_secret(client, new, overlap == 0, now)?;
    end_former(client, &id, overlap, now);
    Ok(())
}

/// Makes `new` a secret of `client`, beside those that are still good. Where there is no room, the oldest may give way.
fn add_secret(
    client: &mut Client,
    new: ClientSecret,
    oldest_gives_way: bool,
    now: Time,
) -> Result<(), AdminError> {
    remove_ended(client, now);
    client.secrets.retain(|former| former.digest != new.digest);
    if client.secrets.len() >= Client::MAX_SECRETS {
        if !oldest_gives_way {
            return Err(AdminError::Refused(Obstacle::TooManySecrets));
        }
        let mut is_oldest = true;
        client.secrets.retain(|_| !core::mem::take(&mut is_oldest));
    }
    client.secrets.push(new);
    Ok(())
}

/// Lets the secrets that `client` had before `new` end after `overlap` seconds, or sooner where they were to.
fn end_former(client: &mut Client, new: &SecretId, overlap: u32, now: Time) {
    let end = now.plus(overlap.into());
    let Some(place) = client.secrets.iter().position(|secret| secret.id == *new) else { return };
    let (former, _) = client.secrets.split_at_mut(place);
    for secret in former {
        secret.end_by(end);
    }
    remove_ended(client, now);
}

fn remove_ended(client: &mut Client, now: Time) {
    client.secrets.retain(|secret| secret.expires_at.is_none_or(|end| now < end));
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Time {
        Time::from_unix(seconds)
    }

    fn new_at(text: &str, now: Time) -> ClientSecret {
        ClientSecret::new(id(text), text, now)
    }

    fn id(text: &str) -> SecretId {
        SecretId::parse(&format!("sec_{text}")).unwrap()
    }

    fn ends(client: &Client) -> Vec<Option<u64>> {
        client.secrets.iter().map(|secret| secret.expires_at.map(Time::unix)).collect()
    }

    #[test]
    fn former_secrets_end_after_the_overlap_and_never_later_than_they_would_have() {
        let mut client = Client::new(ClientId::parse("svc").unwrap(), Scope::default(), 1, at(1));
        for (name, overlap, now, expected) in [
            ("one", 0, 10, vec![None]),
            ("two", 60, 10, vec![Some(70), None]),
            ("three", 100, 20, vec![Some(70), Some(120), None]),
            ("four", 100, 70, vec![Some(120), Some(170), None]),
            ("five", 0, 80, vec![None]),
            ("five", 60, 80, vec![None]),
        ] {
            succeed(&mut client, new_at(name, at(now)), overlap, at(now)).unwrap();
            assert_eq!(ends(&client), expected, "{name}");
        }
        for n in 1..Client::MAX_SECRETS {
            succeed(&mut client, new_at(&n.to_string(), at(100)), 60, at(100)).unwrap();
        }
        let more = || new_at("more", at(100));
        let many = Err(AdminError::Refused(Obstacle::TooManySecrets));
        assert_eq!(succeed(&mut client, more(), 60, at(100)), many);
        assert_eq!(succeed(&mut client, more(), 0, at(100)), Ok(()));
    }

    #[test]
    fn a_rotation_that_has_begun_leaves_the_former_secrets_as_they_are() {
        let mut client = Client::new(ClientId::parse("svc").unwrap(), Scope::default(), 1, at(1));
        let new = |name: &str| new_at(name, at(10));
        for name in ["one", "two", "three"] {
            add_secret(&mut client, new(name), true, at(10)).unwrap();
        }
        assert_eq!(ends(&client), [None, None, None]);
        // Another rotation that began later keeps its secret.
        end_former(&mut client, &id("two"), 60, at(20));
        assert_eq!(ends(&client), [Some(80), None, None]);
        end_former(&mut client, &id("two"), 0, at(20));
        assert_eq!(ends(&client), [None, None]);
        // The secret of a rotation that another has ended meanwhile.
        end_former(&mut client, &id("one"), 0, at(20));
        assert_eq!(client.secrets.len(), 2);
        for n in client.secrets.len()..Client::MAX_SECRETS {
            add_secret(&mut client, new(&n.to_string()), false, at(20)).unwrap();
        }
        let many = Err(AdminError::Refused(Obstacle::TooManySecrets));
        assert_eq!(add_secret(&mut client, new("more"), false, at(20)), many);
        add_secret(&mut client, new("more"), true, at(20)).unwrap();
        assert!(client.secrets.len() == Client::MAX_SECRETS && client.secrets[0].id == id("three"));
    }
}
