//! The one table of routes. Nothing else knows a path.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::api::context::{Context, ErrorFormat, sent_id};
use crate::api::endpoint::{Call, Endpoint, Flow};
use crate::api::meta::published::{self, AtIssuerPath, Published};
use crate::api::person::Bearer;
use crate::api::reply::Reply;
use crate::api::step::Step;
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
use crate::store::change::Outcome;
use crate::store::query::Found;
use rows::routes;

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
}

/// One row of the table.
#[derive(Clone, Copy)]
pub struct Route {
    /// The methods; `HEAD` goes with `GET`.
    pub methods: &'static [&'static str],
    /// The path; `{id}` at its end stands for one segment, `{path}` for one or more.
    pub path: &'static str,
    /// The authentication that it requires.
    pub authentication: Authentication,
    /// The format of errors.
    pub errors: ErrorFormat,
    variable: Variable,
    begin: fn(Call<'_>) -> Step,
}

/// The variable end of a path, by what stands before it.
#[derive(Clone, Copy)]
enum Variable {
    /// There is none.
    Nothing,
    /// `{id}`: one segment.
    Segment(&'static str),
    /// `{path}`: one or more segments.
    Segments(&'static str),
}

/// An endpoint that has a row in the table.
pub(crate) trait Routed: Endpoint {
    /// Its path.
    const PATH: &'static str;

    fn await_records(self) -> AwaitRecords;
    fn await_commit(self, pending: Self::Pending) -> AwaitCommit;
    fn await_hash(self, hash: Self::Hash) -> AwaitHash;
}

// Name, methods, path, endpoint, authentication, format of errors.
routes! {
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
    Alive:           GET        "/healthz"                                => meta::health::Alive,                       Nobody,         Simple;
    Ready:           GET        "/readyz"                                 => meta::health::Ready,                       Nobody,         Simple;
}

impl Variable {
    /// Returns the variable end of `path`.
    const fn of(path: &'static str) -> Self {
        match path.as_bytes() {
            [before @ .., b'{', b'i', b'd', b'}'] => match core::str::from_utf8(before) {
                Ok(before) => Self::Segment(before),
                Err(_) => Self::Nothing,
            },
            [before @ .., b'{', b'p', b'a', b't', b'h', b'}'] => match core::str::from_utf8(before) {
                Ok(before) => Self::Segments(before),
                Err(_) => Self::Nothing,
            },
            _ => Self::Nothing,
        }
    }
}

impl Route {
    /// Returns the part of its path before a variable end.
    const fn label(&self) -> &'static str {
        match self.variable {
            Variable::Nothing => self.path,
            Variable::Segment(before) | Variable::Segments(before) => before,
        }
    }

    /// Matches `path`, and returns its variable end: empty where the route has none.
    fn matches<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.variable {
            Variable::Nothing => (path == self.path).then_some(""),
            Variable::Segment(before) => {
                path.strip_prefix(before).filter(|id| !id.is_empty() && !id.contains('/'))
            }
            Variable::Segments(before) => path.strip_prefix(before).filter(|rest| !rest.is_empty()),
        }
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
    Response::new(204, "application/json", Vec::new()).with("allow", methods)
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
    /// The row that has the path and the method, and the variable end of the path.
    route: Option<(&'static Route, &'a str)>,
    /// The number of that row.
    number: Option<usize>,
}

impl<'a> RoutedRequest<'a> {
    /// Looks up the path and the method of `request`, and reads its language.
    pub fn of(request: &'a Request) -> Self {
        let language = Language::of(request.header("accept-language").unwrap_or_default());
        let path = request.path();
        let rows = ROUTES.iter().enumerate();
        let mut rows =
            rows.filter_map(|(number, route)| Some((number, route, route.matches(path)?))).peekable();
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

    /// Returns the path for a log: as the table has it, without its variable end, and empty where no route has it. The rest was
    /// made up by the caller, and may be a secret in the wrong place.
    pub fn label(&self) -> &'static str {
        self.at_path.map_or("", Route::label)
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
            Some((route, id)) => (route.begin)(Call { ctx, engine: self, request, id }),
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
