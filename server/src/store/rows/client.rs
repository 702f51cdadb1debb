//! Clients and their secrets.

use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::client::{Client, ClientSecret, SecretDigest};
use gatepass_core::records::client_key::ClientKey;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::SecretId;

use super::row::{Columns, MalformedRow};
use super::text::{client_id, owned, scope, texts};
use super::value::Value;

fn client_keys(text: &str) -> Option<Vec<ClientKey>> {
    ClientKey::read_set(text.as_bytes()).ok()
}

/// Reads a client without its secrets.
pub(in crate::store) fn client(c: &mut Columns<'_>) -> Result<Client, MalformedRow> {
    Ok(Client {
        id: c.parsed("id", client_id)?,
        name: c.maybe("name", owned)?,
        scope: c.parsed("scope", scope)?,
        default_scope: c.parsed("default_scope", scope)?,
        audiences: c.parsed("audiences", texts)?,
        enabled: c.flag("enabled")?,
        token_lifetime: c.maybe_small("token_lifetime")?,
        user_token_lifetime: c.maybe_small("user_token_lifetime")?,
        created_at: c.time("created_at")?,
        revision: c.number("revision")?,
        second_factor: c.maybe("second_factor", AskFactor::parse)?,
        epoch: c.number("epoch")?,
        trusted_context: c.flag("trusted_context")?,
        roles: c.roles("roles")?,
        keys: c.maybe("jwks", client_keys)?.unwrap_or_default(),
        signing_algorithm: c.maybe("signing_algorithm", Algorithm::parse)?,
        secrets: Vec::new(),
    })
}

/// Returns the values of a client without its secrets.
pub(in crate::store) fn client_values(client: &Client) -> [Value<'_>; 16] {
    [
        client.id.as_str().into(),
        client.name.as_deref().into(),
        client.scope.as_str().into(),
        client.default_scope.as_str().into(),
        Value::json(&client.audiences),
        client.enabled.into(),
        client.token_lifetime.into(),
        client.user_token_lifetime.into(),
        client.created_at.into(),
        client.revision.into(),
        client.second_factor.map(AskFactor::as_str).into(),
        client.epoch.into(),
        client.trusted_context.into(),
        client.roles.bits().into(),
        (!client.keys.is_empty()).then(|| ClientKey::write_set(&client.keys)).into(),
        client.signing_algorithm.map(Algorithm::as_str).into(),
    ]
}

pub(in crate::store) fn secret(c: &mut Columns<'_>) -> Result<ClientSecret, MalformedRow> {
    Ok(ClientSecret {
        id: c.parsed("id", |text| SecretId::parse(text).ok())?,
        digest: SecretDigest(c.bytes("digest")?),
        created_at: c.time("created_at")?,
        expires_at: c.maybe_time("expires_at")?,
        last_used_at: c.maybe_time("last_used_at")?,
    })
}

pub(in crate::store) fn secret_values(secret: &ClientSecret) -> [Value<'_>; 5] {
    [
        secret.id.as_str().into(),
        (&secret.digest.0).into(),
        secret.created_at.into(),
        secret.expires_at.into(),
        secret.last_used_at.into(),
    ]
}
