//! What anybody may read: the key set (RFC 7517 §5) and the metadata (RFC 8414, OpenID Connect Discovery).

use alloc::vec;

use crate::api::context::Context;
use crate::api::shapes::{Metadata, OpenIdMetadata};
use crate::api::step::Step;
use crate::engine::Engine;
use crate::http::response::Response;
use crate::store::query::{Found, Query, Records};

const CLIENT_AUTHENTICATION: &[&str] = &["client_secret_basic", "client_secret_post"];

/// Which document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// `/.well-known/jwks.json`
    Keys,
    /// `/.well-known/oauth-authorization-server`
    Metadata,
    /// `/.well-known/openid-configuration`
    OpenIdMetadata,
}

/// Waits for the generation of the keys, so that a key added by a command is published at once.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct Looking {
    ctx: Context,
    document: Document,
}

pub(crate) fn begin(ctx: Context, document: Document) -> Step {
    Step::read(Query::Generation, Looking { ctx, document })
}

impl Looking {
    pub(crate) const fn context(&self) -> &Context {
        &self.ctx
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        if found.records != Records::Generation {
            return Step::Reply(self.ctx.internal());
        }
        let issuer = &engine.settings().issuer;
        let metadata = || Metadata {
            issuer: issuer.as_str(),
            token_endpoint: issuer.url("/oauth2/token"),
            userinfo_endpoint: issuer.url("/userinfo"),
            jwks_uri: issuer.url("/.well-known/jwks.json"),
            introspection_endpoint: issuer.url("/oauth2/introspect"),
            revocation_endpoint: issuer.url("/oauth2/revoke"),
            scopes_supported: vec!["profile", "email", "phone"],
            response_types_supported: &[],
            grant_types_supported: &["client_credentials", "refresh_token"],
            token_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
            introspection_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
            revocation_endpoint_auth_methods_supported: CLIENT_AUTHENTICATION,
        };
        Step::Reply(match self.document {
            Document::Keys => {
                Response::new(200, "application/json", engine.verifying_keys().public_jwk_set().into())
            }
            Document::Metadata => Response::json(200, &metadata()),
            Document::OpenIdMetadata => Response::json(
                200,
                &OpenIdMetadata {
                    metadata: metadata(),
                    subject_types_supported: &["public"],
                    id_token_signing_alg_values_supported: engine.verifying_keys().public_algorithms(),
                },
            ),
        })
    }
}
