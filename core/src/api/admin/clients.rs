//! `/admin/v1/clients`: services, their secrets and their public keys.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use crate::admin::clients::{
    AddClient, AddClientKey, AddSecret, AddedSecret, ChangedClient, ClientFilter, ClientWithSecret,
    DeleteClient, EndClientKey, EndSecret, ImportedSecret, ListClientKeys, ListClients, ListSecrets,
    PatchClient, SetClientKeys, ShowClient,
};
use crate::admin::{AdminError, ClientFields, Obstacle};
use crate::api::admin::AdminEndpoint;
use crate::api::admin::answer::{created, no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::error::request_error;
use crate::api::context::Context;
use crate::api::description::Description;
use crate::base::secret::SecretText;
use crate::crypto::algorithm::Algorithm;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, Patched, answer, body};
use crate::records::client::{Client, ClientSecret};
use crate::records::client_key::ClientKey;
use crate::records::factor::AskFactor;
use crate::records::id::{ClientId, SecretId};
use crate::records::role::{Role, Roles};
use crate::records::scope::Scope;
use crate::store::page::Page;

const OFFICER: Roles = Roles::of(&[Role::Officer]);

answer! {
    /// A secret of a client. The secret itself is not kept.
    struct ShownSecret<'a> {
        /// The id.
        id: &'a str = "sec_3V5cS0dJX2kq8oPZb7yM1w",
        /// The time when it was made.
        created_at: String [format("date-time")],
        /// The time from which it is refused; null: never.
        expires_at: Nullable<String> [format("date-time")],
        /// The time when it was last used, to the hour; null where it was not.
        last_used_at: Nullable<String> [format("date-time")],
    }
}

answer! {
    /// A public key of a client, which verifies its assertions.
    struct ShownKey<'a> {
        /// The id of the key.
        kid: &'a str = "2026-01",
        /// The algorithm that it is bound to.
        alg: &'a str = "ES256",
        /// The key as a JWK (RFC 7517).
        jwk: Value,
    }
}

answer! {
    /// A client, as administrators see it.
    struct ShownClient<'a> {
        /// The client id.
        client_id: &'a str = "portal",
        /// A name for people.
        name: Nullable<&'a str> = "Portal",
        /// The scope that it may ask for: names separated by one space.
        scope: &'a str = "orders:read orders:write",
        /// The scope that it gets if it asks for none; empty where it must ask.
        default_scope: &'a str = "orders:read",
        /// The audiences of its own tokens, beside this server.
        audiences: &'a [String] = ["https://orders.example"],
        /// False if it is refused everywhere.
        enabled: bool = true,
        /// The lifetime of its own access tokens in seconds; null: as configured.
        token_lifetime: Nullable<u32>,
        /// The lifetime of access tokens of users signed in for it in seconds; null: as configured.
        user_token_lifetime: Nullable<u32>,
        /// When users who sign in for it are asked for a second factor; null: as everybody is.
        second_factor: Nullable<&'a str>,
        /// True if it is believed about the user before it: address, user agent and device.
        trusted_context: bool = false,
        /// The algorithm that signs its tokens, and those of users signed in for it; null: the default key's.
        signing_algorithm: Nullable<&'a str> = "ES256",
        /// Its roles of administration, which the command line alone gives.
        roles: Vec<&'a str>,
        /// The time when it was added.
        created_at: String [format("date-time")],
        /// The number of the change, to be sent along with the next one.
        revision: u64 = 1,
        /// Its secrets, the oldest first.
        secrets: Vec<ShownSecret<'a>>,
        /// Its public keys.
        keys: Vec<ShownKey<'a>>,
    }
}

answer! {
    /// A client that was added, with its secret, which is shown this once.
    struct AddedClient<'a> {
        /// The secret; null where it was sent along, or the client has keys alone.
        client_secret: Nullable<&'a str> = "gps_2yQw0nHk5cVZ1r8sT3uX6bA9dE4fG7hJ0kL2mN5pQ8r",
        ..client: ShownClient<'a>,
    }
}

answer! {
    /// A secret that was added. It is shown this once.
    struct ShownAddedSecret<'a> {
        /// The secret; null where it was sent along.
        client_secret: Nullable<&'a str> = "gps_2yQw0nHk5cVZ1r8sT3uX6bA9dE4fG7hJ0kL2mN5pQ8r",
        ..secret: ShownSecret<'a>,
    }
}

body! {
    /// The clients to be listed.
    struct ListClientsQuery {
        /// A part of the client id or of the name.
        search: Option<String>,
        /// Enabled ones alone, or disabled ones.
        enabled: Option<bool> = true,
        ..page: PageParameters,
    }
}

body! {
    /// A client to be added.
    struct AddClientBody {
        /// The client id.
        client_id: ClientId => InvalidValue = "portal",
        /// A name for people.
        name: Option<String> = "Portal",
        /// The scope that it may ask for: names separated by one space.
        scope: Option<Scope> => InvalidValue = "orders:read orders:write",
        /// The scope that it gets if it asks for none.
        default_scope: Option<Scope> => InvalidValue = "orders:read",
        /// The audiences of its own tokens, beside this server.
        audiences: Option<Vec<String>> = ["https://orders.example"],
        /// The lifetime of its own access tokens in seconds.
        token_lifetime: Option<u32> = 600,
        /// The lifetime of access tokens of users signed in for it in seconds.
        user_token_lifetime: Option<u32>,
        /// When users who sign in for it are asked for a second factor.
        second_factor: Option<AskFactor> => InvalidValue,
        /// True if it is believed about the user before it.
        trusted_context: Option<bool>,
        /// The algorithm that signs its tokens, and those of users signed in for it. A key of it has to sign.
        signing_algorithm: Option<Algorithm> => InvalidValue = "ES256",
        /// Its secret, if it was made elsewhere: 32 characters at least. Otherwise one is made, unless there are keys.
        client_secret: Option<SecretText>,
        /// Its public keys, each a JWK (RFC 7517).
        keys: Option<Vec<Value>>,
        /// Not taken: the command line on the machine itself gives roles to clients.
        roles: Option<Value>,
    }
}

body! {
    /// Changes to a client. What is absent stays as it is.
    struct PatchClientBody {
        /// A name for people; null clears it.
        name: Patched<String> = "Portal",
        /// The scope that it may ask for.
        scope: Option<Scope> => InvalidValue = "orders:read orders:write",
        /// The scope that it gets if it asks for none; null: it must ask.
        default_scope: Patched<Scope> => InvalidValue,
        /// The audiences of its own tokens; null: this server alone.
        audiences: Patched<Vec<String>>,
        /// The lifetime of its own access tokens in seconds; null: as configured.
        token_lifetime: Patched<u32> = 600,
        /// The lifetime of access tokens of users signed in for it in seconds; null: as configured.
        user_token_lifetime: Patched<u32>,
        /// When users who sign in for it are asked for a second factor; null: as everybody is.
        second_factor: Patched<AskFactor> => InvalidValue,
        /// True if it is believed about the user before it.
        trusted_context: Option<bool>,
        /// The algorithm that signs its tokens, and those of users signed in for it; null: the default key's.
        signing_algorithm: Patched<Algorithm> => InvalidValue = "ES256",
        /// False refuses it everywhere, and ends what was issued by it or for it.
        enabled: Option<bool> = true,
        /// The revision that must still hold.
        revision: Option<u64>,
        /// Not taken: the command line on the machine itself gives roles to clients.
        roles: Option<Value>,
    }
}

body! {
    /// A secret to be added.
    struct AddSecretBody {
        /// The seconds after which the former secrets end; absent: they stay as they are.
        overlap: Option<u32> = 3600,
        /// The seconds that the new one is good for; absent: until it is ended.
        lifetime: Option<u32> [within(1, 0xffff_ffff)],
        /// The secret, if it was made elsewhere: 32 characters at least. Otherwise one is made.
        client_secret: Option<SecretText>,
    }
}

body! {
    /// How a secret ends.
    struct EndSecretQuery {
        /// The seconds that it is still good for.
        overlap: Option<u32> = 3600,
    }
}

body! {
    /// All public keys of a client (RFC 7517 §5).
    struct KeysBody {
        /// The keys, each a JWK.
        keys: Vec<Value> [length(0, 8)] = [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "2026-01"}],
    }
}

body! {
    /// A public key to be added.
    struct KeyBody {
        /// The key as a JWK (RFC 7517).
        jwk: Value = {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "2026-02"},
    }
}

impl<'a> ShownSecret<'a> {
    fn of(secret: &'a ClientSecret) -> Self {
        Self {
            id: secret.id.as_str(),
            created_at: secret.created_at.rfc3339(),
            expires_at: Nullable(secret.expires_at.map(|at| at.rfc3339())),
            last_used_at: Nullable(secret.last_used_at.map(|at| at.rfc3339())),
        }
    }
}

impl<'a> ShownKey<'a> {
    fn of(key: &'a ClientKey) -> Self {
        let jwk = serde_json::from_str(key.jwk()).unwrap_or_default();
        Self { kid: key.id(), alg: key.algorithm().as_str(), jwk }
    }
}

impl<'a> ShownClient<'a> {
    fn of(client: &'a Client) -> Self {
        Self {
            client_id: client.id.as_str(),
            name: Nullable(client.name.as_deref()),
            scope: client.scope.as_str(),
            default_scope: client.default_scope.as_str(),
            audiences: &client.audiences,
            enabled: client.enabled,
            token_lifetime: Nullable(client.token_lifetime),
            user_token_lifetime: Nullable(client.user_token_lifetime),
            second_factor: Nullable(client.second_factor.map(AskFactor::as_str)),
            trusted_context: client.trusted_context,
            signing_algorithm: Nullable(client.signing_algorithm.map(Algorithm::as_str)),
            roles: client.roles.iter().map(Role::as_str).collect(),
            created_at: client.created_at.rfc3339(),
            revision: client.revision,
            secrets: client.secrets.iter().map(ShownSecret::of).collect(),
            keys: client.keys.iter().map(ShownKey::of).collect(),
        }
    }
}

/// Returns a whole list as its one page.
fn all<T: Clone, S: serde::Serialize>(items: &[T], show: impl Fn(&T) -> S) -> Response {
    page(&Page { items: items.to_vec(), next: None }, show)
}

fn all_keys(client: &Client) -> Response {
    all(&client.keys, |key| serde_json::to_value(ShownKey::of(key)).unwrap_or_default())
}

/// Returns the JWK set with these keys.
fn set_of(keys: Vec<Value>) -> String {
    format!("{{\"keys\":{}}}", Value::Array(keys))
}

fn no_roles(roles: Option<&Value>) -> Result<(), AdminError> {
    match roles {
        None => Ok(()),
        Some(_) => Err(AdminError::Refused(Obstacle::RolesOfClients)),
    }
}

fn imported(secret: Option<SecretText>) -> Result<Option<ImportedSecret>, AdminError> {
    secret.map(ImportedSecret::new).transpose()
}

/// Returns `fields` with these audiences in place of all.
fn with_audiences(mut fields: ClientFields, audiences: &[String]) -> Result<ClientFields, AdminError> {
    // An empty one clears, where it is the first.
    fields = fields.audience("")?;
    for audience in audiences {
        fields = fields.audience(audience)?;
    }
    Ok(fields)
}

fn added(body: AddClientBody) -> Result<AddClient, AdminError> {
    no_roles(body.roles.as_ref())?;
    let mut fields = ClientFields::default();
    if let Some(name) = &body.name {
        fields = fields.name(name)?;
    }
    if let Some(scope) = body.scope {
        fields = fields.scope(scope)?;
    }
    if let Some(scope) = body.default_scope {
        fields = fields.default_scope(scope);
    }
    if let Some(audiences) = &body.audiences {
        fields = with_audiences(fields, audiences)?;
    }
    if let Some(keys) = body.keys {
        fields = fields.keys(Some(set_of(keys).as_bytes()))?;
    }
    fields = fields.token_lifetime(body.token_lifetime)?.user_token_lifetime(body.user_token_lifetime)?;
    fields = fields.second_factor(body.second_factor).trusted_context(body.trusted_context.unwrap_or(false));
    fields = fields.signing_algorithm(body.signing_algorithm);
    AddClient::new(body.client_id, fields, imported(body.client_secret)?)
}

fn patched(client: ClientId, body: PatchClientBody) -> Result<PatchClient, AdminError> {
    no_roles(body.roles.as_ref())?;
    let mut fields = ClientFields::default();
    if let Some(name) = body.name.edited() {
        fields = fields.name(name.as_deref().unwrap_or_default())?;
    }
    if let Some(scope) = body.scope {
        fields = fields.scope(scope)?;
    }
    if let Some(scope) = body.default_scope.edited() {
        fields = fields.default_scope(scope.unwrap_or_default());
    }
    if let Some(audiences) = body.audiences.edited() {
        fields = with_audiences(fields, audiences.as_deref().unwrap_or_default())?;
    }
    if let Some(seconds) = body.token_lifetime.edited() {
        fields = fields.token_lifetime(seconds)?;
    }
    if let Some(seconds) = body.user_token_lifetime.edited() {
        fields = fields.user_token_lifetime(seconds)?;
    }
    if let Some(ask) = body.second_factor.edited() {
        fields = fields.second_factor(ask);
    }
    if let Some(trusted) = body.trusted_context {
        fields = fields.trusted_context(trusted);
    }
    if let Some(algorithm) = body.signing_algorithm.edited() {
        fields = fields.signing_algorithm(algorithm);
    }
    Ok(PatchClient { client, fields, enabled: body.enabled, revision: body.revision })
}

fn client_of(call: &AdminCall<'_>) -> Result<ClientId, RequestError> {
    call.id(0, ClientId::parse)
}

impl AdminEndpoint for ListClients {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Lists clients").queries::<ListClientsQuery>().answers_page::<ShownClient<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let ListClientsQuery { search, enabled, page } = call.query()?;
        Ok(Self { page: page.page(), filter: ClientFilter { search, enabled } })
    }

    fn respond(_: &Context, found: Page<Client>) -> Response {
        page(&found, |client| serde_json::to_value(ShownClient::of(client)).unwrap_or_default())
    }
}

impl AdminEndpoint for AddClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a client")
        .takes::<AddClientBody>()
        .answers::<AddedClient<'_>>(201)
        .refuses(&[Problem::AlreadyExists, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        added(call.json()?).map_err(|error| request_error(&error))
    }

    fn respond(_: &Context, ClientWithSecret { client, secret }: ClientWithSecret) -> Response {
        let client_secret = Nullable(secret.as_ref().map(SecretText::expose));
        let body = AddedClient { client_secret, client: ShownClient::of(&client) };
        created(format!("/admin/v1/clients/{}", client.id), &body)
    }
}

impl AdminEndpoint for ShowClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Shows a client").answers::<ShownClient<'_>>(200).refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: client_of(call)? })
    }

    fn respond(_: &Context, client: Client) -> Response {
        shown(&ShownClient::of(&client))
    }
}

impl AdminEndpoint for PatchClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Changes, disables or enables a client")
        .takes::<PatchClientBody>()
        .answers::<ShownClient<'_>>(200)
        .refuses(&[Problem::NoSuchRecord, Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        patched(client_of(call)?, call.json()?).map_err(|error| request_error(&error))
    }

    fn respond(_: &Context, ChangedClient { client, .. }: ChangedClient) -> Response {
        shown(&ShownClient::of(&client))
    }
}

impl AdminEndpoint for DeleteClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Deletes a client").answers_nothing(204).refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: client_of(call)? })
    }

    fn respond(_: &Context, _: Client) -> Response {
        no_content()
    }
}

impl AdminEndpoint for ListSecrets {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Lists the secrets of a client")
        .answers_page::<ShownSecret<'_>>()
        .refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: client_of(call)? })
    }

    fn respond(_: &Context, client: Client) -> Response {
        all(&client.secrets, |secret| serde_json::to_value(ShownSecret::of(secret)).unwrap_or_default())
    }
}

impl AdminEndpoint for AddSecret {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a secret to a client")
        .takes::<AddSecretBody>()
        .answers::<ShownAddedSecret<'_>>(201)
        .refuses(&[Problem::NoSuchRecord, Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let AddSecretBody { overlap, lifetime, client_secret } = call.json()?;
        let secret = imported(client_secret).map_err(|error| request_error(&error))?;
        Ok(Self { client: client_of(call)?, overlap, lifetime, secret })
    }

    fn respond(_: &Context, AddedSecret { client, kept, secret }: AddedSecret) -> Response {
        let client_secret = Nullable(secret.as_ref().map(SecretText::expose));
        let body = ShownAddedSecret { client_secret, secret: ShownSecret::of(&kept) };
        created(format!("/admin/v1/clients/{}/secrets/{}", client.id, kept.id), &body)
    }
}

impl AdminEndpoint for EndSecret {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Ends a secret of a client")
        .queries::<EndSecretQuery>()
        .answers_nothing(204)
        .refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let EndSecretQuery { overlap } = call.query()?;
        let secret = call.id(1, SecretId::parse)?;
        Ok(Self { client: client_of(call)?, secret, overlap: overlap.unwrap_or(0) })
    }

    fn respond(_: &Context, _: Client) -> Response {
        no_content()
    }
}

impl AdminEndpoint for ListClientKeys {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Lists the public keys of a client")
        .answers_page::<ShownKey<'_>>()
        .refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: client_of(call)? })
    }

    fn respond(_: &Context, client: Client) -> Response {
        all_keys(&client)
    }
}

impl AdminEndpoint for SetClientKeys {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Replaces the public keys of a client")
        .takes::<KeysBody>()
        .answers_page::<ShownKey<'_>>()
        .refuses(&[Problem::NoSuchRecord, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let KeysBody { keys } = call.json()?;
        Self::new(client_of(call)?, set_of(keys).as_bytes()).map_err(|error| request_error(&error))
    }

    fn respond(_: &Context, client: Client) -> Response {
        all_keys(&client)
    }
}

impl AdminEndpoint for AddClientKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a public key to a client")
        .takes::<KeyBody>()
        .answers::<ShownKey<'_>>(201)
        .refuses(&[Problem::NoSuchRecord, Problem::AlreadyExists, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let KeyBody { jwk } = call.json()?;
        Self::new(client_of(call)?, jwk.to_string().as_bytes()).map_err(|error| request_error(&error))
    }

    fn respond(_: &Context, (client, key): (Client, ClientKey)) -> Response {
        let location = format!("/admin/v1/clients/{}/keys/{}", client.id, escaped(key.id()));
        created(location, &ShownKey::of(&key))
    }
}

impl AdminEndpoint for EndClientKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Removes a public key of a client")
        .answers_nothing(204)
        .refuses(&[Problem::NoSuchRecord]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let key = call.id(1, |kid| Ok::<_, core::convert::Infallible>(String::from(kid)))?;
        Ok(Self { client: client_of(call)?, key })
    }

    fn respond(_: &Context, _: Client) -> Response {
        no_content()
    }
}

/// Returns `text` as a segment of a path (RFC 3986 §3.3).
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}
