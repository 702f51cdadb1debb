//! `/admin/v1/clients/{id}/keys`: the public keys of a client.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;

use crate::admin::ClientFields;
use crate::admin::client_keys::{AddClientKey, EndClientKey};
use crate::admin::clients::{ChangedClient, SetClient, ShowClient};
use crate::api::admin::answer::{all, created, no_content};
use crate::api::admin::call::AdminCall;
use crate::api::admin::variant::Variant;
use crate::api::admin::{AdminEndpoint, OFFICER};
use crate::api::context::Context;
use crate::api::description::Description;
use crate::http::problem::Problem;
use crate::http::request_error::RequestError;
use crate::http::response::Response;
use crate::http::shape::{answer, body};
use crate::records::client::Client;
use crate::records::client_key::ClientKey;
use crate::records::role::Roles;

answer! {
    /// A public key of a client, which verifies its assertions.
    pub(super) struct ShownClientKey<'a> {
        /// The id of the key.
        kid: &'a str = "2026-01",
        /// The algorithm that it is bound to.
        alg: &'a str = "ES256",
        /// The key as a JWK (RFC 7517).
        jwk: Value,
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

impl<'a> ShownClientKey<'a> {
    pub(super) fn of(key: &'a ClientKey) -> Self {
        let jwk = serde_json::from_str(key.jwk()).unwrap_or_default();
        Self { kid: key.id(), alg: key.algorithm().as_str(), jwk }
    }
}

/// Returns the JWK set with these keys.
pub(super) fn set_of(keys: Vec<Value>) -> String {
    format!("{{\"keys\":{}}}", Value::Array(keys))
}

/// The routes of a client's public keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Keys;

/// Lists the public keys of a client: they are those of the record.
pub(crate) type ListClientKeys = Variant<ShowClient, Keys>;

/// Replaces the public keys of a client.
pub(crate) type SetClientKeys = Variant<SetClient, Keys>;

impl AdminEndpoint for ListClientKeys {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Lists the public keys of a client").answers_page::<ShownClientKey<'_>>();

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(ShowClient { client: call.client()? }.into())
    }

    fn respond(_: &Context, client: Client) -> Response {
        all(&client.keys, ShownClientKey::of)
    }
}

impl AdminEndpoint for SetClientKeys {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Replaces the public keys of a client")
        .takes::<KeysBody>()
        .answers_page::<ShownClientKey<'_>>()
        .refuses(&[Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let KeysBody { keys } = call.json()?;
        let fields = ClientFields::default().keys(Some(set_of(keys).as_bytes()))?;
        Ok(SetClient { client: call.client()?, fields }.into())
    }

    fn respond(_: &Context, ChangedClient { client, .. }: ChangedClient) -> Response {
        all(&client.keys, ShownClientKey::of)
    }
}

impl AdminEndpoint for AddClientKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description = Description::new("Adds a public key to a client")
        .takes::<KeyBody>()
        .answers::<ShownClientKey<'_>>(201)
        .refuses(&[Problem::AlreadyExists, Problem::RecordRefuses, Problem::InvalidValue]);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        let KeyBody { jwk } = call.json()?;
        Ok(Self::new(call.client()?, jwk.to_string().as_bytes())?)
    }

    fn respond(_: &Context, (client, key): (Client, ClientKey)) -> Response {
        let location = format!("/admin/v1/clients/{}/keys/{}", client.id, escaped(key.id()));
        created(location, &ShownClientKey::of(&key))
    }
}

impl AdminEndpoint for EndClientKey {
    const ROLES: Roles = OFFICER;
    const DESCRIPTION: Description =
        Description::new("Removes a public key of a client").answers_nothing(204);

    fn parse(call: &AdminCall<'_>) -> Result<Self, RequestError> {
        Ok(Self { client: call.client()?, key: call.text(1).into() })
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
