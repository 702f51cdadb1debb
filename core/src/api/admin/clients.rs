//! `/admin/v1/clients`: services, their secrets and their public keys.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde_json::Value;

use crate::admin::client_secrets::ClientWithSecret;
use crate::admin::clients::{
    AddClient, ChangedClient, ClientFilter, DeleteClient, ListClients, PatchClient, ShowClient,
};
use crate::admin::{AdminError, ClientFields, Obstacle};
use crate::api::admin::answer::{created, no_content, page, shown};
use crate::api::admin::call::{AdminCall, PageParameters};
use crate::api::admin::client_keys::{ShownClientKey, set_of};
use crate::api::admin::client_secrets::{ShownSecret, imported};
use crate::api::admin::{AdminEndpoint, OFFICER};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::base::secret::SecretText;
use crate::crypto::algorithm::Algorithm;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{Nullable, Patched, answer, body};
use crate::records::client::Client;
use crate::records::factor::AskFactor;
use crate::records::id::ClientId;
use crate::records::role::{Role, Roles};
use crate::records::scope::Scope;
use crate::store::page::Page;

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
        /// The rule for second factors of users who sign in for it; null: the general one.
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
        keys: Vec<ShownClientKey<'a>>,
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
    /// The values of a client.
    struct ClientFieldsBody {
        /// A name for people; null: none.
        name: Patched<String> = "Portal",
        /// The scope that it may ask for: names separated by one space.
        scope: Option<Scope> => InvalidValue = "orders:read orders:write",
        /// The scope that it gets if it asks for none; null: it must ask.
        default_scope: Patched<Scope> => InvalidValue = "orders:read",
        /// The audiences of its own tokens, beside this server; null: this server alone.
        audiences: Patched<Vec<String>> = ["https://orders.example"],
        /// The lifetime of its own access tokens in seconds; null: as configured.
        token_lifetime: Patched<u32> = 600,
        /// The lifetime of access tokens of users signed in for it in seconds; null: as configured.
        user_token_lifetime: Patched<u32>,
        /// The rule for second factors of users who sign in for it; null: the general one.
        second_factor: Patched<AskFactor> => InvalidValue,
        /// True if it is believed about the user before it.
        trusted_context: Option<bool>,
        /// The algorithm that signs its tokens, and those of users signed in for it; null: the default key's. A key of it has to sign.
        signing_algorithm: Patched<Algorithm> => InvalidValue = "ES256",
        /// Not taken: the command line on the machine itself gives roles to clients.
        roles: Option<Value>,
    }
}

body! {
    /// A client to be added.
    struct AddClientBody {
        /// The client id.
        client_id: ClientId => InvalidValue = "portal",
        /// Its secret, if it was made elsewhere: 32 characters at least. Otherwise one is made, unless there are keys.
        client_secret: Option<SecretText>,
        /// Its public keys, each a JWK (RFC 7517).
        keys: Option<Vec<Value>>,
        ..values: ClientFieldsBody,
    }
}

body! {
    /// Changes to a client. What is absent stays as it is.
    struct PatchClientBody {
        /// False refuses it everywhere, and ends what was issued by it or for it.
        enabled: Option<bool> = true,
        /// The revision that must still hold.
        revision: Option<u64>,
        ..values: ClientFieldsBody,
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
            keys: client.keys.iter().map(ShownClientKey::of).collect(),
        }
    }
}

impl ClientFieldsBody {
    fn fields(self) -> Result<ClientFields, AdminError> {
        if self.roles.is_some() {
            return Err(AdminError::Refused(Obstacle::RolesOfClients));
        }
        let mut fields = ClientFields::default();
        if let Some(name) = self.name.edited() {
            fields = fields.name(name.as_deref().unwrap_or_default())?;
        }
        if let Some(scope) = self.scope {
            fields = fields.scope(scope)?;
        }
        if let Some(scope) = self.default_scope.edited() {
            fields = fields.default_scope(scope.unwrap_or_default());
        }
        if let Some(audiences) = self.audiences.edited() {
            // An empty one clears, where it is the first.
            fields = fields.audience("")?;
            for audience in audiences.iter().flatten() {
                fields = fields.audience(audience)?;
            }
        }
        if let Some(seconds) = self.token_lifetime.edited() {
            fields = fields.token_lifetime(seconds)?;
        }
        if let Some(seconds) = self.user_token_lifetime.edited() {
            fields = fields.user_token_lifetime(seconds)?;
        }
        if let Some(ask) = self.second_factor.edited() {
            fields = fields.second_factor(ask);
        }
        if let Some(trusted) = self.trusted_context {
            fields = fields.trusted_context(trusted);
        }
        if let Some(algorithm) = self.signing_algorithm.edited() {
            fields = fields.signing_algorithm(algorithm);
        }
        Ok(fields)
    }
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
        page(&found, ShownClient::of)
    }
}

impl AdminEndpoint for AddClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a client")
        .takes::<AddClientBody>()
        .answers::<AddedClient<'_>>(201)
        .refuses(&[Problem::AlreadyExists, Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let AddClientBody { client_id, client_secret, keys, values } = call.json()?;
        let mut fields = values.fields()?;
        if let Some(keys) = keys {
            fields = fields.keys(Some(set_of(keys).as_bytes()))?;
        }
        Ok(Self::new(client_id, fields, imported(client_secret)?)?)
    }

    fn respond(_: &Context, ClientWithSecret { client, secret }: ClientWithSecret) -> Response {
        let client_secret = Nullable(secret.as_ref().map(SecretText::expose));
        let body = AddedClient { client_secret, client: ShownClient::of(&client) };
        created(format!("/admin/v1/clients/{}", client.id), &body)
    }
}

impl AdminEndpoint for ShowClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Shows a client").answers::<ShownClient<'_>>(200);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: call.client()? })
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
        .refuses(&[Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let client = call.client()?;
        let PatchClientBody { enabled, revision, values } = call.json()?;
        Ok(Self { client, fields: values.fields()?, enabled, revision })
    }

    fn respond(_: &Context, ChangedClient { client, .. }: ChangedClient) -> Response {
        shown(&ShownClient::of(&client))
    }
}

impl AdminEndpoint for DeleteClient {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Deletes a client").answers_nothing(204);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: call.client()? })
    }

    fn respond(_: &Context, _: Client) -> Response {
        no_content()
    }
}
