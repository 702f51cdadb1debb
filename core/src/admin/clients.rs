//! Operations on clients.

use alloc::string::String;
use alloc::vec;

use super::client_fields::ClientFields;
use super::error::{AdminError, Field, Invalid, Item, Obstacle};
use super::roles::take_from_client;
use super::step::{Decision, Operation, OperationInputs, Plan};
use crate::base::base64url::prefixed;
use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::records::client::{Client, ClientSecret, SecretDigest};
use crate::records::client_key::ClientKey;
use crate::records::id::{ClientId, SecretId};
use crate::records::request_inputs::RequestInputs;
use crate::records::scope::Scope;
use crate::records::signing_key::{KeyRecord, KeyState};
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
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

/// Lists clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ListClients {
    /// The page.
    pub page: PageQuery,
    /// The clients of it that are told.
    pub filter: ClientFilter,
}

/// The clients that a list tells; without anything, all of them. A page that is filtered may have fewer than there is room for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientFilter {
    /// A part of the client id or of the name, in any case.
    pub search: Option<String>,
    /// Enabled ones alone, or disabled ones.
    pub enabled: Option<bool>,
}

impl ClientFilter {
    fn tells(&self, client: &Client) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let found = |part: &String| {
            has(client.id.as_str(), part) || client.name.as_deref().is_some_and(|name| has(name, part))
        };
        self.enabled.is_none_or(|enabled| client.enabled == enabled) && self.search.as_ref().is_none_or(found)
    }
}

/// Shows a client.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowClient {
    /// The client.
    pub client: ClientId,
}

/// Adds a client with one secret.
#[derive(Clone, Debug, PartialEq)]
pub struct AddClient {
    id: ClientId,
    fields: ClientFields,
    secret: Option<ImportedSecret>,
}

impl AddClient {
    /// Adds a client called `id`. Without `secret` one is made, unless the client has keys.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where the id is the server's own or like a user's, or the default scope is not within the scope.
    pub fn new(
        id: ClientId,
        fields: ClientFields,
        secret: Option<ImportedSecret>,
    ) -> Result<Self, AdminError> {
        if id == ClientId::own() {
            return Err(AdminError::Invalid { field: Field::ClientId, reason: Invalid::Reserved });
        }
        if id.as_str().starts_with(User::ID_PREFIX) {
            return Err(AdminError::Invalid { field: Field::ClientId, reason: Invalid::LikeUserId });
        }
        fields.apply(&mut Client::new(id.clone(), Scope::default(), 0, Time::default()))?;
        Ok(Self { id, fields, secret })
    }
}

/// Changes a client's record.
#[derive(Clone, Debug, PartialEq)]
pub struct SetClient {
    /// The client.
    pub client: ClientId,
    /// The values that change.
    pub fields: ClientFields,
}

/// Changes a client as one request says: its values, and whether it is enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchClient {
    /// The client.
    pub client: ClientId,
    /// The values that change.
    pub fields: ClientFields,
    /// Enables or disables it, as [`EnableClient`] and [`DisableClient`] do.
    pub enabled: Option<bool>,
    /// The revision that the record must have.
    pub revision: Option<u64>,
}

/// Lists the secrets of a client: they are those of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListSecrets {
    /// The client.
    pub client: ClientId,
}

/// Lists the public keys of a client: they are those of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListClientKeys {
    /// The client.
    pub client: ClientId,
}

/// Replaces the public keys of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetClientKeys {
    client: ClientId,
    fields: ClientFields,
}

impl SetClientKeys {
    /// Replaces the keys of `client` by those of a JWK set.
    ///
    /// # Errors
    /// As [`ClientFields::keys`].
    pub fn new(client: ClientId, jwk_set: &[u8]) -> Result<Self, AdminError> {
        Ok(Self { client, fields: ClientFields::default().keys(Some(jwk_set))? })
    }
}

/// Adds a public key to those of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddClientKey {
    client: ClientId,
    key: ClientKey,
}

impl AddClientKey {
    /// Adds the JWK to the keys of `client`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is a private key or a shared secret, or cannot be used.
    pub fn new(client: ClientId, jwk: &[u8]) -> Result<Self, AdminError> {
        let key = ClientKey::read_one(jwk);
        let key =
            key.map_err(|error| AdminError::Invalid { field: Field::Keys, reason: Invalid::Keys(error) })?;
        Ok(Self { client, key })
    }
}

/// Removes one of the public keys of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndClientKey {
    /// The client.
    pub client: ClientId,
    /// The `kid`.
    pub key: String,
}

/// Disables a client, and ends everything that was issued by it or for it.
#[derive(Clone, Debug, PartialEq)]
pub struct DisableClient {
    /// The client.
    pub client: ClientId,
}

/// Enables a disabled client. Everything that ended stays ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EnableClient {
    /// The client.
    pub client: ClientId,
}

/// Deletes a client, and ends everything that was issued by it or for it.
#[derive(Clone, Debug, PartialEq)]
pub struct DeleteClient {
    /// The client.
    pub client: ClientId,
}

/// Gives a client another secret. The former ones end.
#[derive(Clone, Debug, PartialEq)]
pub struct RotateSecret {
    /// The client.
    pub client: ClientId,
    /// The seconds that the former secrets are still good for.
    pub overlap: u32,
    /// The secret; one is made where there is none.
    pub secret: Option<ImportedSecret>,
}

/// Gives a client another secret, and leaves the former ones good until [`EndRotation`]: a secret that does not arrive where it
/// is needed costs nothing then.
#[derive(Clone, Debug, PartialEq)]
pub struct BeginRotation {
    /// The client.
    pub client: ClientId,
    /// The seconds that the former secrets are to be good for once the rotation ends.
    pub overlap: u32,
}

/// Ends the secrets that a client had before a rotation began. [`BeginRotation`] returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndRotation {
    client: ClientId,
    new: SecretDigest,
    overlap: u32,
}

/// The result of [`BeginRotation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunRotation {
    /// The client.
    pub client: Client,
    /// The new secret. The store does not keep it.
    pub secret: SecretText,
    /// Ends the former secrets: run it once the new one is in safe hands.
    pub end: EndRotation,
}

/// Gives a client another secret, beside those that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddSecret {
    /// The client.
    pub client: ClientId,
    /// The seconds after which the former secrets end; none leaves them as they are.
    pub overlap: Option<u32>,
    /// The seconds that the new secret is good for; none: until it is ended.
    pub lifetime: Option<u32>,
    /// The secret; one is made where there is none.
    pub secret: Option<ImportedSecret>,
}

/// The result of [`AddSecret`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedSecret {
    /// The client.
    pub client: Client,
    /// What is kept of the secret.
    pub kept: ClientSecret,
    /// The secret, where one was made. The store does not keep it.
    pub secret: Option<SecretText>,
}

/// Ends one secret of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSecret {
    /// The client.
    pub client: ClientId,
    /// The secret.
    pub secret: SecretId,
    /// The seconds that it is still good for. It never gets a later end than it had.
    pub overlap: u32,
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

/// The result of [`SetClient`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedClient {
    /// The client.
    pub client: Client,
    /// The scope lacks something that it had. That holds for what was issued before, too.
    pub narrowed: bool,
}

impl Operation for ListClients {
    type Output = Page<Client>;

    fn query(&self) -> Query {
        Query::ClientPage(self.page.clone())
    }

    fn decide(
        &self,
        _: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Page<Client>>, AdminError> {
        let Records::ClientPage(page) = records else { return Err(AdminError::Internal) };
        let items = page.items.iter().filter(|client| self.filter.tells(client)).cloned().collect();
        Ok(Decision::Done(Page { items, next: page.next.clone() }))
    }
}

impl Operation for ShowClient {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(&self, _: &OperationInputs<'_>, records: &Records) -> Result<Decision<Client>, AdminError> {
        Ok(Decision::Done(found(&self.client, records)?.clone()))
    }
}

impl Operation for AddClient {
    type Output = ClientWithSecret;

    fn query(&self) -> Query {
        query(&self.id, &self.fields)
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ClientWithSecret>, AdminError> {
        if recorded(records)?.is_some() {
            return Err(AdminError::AlreadyExists(Item::Client(self.id.clone())));
        }
        let required = required_key(&self.fields, records)?;
        let request = inputs.request;
        let mut client = Client::new(self.id.clone(), Scope::default(), registration(request), request.now);
        self.fields.apply(&mut client)?;
        // Whoever signs assertions needs no secret.
        let wants_secret = client.keys.is_empty() || self.secret.is_some();
        let made = wants_secret.then(|| new_secret(self.secret.as_ref(), request)).transpose()?;
        let (kept, secret) = made.map_or((None, None), |(kept, secret)| (Some(kept), secret));
        client.secrets.extend(kept);
        let added = [Change::InsertClient(client.clone()), event(inputs, Kind::ClientAdded, &client.id)];
        let changes = required.into_iter().chain(added).collect();
        Ok(Plan::new(changes, ClientWithSecret { client, secret }).into())
    }
}

impl Operation for SetClient {
    type Output = ChangedClient;

    fn query(&self) -> Query {
        query(&self.client, &self.fields)
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ChangedClient>, AdminError> {
        let found = found(&self.client, records)?;
        let decision = edit(inputs, Kind::ClientChanged, found, |client| self.fields.apply(client))?;
        let decision = decision.require(required_key(&self.fields, records)?);
        Ok(decision.map(|client| ChangedClient { narrowed: !found.scope.is_within(&client.scope), client }))
    }
}

impl Operation for PatchClient {
    type Output = ChangedClient;

    fn query(&self) -> Query {
        query(&self.client, &self.fields)
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ChangedClient>, AdminError> {
        let found = found(&self.client, records)?;
        if self.revision.is_some_and(|revision| revision != found.revision) {
            return Err(AdminError::Refused(Obstacle::OtherRevision));
        }
        let mut client = found.clone();
        self.fields.apply(&mut client)?;
        let mut kinds = if client == *found { vec![] } else { vec![Kind::ClientChanged] };
        match self.enabled.filter(|enabled| *enabled != found.enabled) {
            Some(true) => {
                client.enable();
                kinds.push(Kind::ClientEnabled);
            }
            Some(false) => {
                client.disable();
                kinds.push(Kind::ClientDisabled);
            }
            None => {}
        }
        let required = required_key(&self.fields, records)?;
        let decision = write(inputs, &kinds, found, client).require(required);
        Ok(decision.map(|client| ChangedClient { narrowed: !found.scope.is_within(&client.scope), client }))
    }
}

impl Operation for ListSecrets {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(&self, _: &OperationInputs<'_>, records: &Records) -> Result<Decision<Client>, AdminError> {
        Ok(Decision::Done(found(&self.client, records)?.clone()))
    }
}

impl Operation for ListClientKeys {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(&self, _: &OperationInputs<'_>, records: &Records) -> Result<Decision<Client>, AdminError> {
        Ok(Decision::Done(found(&self.client, records)?.clone()))
    }
}

impl Operation for SetClientKeys {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        let found = found(&self.client, records)?;
        edit(inputs, Kind::ClientChanged, found, |client| self.fields.apply(client))
    }
}

impl Operation for AddClientKey {
    type Output = (Client, ClientKey);

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<(Client, ClientKey)>, AdminError> {
        let found = found(&self.client, records)?;
        let decision = edit(inputs, Kind::ClientChanged, found, |client| {
            if client.keys.iter().any(|key| key.id() == self.key.id()) {
                return Err(AdminError::AlreadyExists(Item::Key(self.key.id().into())));
            }
            if client.keys.len() >= ClientKey::MAX {
                return Err(AdminError::Refused(Obstacle::TooManyKeys));
            }
            client.keys.push(self.key.clone());
            Ok(())
        })?;
        Ok(decision.map(|client| (client, self.key.clone())))
    }
}

impl Operation for EndClientKey {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        edit(inputs, Kind::ClientChanged, found(&self.client, records)?, |client| {
            let before = client.keys.len();
            client.keys.retain(|key| key.id() != self.key);
            if client.keys.len() == before {
                return Err(AdminError::NotFound(Item::Key(self.key.clone())));
            }
            Ok(())
        })
    }
}

impl Operation for DisableClient {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        edit(inputs, Kind::ClientDisabled, found(&self.client, records)?, |client| {
            client.disable();
            Ok(())
        })
    }
}

impl Operation for EnableClient {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        let client = found(&self.client, records)?;
        if client.enabled {
            return Ok(Decision::Done(client.clone()));
        }
        edit(inputs, Kind::ClientEnabled, client, |client| {
            client.enable();
            Ok(())
        })
    }
}

impl Operation for DeleteClient {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        let client = found(&self.client, records)?.clone();
        let changes =
            vec![Change::DeleteClient(client.id.clone()), event(inputs, Kind::ClientDeleted, &client.id)];
        Ok(Plan::new(changes, client).into())
    }
}

impl Operation for RotateSecret {
    type Output = ClientWithSecret;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ClientWithSecret>, AdminError> {
        let (kept, secret) = new_secret(self.secret.as_ref(), inputs.request)?;
        let decision = edit(inputs, Kind::SecretRotated, found(&self.client, records)?, |client| {
            succeed(client, kept, self.overlap, inputs.request.now)
        })?;
        Ok(decision.map(|client| ClientWithSecret { client, secret }))
    }
}

impl Operation for BeginRotation {
    type Output = BegunRotation;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<BegunRotation>, AdminError> {
        let (kept, secret) = drawn_secret(inputs.request)?;
        let end =
            EndRotation { client: self.client.clone(), new: kept.digest.clone(), overlap: self.overlap };
        let decision = edit(inputs, Kind::SecretRotated, found(&self.client, records)?, |client| {
            add_secret(client, kept, self.overlap, inputs.request.now)
        })?;
        Ok(decision.map(|client| BegunRotation { client, secret, end }))
    }
}

impl Operation for EndRotation {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        edit(inputs, Kind::SecretsEnded, found(&self.client, records)?, |client| {
            end_former(client, &self.new, self.overlap, inputs.request.now);
            Ok(())
        })
    }
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
            edit(inputs, Kind::SecretRotated, found(&self.client, records)?, |client| match self.overlap {
                Some(overlap) => succeed(client, kept.clone(), overlap, now),
                None => add_secret(client, kept.clone(), 1, now),
            })?;
        Ok(decision.map(|client| AddedSecret { client, kept, secret }))
    }
}

impl Operation for EndSecret {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        edit(inputs, Kind::SecretsEnded, found(&self.client, records)?, |client| {
            let end = inputs.request.now.plus(self.overlap.into());
            let named = client.secrets.iter_mut().find(|secret| secret.id == self.secret);
            named.ok_or_else(|| AdminError::NotFound(Item::Secret(self.secret.clone())))?.end_by(end);
            client.secrets.retain(|secret| secret.expires_at.is_none_or(|end| inputs.request.now < end));
            Ok(())
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

/// Asks for the client `id`, and for the keys where it is to choose among their algorithms.
fn query(id: &ClientId, fields: &ClientFields) -> Query {
    match fields.chosen_algorithm() {
        None => Query::Client(id.clone()),
        Some(_) => Query::Keys.by(Some(id)),
    }
}

/// Returns the client that was found, alone or with the keys.
fn recorded(records: &Records) -> Result<Option<&Client>, AdminError> {
    let (caller, records) = records.with_client();
    if let Records::Client(client) = records { Ok(client.as_ref()) } else { keys(records).map(|_| caller) }
}

pub(super) fn found<'r>(id: &ClientId, records: &'r Records) -> Result<&'r Client, AdminError> {
    recorded(records)?.ok_or_else(|| AdminError::NotFound(Item::Client(id.clone())))
}

fn keys(records: &Records) -> Result<&[KeyRecord], AdminError> {
    let Records::Keys(found) = records else { return Err(AdminError::Internal) };
    Ok(&found.keys)
}

/// Returns what must still hold where a client chooses an algorithm: a key of it signs.
fn required_key(fields: &ClientFields, records: &Records) -> Result<Option<Change>, AdminError> {
    let Some(algorithm) = fields.chosen_algorithm() else { return Ok(None) };
    let signs = |key: &KeyRecord| key.state == KeyState::Signing && key.algorithm == algorithm;
    if keys(records.with_client().1)?.iter().any(signs) {
        return Ok(Some(Change::RequireSigningKey(algorithm)));
    }
    let (field, reason) = (Field::SigningAlgorithm, Invalid::NoKeySigns(algorithm));
    Err(AdminError::Invalid { field, reason })
}

/// Writes `change` to a client's record, on top of what was read. Where nothing changes, nothing is written. What the client
/// authenticates by from now on takes roles away.
fn edit(
    inputs: &OperationInputs<'_>,
    kind: Kind,
    found: &Client,
    change: impl FnOnce(&mut Client) -> Result<(), AdminError>,
) -> Result<Decision<Client>, AdminError> {
    let mut client = found.clone();
    change(&mut client)?;
    let kinds: &[Kind] = if client == *found { &[] } else { &[kind] };
    Ok(write(inputs, kinds, found, client))
}

/// Writes a client's record with an audit row of each of `kinds`. Where there is none, nothing is written.
fn write(
    inputs: &OperationInputs<'_>,
    kinds: &[Kind],
    found: &Client,
    mut client: Client,
) -> Decision<Client> {
    if kinds.is_empty() {
        return Decision::Done(client);
    }
    let is_new = authenticates_anew(found, &client);
    let roles = if is_new { take_from_client(inputs, &mut client) } else { None };
    let mut changes = vec![Change::UpdateClient(client.clone())];
    changes.extend(kinds.iter().map(|kind| event(inputs, *kind, &client.id)));
    changes.extend(roles);
    let revision = client.revision.saturating_add(1);
    Plan::new(changes, Client { revision, ..client }).into()
}

/// Returns true if the client authenticates by something that it had not before: a secret, a key, or at all.
fn authenticates_anew(before: &Client, after: &Client) -> bool {
    let had_secret = |digest: &SecretDigest| before.secrets.iter().any(|secret| secret.digest == *digest);
    after.secrets.iter().any(|secret| !had_secret(&secret.digest))
        || after.keys.iter().any(|key| !before.keys.contains(key))
        || after.enabled && !before.enabled
}

/// Returns the 64 random bits that the epoch of a new client is made of.
fn registration(request: &RequestInputs) -> u64 {
    let drawn = request.seed.draw(Label::ClientEpoch);
    drawn.expose().first_chunk().map_or(0, |bits| u64::from_le_bytes(*bits))
}

/// Returns what is kept of a secret, and its text where it was made: `gps_` and 256 bits in base64url.
fn new_secret(
    imported: Option<&ImportedSecret>,
    request: &RequestInputs,
) -> Result<(ClientSecret, Option<SecretText>), AdminError> {
    if let Some(ImportedSecret(text)) = imported {
        return Ok((ClientSecret::new(secret_id(request)?, text.expose(), request.now), None));
    }
    let (kept, text) = drawn_secret(request)?;
    Ok((kept, Some(text)))
}

/// Draws the public name of a secret.
fn secret_id(request: &RequestInputs) -> Result<SecretId, AdminError> {
    let name = request.seed.name(Label::ClientSecretId, "sec_");
    SecretId::parse(&name).map_err(|_| AdminError::Internal)
}

/// Draws a secret, and returns what is kept of it and its text.
fn drawn_secret(request: &RequestInputs) -> Result<(ClientSecret, SecretText), AdminError> {
    let text =
        SecretText::new(prefixed(Client::SECRET_PREFIX, request.seed.draw(Label::ClientSecret).expose()));
    Ok((ClientSecret::new(secret_id(request)?, text.expose(), request.now), text))
}

/// Makes `new` a secret of `client`. The former ones end after `overlap` seconds, or sooner where they were to.
fn succeed(client: &mut Client, new: ClientSecret, overlap: u32, now: Time) -> Result<(), AdminError> {
    let digest = new.digest.clone();
    add_secret(client, new, overlap, now)?;
    end_former(client, &digest, overlap, now);
    Ok(())
}

/// Makes `new` a secret of `client`, beside those that are still good. Where there is no room, the oldest gives way if it is to
/// end at once.
fn add_secret(client: &mut Client, new: ClientSecret, overlap: u32, now: Time) -> Result<(), AdminError> {
    let is_good = |former: &ClientSecret| former.expires_at.is_none_or(|end| now < end);
    client.secrets.retain(|former| former.digest != new.digest && is_good(former));
    if client.secrets.len() >= Client::MAX_SECRETS {
        if overlap > 0 {
            return Err(AdminError::Refused(Obstacle::TooManySecrets));
        }
        let mut is_oldest = true;
        client.secrets.retain(|_| !core::mem::take(&mut is_oldest));
    }
    client.secrets.push(new);
    Ok(())
}

/// Lets the secrets that `client` had before `new` end after `overlap` seconds, or sooner where they were to.
fn end_former(client: &mut Client, new: &SecretDigest, overlap: u32, now: Time) {
    let end = now.plus(overlap.into());
    let Some(place) = client.secrets.iter().position(|secret| secret.digest == *new) else { return };
    let (former, _) = client.secrets.split_at_mut(place);
    for secret in former {
        secret.end_by(end);
    }
    client.secrets.retain(|secret| secret.expires_at.is_none_or(|end| now < end));
}

fn event(inputs: &OperationInputs<'_>, kind: Kind, id: &ClientId) -> Change {
    Change::Audit(Event { client: Some(id.clone()), ..Event::new(kind, inputs.request.now) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Time {
        Time::from_unix(seconds)
    }

    fn new_at(text: &str, now: Time) -> ClientSecret {
        ClientSecret::new(SecretId::parse("sec_1").unwrap(), text, now)
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
        let digest = |name: &str| SecretDigest::of(name);
        for name in ["one", "two", "three"] {
            add_secret(&mut client, new(name), 0, at(10)).unwrap();
        }
        assert_eq!(ends(&client), [None, None, None]);
        // Another rotation that began later keeps its secret.
        end_former(&mut client, &digest("two"), 60, at(20));
        assert_eq!(ends(&client), [Some(80), None, None]);
        end_former(&mut client, &digest("two"), 0, at(20));
        assert_eq!(ends(&client), [None, None]);
        // The secret of a rotation that another has ended meanwhile.
        end_former(&mut client, &digest("one"), 0, at(20));
        assert_eq!(client.secrets.len(), 2);
        for n in client.secrets.len()..Client::MAX_SECRETS {
            add_secret(&mut client, new(&n.to_string()), 60, at(20)).unwrap();
        }
        let many = Err(AdminError::Refused(Obstacle::TooManySecrets));
        assert_eq!(add_secret(&mut client, new("more"), 60, at(20)), many);
        add_secret(&mut client, new("more"), 0, at(20)).unwrap();
        assert!(client.secrets.len() == Client::MAX_SECRETS && client.secrets[0].digest == digest("three"));
    }
}
