//! Public documents: the key set (RFC 7517 §5) and the metadata (RFC 8414, OpenID Connect Discovery).

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::convert::Infallible;
use core::marker::PhantomData;

use crate::api::description::Description;
use crate::api::endpoint::{Basis, Call, Decided, Endpoint, ParsedRequest};
use crate::api::oauth::introspect::Introspect;
use crate::api::oauth::revoke::Revoke;
use crate::api::oauth::token::Token;
use crate::api::oauth::userinfo::Userinfo;
use crate::api::reply::Reply;
use crate::api::routes::AtPath;
use crate::api::shapes::{JwkSet, Metadata, OpenIdMetadata as OpenIdShape};
use crate::base::base64url::encode;
use crate::crypto::algorithm::Algorithm;
use crate::crypto::sha256;
use crate::engine::Engine;
use crate::http::conditional::IfNoneMatch;
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::store::query::{Query, Records};

const CLIENT_AUTHENTICATION: &[&str] = &["client_secret_basic", "client_secret_post", "private_key_jwt"];

/// A document that is made of the engine alone.
pub(crate) trait Document {
    /// As [`Endpoint::DESCRIPTION`].
    const DESCRIPTION: Description;

    fn body(engine: &Engine) -> Vec<u8>;
}

/// Returns the entity tag of `body`.
pub(crate) fn entity_tag(body: &[u8]) -> String {
    format!("\"{}\"", encode(&sha256(body)))
}

/// Returns the answer to a caller who has the versions `known` of a document (RFC 9110 §15.4.5).
pub(crate) fn published(
    engine: &Engine,
    known: &IfNoneMatch,
    tag: String,
    body: impl FnOnce() -> Vec<u8>,
) -> Response {
    let (status, body) = if known.names(&tag) { (304, Vec::new()) } else { (200, body()) };
    let cached = format!("public, max-age={}", engine.settings().key_set_lifetime);
    Response::new(status, "application/json", body).with("cache-control", cached).with("etag", tag)
}

/// A request for a document. It waits for the generation of the keys, so that a key added by a command is published at once.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Published<D> {
    document: PhantomData<D>,
    known: IfNoneMatch,
}

/// A request for a document at the place that RFC 8414 §3.1 gives it where the issuer has a path: the path stands at the end.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct AtIssuerPath<D>(Published<D>);

/// The key set.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Keys;

/// The metadata of RFC 8414.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct ServerMetadata;

/// The metadata of OpenID Connect.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct OpenIdMetadata;

impl<D: Document> Endpoint for Published<D> {
    const DESCRIPTION: Description = D::DESCRIPTION.conditional();

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        Ok(Self { document: PhantomData, known: IfNoneMatch::of(call.request) })
    }
}

impl<D: Document> ParsedRequest for Published<D> {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        Query::Generation
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided {
        let Records::Generation = records else { return Err(basis.ctx.internal()) };
        let body = D::body(basis.engine);
        Ok(published(basis.engine, &self.known, entity_tag(&body), || body).into())
    }
}

impl<D: Document> Endpoint for AtIssuerPath<D> {
    const DESCRIPTION: Description = D::DESCRIPTION.conditional().refuses(&[Problem::NotFound]);

    fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        if call.id() != call.engine.settings().issuer.path() {
            return Err(call.ctx.problem(Problem::NotFound));
        }
        Published::parse(call).map(Self)
    }
}

impl<D: Document> ParsedRequest for AtIssuerPath<D> {
    type Pending = Infallible;
    type Hash = Infallible;

    fn query(&self) -> Query {
        self.0.query()
    }

    fn decide(&self, basis: &Basis<'_>, records: Records) -> Decided {
        self.0.decide(basis, records)
    }
}

impl Document for Keys {
    const DESCRIPTION: Description =
        Description::new("Publishes the keys that verify tokens").answers::<JwkSet>(200);

    fn body(engine: &Engine) -> Vec<u8> {
        engine.verifying_keys().public_jwk_set().into()
    }
}

impl Document for ServerMetadata {
    const DESCRIPTION: Description =
        Description::new("Publishes the metadata of the server").answers::<Metadata<'_>>(200);

    fn body(engine: &Engine) -> Vec<u8> {
        Response::json(200, &metadata(engine)).into_body()
    }
}

impl Document for OpenIdMetadata {
    const DESCRIPTION: Description =
        Description::new("Publishes the metadata of OpenID Connect").answers::<OpenIdShape<'_>>(200);

    fn body(engine: &Engine) -> Vec<u8> {
        let body = OpenIdShape {
            metadata: metadata(engine),
            subject_types_supported: &["public"],
            id_token_signing_alg_values_supported: engine.verifying_keys().public_algorithms(),
        };
        Response::json(200, &body).into_body()
    }
}

fn metadata(engine: &Engine) -> Metadata<'_> {
    let issuer = &engine.settings().issuer;
    // Those of a `ClientKey`.
    let assertions = Algorithm::ALL.iter().filter(|algorithm| algorithm.is_asymmetric());
    let assertions: Vec<_> = assertions.map(|algorithm| algorithm.as_str()).collect();
    Metadata {
        issuer: issuer.as_str(),
        token_endpoint: issuer.url(Token::PATH),
        userinfo_endpoint: issuer.url(Userinfo::PATH),
        jwks_uri: issuer.url(Published::<Keys>::PATH),
        introspection_endpoint: issuer.url(Introspect::PATH),
        revocation_endpoint: issuer.url(Revoke::PATH),
        scopes_supported: vec!["profile", "email", "phone"],
        response_types_supported: &[],
        grant_types_supported: &["client_credentials", "refresh_token"],
        token_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        token_endpoint_auth_signing_alg_values_supported: assertions.clone(),
        introspection_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        introspection_endpoint_auth_signing_alg_values_supported: assertions.clone(),
        revocation_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        revocation_endpoint_auth_signing_alg_values_supported: assertions,
    }
}
