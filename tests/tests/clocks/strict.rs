//! A strict verifier: `jsonwebtoken` by the published keys, and times without leeway by the given wall clock.

use gatepass_tests::http::TestRequest;
use gatepass_tests::server::Running;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::Value;

/// Verifies `token` at the time `wall`, and returns its claims.
pub(crate) fn verified(server: &Running, token: &str, wall: i64, lifetime: i64) -> Value {
    let kid = decode_header(token).expect("a header").kid.expect("a kid");
    let published = TestRequest::new("GET", "/.well-known/jwks.json").to(server.address);
    let set: JwkSet = serde_json::from_slice(&published.body).expect("a JWK set");
    let key = DecodingKey::from_jwk(set.find(&kid).expect("the key is published")).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_issuer(&["http://gate.example"]);
    validation.set_audience(&["http://gate.example"]);
    validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    // It reads the machine's clock.
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    let claims = decode::<Value>(token, &key, &validation).expect("the token verifies").claims;
    let time = |name: &str| claims[name].as_i64().unwrap_or_else(|| panic!("no {name}: {claims}"));
    assert!(time("iat") <= wall && time("nbf") <= wall, "issued in the future of {wall}: {claims}");
    assert!(claims["auth_time"].as_i64().is_none_or(|at| at <= wall), "{wall}: {claims}");
    assert!(wall < time("exp"), "expired at {wall}: {claims}");
    assert_eq!(time("exp") - time("iat"), lifetime, "{claims}");
    claims
}
