//! Third-party clients: `oauth2` fetches tokens, `jsonwebtoken` verifies them by the published keys.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_tests::fixtures::PORTAL_SECRET;
use gatepass_tests::http::TestRequest;
use gatepass_tests::server::TestInstallation;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse, TokenUrl};
use serde_json::{Value, json};

#[test]
fn jsonwebtoken_verifies_every_algorithm_by_the_published_keys() {
    let installation = TestInstallation::new();
    let server = installation.serve(&["--issuer", "http://gate.example"]);
    installation.populate();
    for name in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"] {
        let key = installation.json(&["key", "generate", "--alg", name, "--activate"]);
        let token = server.target().service_token("profile");
        let header = decode_header(&token).expect("a header");
        assert_eq!((json!(header.kid), header.typ.as_deref()), (key["kid"].clone(), Some("at+jwt")));

        let published = server.target().ask(&TestRequest::new("GET", "/.well-known/jwks.json"));
        let set: JwkSet = serde_json::from_slice(&published.body).expect("a JWK set");
        let jwk = set.find(&header.kid.expect("a kid")).expect("the key is published");
        let algorithm: Algorithm = name.parse().expect("an algorithm");
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&["http://gate.example"]);
        validation.set_audience(&["http://gate.example"]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let key = DecodingKey::from_jwk(jwk).expect("a key");
        let claims = decode::<Value>(&token, &key, &validation).expect("the token verifies").claims;
        assert_eq!(claims["sub"], "backend", "{name}");
        assert_eq!(server.target().ask(&TestRequest::new("GET", "/userinfo").bearer(&token)).status, 200);
    }
}

#[test]
fn oauth2_fetches_tokens_either_way() {
    let installation = TestInstallation::new();
    let server = installation.serve(&[]);
    installation.populate();
    let send = |request: HttpRequest| -> Result<HttpResponse, std::convert::Infallible> {
        let mut ask =
            TestRequest::new(request.method().as_str(), request.uri().path()).body(request.body().clone());
        for (name, value) in request.headers() {
            ask = ask.header(name.as_str(), value.to_str().expect("text"));
        }
        let answer = ask.to(server.address);
        let mut response = HttpResponse::new(answer.body.clone());
        *response.status_mut() = answer.status.try_into().expect("a status");
        let content_type = answer.header("content-type").expect("a type").parse().expect("a value");
        response.headers_mut().insert("content-type", content_type);
        Ok(response)
    };
    let client = |secret: &str, how: AuthType| {
        BasicClient::new(ClientId::new("portal".into()))
            .set_client_secret(ClientSecret::new(secret.into()))
            .set_auth_type(how)
            .set_token_uri(TokenUrl::new(format!("http://{}/oauth2/token", server.address)).expect("a URL"))
    };
    for how in [AuthType::BasicAuth, AuthType::RequestBody] {
        let token = client(PORTAL_SECRET, how.clone())
            .exchange_client_credentials()
            .add_scope(Scope::new("orders:read".into()))
            .add_scope(Scope::new("orders:write".into()))
            .request(&send)
            .expect("a token");
        assert_eq!(token.expires_in().map(|d| d.as_secs()), Some(3600));
        let scopes: Vec<&str> = token.scopes().expect("a scope").iter().map(|s| s.as_str()).collect();
        assert_eq!(scopes, ["orders:read", "orders:write"]);
        let refused =
            client("wrong", how).exchange_client_credentials().request(&send).expect_err("a refusal");
        assert!(format!("{refused:?}").contains("invalid_client"), "{refused:?}");
    }
}
