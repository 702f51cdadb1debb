//! Operations on clients.

use alloc::string::String;
use alloc::vec;

use super::client_fields::ClientFields;
use super::client_secrets::{ClientWithSecret, ImportedSecret, new_secret};
use super::error::{AdminError, Field, Invalid, Item, Obstacle};
use super::roles::{give_to_client, take_from_client};
use super::step::{Decision, Operation, OperationInputs, Plan};
use crate::base::time::Time;
use crate::crypto::seed::Label;
use crate::records::client::{Client, SecretDigest};
use crate::records::id::ClientId;
use crate::records::request_inputs::RequestInputs;
use crate::records::role::Roles;
use crate::records::scope::Scope;
use crate::records::signing_key::{KeyRecord, KeyState};
use crate::records::user::User;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::page::{Page, PageQuery};
use crate::store::query::{Query, Records};

/// Lists clients.
#[derive(Clone, Debug, PartialEq)]
pub struct ListClients {
    /// The page.
    pub page: PageQuery,
    /// The clients of it that are listed.
    pub filter: ClientFilter,
}

/// The clients that a list includes; without anything, all of them. A page that is filtered may have fewer than there is room for.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientFilter {
    /// A part of the client id or of the name, in any case.
    pub search: Option<String>,
    /// Enabled ones alone, or disabled ones.
    pub enabled: Option<bool>,
}

impl ClientFilter {
    fn includes(&self, client: &Client) -> bool {
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
    roles: Roles,
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
        Ok(Self { id, fields, secret, roles: Roles::NONE })
    }

    /// Gives the client these roles in the same commit, as [`SetClientRoles`](super::roles::SetClientRoles) does.
    #[must_use]
    pub fn roles(self, roles: Roles) -> Self {
        Self { roles, ..self }
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
        let items = page.items.iter().filter(|client| self.filter.includes(client)).cloned().collect();
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
        let roles =
            if self.roles.is_empty() { None } else { give_to_client(inputs, &mut client, self.roles)? };
        let added = [Change::InsertClient(client.clone()), event(inputs, Kind::ClientAdded, &client.id)];
        let changes = required.into_iter().chain(added).chain(roles).collect();
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
pub(super) fn edit(
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

fn event(inputs: &OperationInputs<'_>, kind: Kind, id: &ClientId) -> Change {
    Change::Audit(Event { client: Some(id.clone()), ..Event::new(kind, inputs.request.now) })
}
