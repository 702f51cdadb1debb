//! The one table of routes. Nothing else knows a path.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::admin::client_keys::{AddClientKey, EndClientKey};
use crate::admin::client_secrets::{AddSecret, EndSecrets};
use crate::admin::clients::{AddClient, DeleteClient, ListClients, PatchClient, ShowClient};
use crate::admin::factors::ResetFactors;
use crate::admin::import::ImportUsers;
use crate::admin::keys::{ActivateKey, GenerateKey, ListKeys, RetireKey, ShowKey, StopKey};
use crate::admin::risk::ExplainRisk;
use crate::admin::roles::{ListRoleHolders, SetUserRoles};
use crate::admin::sessions::{EndSession, EndUserSessions, ListSessions};
use crate::admin::tickets::{ListTickets, RevokeTicket, ShowTicket};
use crate::admin::users::{
    AddUser, DeleteUser, ListUsers, PatchUser, RequirePasswordChange, SetPassword, ShowAccount, ShowUser,
    UnlockUser,
};
use crate::api::admin::audit::{ArchiveAudit, ListEvents, VerifyAudit};
use crate::api::admin::settings::ShowSettings;
use crate::api::admin::status::ShowStatus;
use crate::api::admin::{self, AdminEndpoint, Administered};
use crate::api::context::{Context, ErrorFormat, sent_id};
use crate::api::description::Description;
use crate::api::endpoint::{Call, Endpoint, Flow, ParsedRequest};
use crate::api::meta::openapi;
use crate::api::meta::published::{self, AtIssuerPath, Published};
use crate::api::person::Bearer;
use crate::api::reply::Reply;
use crate::api::step::Step;
use crate::api::task::TaskAnswer;
use crate::api::{auth, me, meta, mfa, oauth};
use crate::engine::Engine;
use crate::http::language::Language;
use crate::http::oauth_error::OAuthError;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::password::Workspace;
use crate::records::request_id::RequestIds;
use crate::records::request_inputs::RequestInputs;
use crate::records::role::Roles;
use crate::store::change::Outcome;
use crate::store::query::{Found, Query};
use rows::{requests, routes};

mod rows;

/// The authentication that a route requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing.
    Nobody,
    /// A credential in its body: a ticket, a password, a challenge with a code, or a refresh token. The client that a
    /// credential is bound to authenticates as well.
    Credential,
    /// An access token (RFC 6750).
    AccessToken,
    /// A client's id and secret (RFC 6749 §2.3).
    Client,
    /// An access token with the scope `gatepass:admin`, of a user or a client with a role.
    Administrator,
}

/// The part of the routes that an address serves. Elsewhere the others do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Surface {
    /// All of them.
    #[default]
    Whole,
    /// All but administration and metrics.
    Public,
    /// Administration and metrics alone.
    Administration,
}

impl Surface {
    /// Returns true if `route` is one of its own.
    fn serves(self, route: &Route) -> bool {
        match self {
            Self::Whole => true,
            Self::Public => !route.is_administrative(),
            Self::Administration => route.is_administrative(),
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Route {
    /// The methods; `HEAD` goes with `GET`.
    pub methods: &'static [&'static str],
    /// The path; `{path}` at its end stands for one segment or more, and any other name in braces for one.
    pub path: &'static str,
    /// The authentication that it requires.
    pub authentication: Authentication,
    /// The format of errors.
    pub errors: ErrorFormat,
    /// The roles, one of which an administrator must have.
    pub roles: Roles,
    pub(crate) description: &'static Description,
    /// The length of its path before the first variable segment.
    fixed: usize,
    begin: fn(Call<'_>) -> Step,
}

/// A parsed request to a route. Its waits are variants of [`AwaitRecords`], [`AwaitCommit`] and [`AwaitHash`].
pub(crate) trait Routed: ParsedRequest {
    fn await_records(self) -> AwaitRecords;
    fn await_commit(self, pending: Self::Pending) -> AwaitCommit;
    fn await_hash(self, hash: Self::Hash) -> AwaitHash;
}

/// An endpoint that has one path.
pub(crate) trait AtPath {
    /// The path.
    const PATH: &'static str;
}

// Name, methods, path, endpoint, authentication, format of errors.
routes! {
public {
    TicketSignin:    POST       "/auth/ticket/signin"                     => auth::ticket_signin::TicketSignin,         Credential,     Simple;
    GenerateTicket:  POST       "/auth/generate-ticket"                   => auth::generate_ticket::GenerateTicket,     AccessToken,    Simple;
    Login:           POST       "/auth/login"                             => auth::login::Login,                        Credential,     Simple;
    VerifyChallenge: POST       "/auth/mfa/verify-challenge"              => auth::verify_challenge::VerifyChallenge,   Credential,     Simple;
    Refresh:         POST       "/auth/refresh"                           => auth::refresh::Refresh,                    Credential,     Simple;
    ChangePassword:  PUT        "/auth/me/password"                       => Bearer<me::password::ChangePassword>,      AccessToken,    Simple;
    ListSessions:    GET        "/auth/me/sessions"                       => Bearer<me::sessions::ListSessions>,        AccessToken,    Simple;
    EndSessions:     DELETE     "/auth/me/sessions"                       => Bearer<me::sessions::EndSessions>,         AccessToken,    Simple;
    EndSession:      DELETE     "/auth/me/sessions/{id}"                  => Bearer<me::sessions::EndSession>,          AccessToken,    Simple;
    SetUpDevice:     POST       "/mfa/totp/setup"                         => Bearer<mfa::set_up::SetUpDevice>,          AccessToken,    Simple;
    VerifyDevice:    POST       "/mfa/totp/verify"                        => Bearer<mfa::verify::VerifyDevice>,         AccessToken,    Simple;
    ListDevices:     GET        "/mfa/totp/devices"                       => Bearer<mfa::devices::ListDevices>,         AccessToken,    Simple;
    RemoveDevice:    DELETE     "/mfa/totp/devices/{id}"                  => Bearer<mfa::devices::RemoveDevice>,        AccessToken,    Simple;
    Token:           POST       "/oauth2/token"                           => oauth::token::Token,                       Client,         OAuth;
    Introspect:      POST       "/oauth2/introspect"                      => oauth::introspect::Introspect,             Client,         OAuth;
    Revoke:          POST       "/oauth2/revoke"                          => oauth::revoke::Revoke,                     Client,         OAuth;
    Userinfo:        GET | POST "/userinfo"                               => oauth::userinfo::Userinfo,                 AccessToken,    Bearer;
    Keys:            GET        "/.well-known/jwks.json"                  => Published<published::Keys>,                Nobody,         Simple;
    ServerMetadata:  GET        "/.well-known/oauth-authorization-server" => Published<published::ServerMetadata>,      Nobody,         Simple;
    OpenIdMetadata:  GET        "/.well-known/openid-configuration"       => Published<published::OpenIdMetadata>,      Nobody,         Simple;
    MetadataAtPath:  GET        "/.well-known/oauth-authorization-server/{path}" => AtIssuerPath<published::ServerMetadata>, Nobody,      Simple;
    OpenIdAtPath:    GET        "/.well-known/openid-configuration/{path}" => AtIssuerPath<published::OpenIdMetadata>,  Nobody,         Simple;
    OpenApi:         GET        "/openapi.json"                           => openapi::OpenApi,                          Nobody,         Simple;
    Alive:           GET        "/healthz"                                => meta::health::Alive,                       Nobody,         Simple;
    Metrics:         GET        "/metrics"                                => meta::metrics::Metrics,                     AccessToken,    Simple;
    Ready:           GET        "/readyz"                                 => meta::health::Ready,                       Nobody,         Simple;
}
// Administration: method, path, operation.
admin {
    GET    "/admin/v1/users"                         => ListUsers;
    POST   "/admin/v1/users"                         => AddUser;
    GET    "/admin/v1/users/{id}"                    => ShowUser;
    PATCH  "/admin/v1/users/{id}"                    => PatchUser;
    DELETE "/admin/v1/users/{id}"                    => DeleteUser;
    POST   "/admin/v1/users:import"                  => ImportUsers;
    PUT    "/admin/v1/users/{id}/password"           => SetPassword;
    POST   "/admin/v1/users/{id}/password/require-change" => RequirePasswordChange;
    POST   "/admin/v1/users/{id}/unlock"             => UnlockUser;
    GET    "/admin/v1/users/{id}/factors"            => ShowAccount;
    DELETE "/admin/v1/users/{id}/factors"            => ResetFactors;
    GET    "/admin/v1/users/{id}/sessions"           => ListSessions;
    DELETE "/admin/v1/users/{id}/sessions"           => EndUserSessions;
    DELETE "/admin/v1/users/{id}/sessions/{session}" => EndSession;
    GET    "/admin/v1/clients"                       => ListClients;
    POST   "/admin/v1/clients"                       => AddClient;
    GET    "/admin/v1/clients/{id}"                  => ShowClient;
    PATCH  "/admin/v1/clients/{id}"                  => PatchClient;
    DELETE "/admin/v1/clients/{id}"                  => DeleteClient;
    GET    "/admin/v1/clients/{id}/secrets"          => admin::client_secrets::ListSecrets;
    POST   "/admin/v1/clients/{id}/secrets"          => AddSecret;
    DELETE "/admin/v1/clients/{id}/secrets/{secret}" => EndSecrets;
    GET    "/admin/v1/clients/{id}/keys"             => admin::client_keys::ListClientKeys;
    PUT    "/admin/v1/clients/{id}/keys"             => admin::client_keys::SetClientKeys;
    POST   "/admin/v1/clients/{id}/keys"             => AddClientKey;
    DELETE "/admin/v1/clients/{id}/keys/{kid}"       => EndClientKey;
    GET    "/admin/v1/tickets"                       => ListTickets;
    GET    "/admin/v1/tickets/{id}"                  => ShowTicket;
    DELETE "/admin/v1/tickets/{id}"                  => RevokeTicket;
    GET    "/admin/v1/keys"                          => ListKeys;
    POST   "/admin/v1/keys"                          => GenerateKey;
    GET    "/admin/v1/keys/{kid}"                    => ShowKey;
    POST   "/admin/v1/keys/{kid}/activate"           => ActivateKey;
    POST   "/admin/v1/keys/{kid}/stop"               => StopKey;
    DELETE "/admin/v1/keys/{kid}"                    => RetireKey;
    POST   "/admin/v1/risk:explain"                  => ExplainRisk;
    GET    "/admin/v1/roles"                         => ListRoleHolders;
    PUT    "/admin/v1/roles/{id}"                    => SetUserRoles;
    DELETE "/admin/v1/roles/{id}"                    => admin::roles::TakeUserRoles;
    GET    "/admin/v1/audit"                         => ListEvents;
    POST   "/admin/v1/audit:verify"                  => VerifyAudit;
    POST   "/admin/v1/audit:archive"                 => ArchiveAudit;
    GET    "/admin/v1/settings"                      => ShowSettings;
    GET    "/admin/v1/status"                        => ShowStatus;
}
}

/// The end of a path that stands for one segment or more.
const REST: &str = "{path}";

/// Returns the length of `path` before its first variable segment.
const fn fixed_length(path: &str) -> usize {
    let mut rest = path.as_bytes();
    while let [first, others @ ..] = rest {
        if *first == b'{' {
            break;
        }
        rest = others;
    }
    path.len().saturating_sub(rest.len())
}

impl Route {
    /// Matches `path`, and returns its variable segments: empty where the route has fewer.
    fn matches<'a>(&self, path: &'a str) -> Option<[&'a str; 2]> {
        if self.fixed == self.path.len() {
            return (path == self.path).then_some(["", ""]);
        }
        let (fixed, mut pattern) = self.path.split_at_checked(self.fixed)?;
        let mut rest = path.strip_prefix(fixed)?;
        let mut found = [""; 2];
        let mut free = found.iter_mut();
        if pattern == REST {
            return (!rest.is_empty()).then_some([rest, ""]);
        }
        loop {
            let (own, own_rest) =
                pattern.split_once('/').map_or((pattern, None), |(own, more)| (own, Some(more)));
            let (sent, sent_rest) =
                rest.split_once('/').map_or((rest, None), |(sent, more)| (sent, Some(more)));
            if !own.starts_with('{') {
                (own == sent).then_some(())?;
            } else if sent.is_empty() {
                return None;
            } else {
                *free.next()? = sent;
            }
            match (own_rest, sent_rest) {
                (None, None) => return Some(found),
                (Some(own), Some(sent)) => (pattern, rest) = (own, sent),
                (None, Some(_)) | (Some(_), None) => return None,
            }
        }
    }

    /// Returns true if it is for administrators, and may have an address of its own.
    fn is_administrative(&self) -> bool {
        self.path == "/metrics" || self.path.starts_with("/admin/")
    }

    /// Returns true if `method` is one of its own.
    fn takes(&self, method: &str) -> bool {
        self.methods.iter().any(|&own| own == method || own == "GET" && method == "HEAD")
    }
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("methods", &self.methods)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Returns the value of `Allow` for a path: the methods of every row that has it.
fn allow(path: &str) -> String {
    methods_of(ROUTES.iter().filter(|route| route.matches(path).is_some()))
}

/// Returns the answer to `OPTIONS *`: the methods that some route takes (RFC 9110 §9.3.7).
fn options() -> Response {
    let mut methods = methods_of(ROUTES.iter());
    methods.push_str(", OPTIONS");
    Response::empty(204).with("allow", methods)
}

/// Returns the methods of `rows`, each once.
fn methods_of(rows: impl Iterator<Item = &'static Route>) -> String {
    let mut allow = String::new();
    for &method in rows.flat_map(|route| route.methods) {
        if allow.split(", ").any(|one| one == method) {
            continue;
        }
        let more = if method == "GET" { "GET, HEAD" } else { method };
        allow.push_str(if allow.is_empty() { "" } else { ", " });
        allow.push_str(more);
    }
    allow
}

/// A request whose route is known. It says what a server may log of it.
#[derive(Debug)]
pub struct RoutedRequest<'a> {
    request: &'a Request,
    language: Language,
    /// The first row that has the path.
    at_path: Option<&'static Route>,
    /// The row that has the path and the method, and the variable segments of the path.
    route: Option<(&'static Route, [&'a str; 2])>,
    /// The number of that row.
    number: Option<usize>,
}

impl<'a> RoutedRequest<'a> {
    /// Looks up the path and the method of `request`, and reads its language.
    pub fn of(request: &'a Request) -> Self {
        Self::at(Surface::Whole, request)
    }

    /// Does the same at an address that serves `surface`.
    pub fn at(surface: Surface, request: &'a Request) -> Self {
        let language = Language::of(request.header("accept-language").unwrap_or_default());
        let path = request.path();
        let rows = ROUTES.iter().enumerate();
        let rows = rows.filter_map(|(number, route)| Some((number, route, route.matches(path)?)));
        let mut rows = rows.filter(|(_, route, _)| surface.serves(route)).peekable();
        let at_path = rows.peek().map(|(_, route, _)| *route);
        let found = rows.find(|(_, route, _)| route.takes(&request.method));
        let (number, route) = found.map(|(number, route, id)| (number, (route, id))).unzip();
        Self { request, language, at_path, route, number }
    }

    /// Returns the language of messages for people.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Returns the number of its row in [`ROUTES`]; none if no row has its path and its method.
    pub const fn number(&self) -> Option<usize> {
        self.number
    }

    /// Returns the path for a log: as the table has it, and empty where no route has it. What stands in place of a variable segment
    /// was made up by the caller, and may be a secret in the wrong place.
    pub fn label(&self) -> &'static str {
        self.at_path.map_or("", |route| route.path)
    }
}

impl Engine {
    /// Begins to answer `request`.
    pub fn handle(&self, request: Request, inputs: RequestInputs) -> Step {
        self.begin(&RoutedRequest::of(&request), inputs)
    }

    /// Does the same for a request that stays at hand: whoever finds that the clock was set since may begin anew.
    pub fn begin(&self, routed: &RoutedRequest<'_>, inputs: RequestInputs) -> Step {
        let RoutedRequest { request, language, at_path, route, .. } = *routed;
        let errors = at_path.map_or(ErrorFormat::Simple, |route| route.errors);
        let ids = RequestIds { own: inputs.request_id(), sent: sent_id(request) };
        let ctx = Context { inputs, language, peer: request.peer, stated: None, ids, errors };
        match route {
            Some((route, segments)) => (route.begin)(Call { ctx, engine: self, request, segments }),
            None if request.method == "OPTIONS" && request.target == "*" => {
                Step::reply(&ctx, options().into())
            }
            None if at_path.is_none() => Step::reply(&ctx, ctx.problem(Problem::NotFound)),
            None => {
                let response = match errors {
                    ErrorFormat::OAuth => OAuthError::MethodNotAllowed.response(),
                    ErrorFormat::Simple | ErrorFormat::Bearer => {
                        ctx.problem(Problem::MethodNotAllowed).into_response()
                    }
                };
                Step::reply(&ctx, response.with("allow", allow(request.path())).into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
