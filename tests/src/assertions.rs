//! Assertions by which clients authenticate (RFC 7523), each with a key of its own.

use gatepass_core::base::time::Time;
use gatepass_core::http::request::Request;
use gatepass_core::jose::key::{KeySet, SigningKey};
use gatepass_core::records::client_key::ClientKey;
use serde_json::{Value, json};

use crate::fixtures::{client_id, request};
use crate::memory::Tables;

/// The seed of the key of every client that has one.
pub const SEED: [u8; 32] = [9; 32];

/// The form's parameters beside the assertion.
pub const TYPE: &str = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";

/// The private key.
fn key() -> SigningKey {
    SigningKey::from_ed25519_seed(&SEED).expect("a key")
}

/// Returns the JWK set with its public half.
pub fn key_set() -> String {
    KeySet::new(vec![key().verifying_key().expect("a key")]).public_jwk_set().to_owned()
}

/// Gives the client `id` the key.
pub fn give_key(tables: &mut Tables, id: &str) {
    let keys = ClientKey::read_set(key_set().as_bytes()).expect("public keys");
    tables.clients.get_mut(&client_id(id)).expect("a client").keys = keys;
}

/// Returns the claims of a good assertion of the client `id`, made at `now`.
pub fn claims(id: &str, issuer: &str, jti: &str, now: Time) -> Value {
    let now = now.unix();
    json!({"iss": id, "sub": id, "aud": issuer, "jti": jti, "iat": now, "exp": now + 60})
}

/// Returns an assertion with these claims.
pub fn signed(claims: &Value) -> String {
    key().sign("client-authentication+jwt", claims.to_string().as_bytes()).expect("a signature")
}

/// Returns the form that a client posts to `path` with `assertion`.
pub fn posts_with(path: &str, assertion: &str, form: &str) -> Request {
    Request {
        headers: vec![("content-type".into(), b"application/x-www-form-urlencoded".to_vec())],
        body: format!("{form}&{TYPE}{assertion}").into(),
        ..request(path, "", &Value::Null)
    }
}
