//! One file for each endpoint, each read top to bottom in the order it happens; and the table that leads to them.

pub(crate) mod auth;
pub(crate) mod bearer;
pub(crate) mod context;
pub(crate) mod lockout;
pub(crate) mod me;
pub(crate) mod meta;
pub mod mfa;
pub(crate) mod oauth;
pub(crate) mod recorded;
pub(crate) mod shapes;
pub mod step;
pub(crate) mod tokens;

use crate::api::context::{Context, Manner};
use crate::api::meta::published::Document;
use crate::api::mfa::factors::Wish;
use crate::api::step::Step;
use crate::engine::Engine;
use crate::http::body::Body;
use crate::http::language::Language;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::policy::ticket_request::TicketRequest;
use crate::records::password::Workspace;
use crate::records::request_inputs::RequestInputs;
use crate::store::change::Outcome;
use crate::store::query::Found;

/// Every path served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route<'a> {
    TicketSignin,
    GenerateTicket,
    Login,
    Refresh,
    MyPassword,
    MySessions,
    MySession(&'a str),
    VerifyChallenge,
    TotpSetup,
    TotpVerify,
    TotpDevices,
    TotpDevice(&'a str),
    Token,
    Introspect,
    Revoke,
    Userinfo,
    Published(Document),
    Alive,
    Ready,
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        if let Some(id) = path.strip_prefix("/auth/me/sessions/") {
            return (!id.is_empty() && !id.contains('/')).then_some(Self::MySession(id));
        }
        if let Some(id) = path.strip_prefix("/mfa/totp/devices/") {
            return (!id.is_empty() && !id.contains('/')).then_some(Self::TotpDevice(id));
        }
        Some(match path {
            "/auth/ticket/signin" => Self::TicketSignin,
            "/auth/generate-ticket" => Self::GenerateTicket,
            "/auth/login" => Self::Login,
            "/auth/refresh" => Self::Refresh,
            "/auth/me/password" => Self::MyPassword,
            "/auth/mfa/verify-challenge" => Self::VerifyChallenge,
            "/mfa/totp/setup" => Self::TotpSetup,
            "/mfa/totp/verify" => Self::TotpVerify,
            "/mfa/totp/devices" => Self::TotpDevices,
            "/auth/me/sessions" => Self::MySessions,
            "/oauth2/token" => Self::Token,
            "/oauth2/introspect" => Self::Introspect,
            "/oauth2/revoke" => Self::Revoke,
            "/userinfo" => Self::Userinfo,
            "/.well-known/jwks.json" => Self::Published(Document::Keys),
            "/.well-known/oauth-authorization-server" => Self::Published(Document::Metadata),
            "/.well-known/openid-configuration" => Self::Published(Document::OpenIdMetadata),
            "/healthz" => Self::Alive,
            "/readyz" => Self::Ready,
            _ => return None,
        })
    }

    /// The value of `Allow`, `HEAD` wherever there is `GET`.
    const fn allow(self) -> &'static str {
        match self {
            Self::TicketSignin
            | Self::GenerateTicket
            | Self::Login
            | Self::Refresh
            | Self::VerifyChallenge
            | Self::TotpSetup
            | Self::TotpVerify
            | Self::Token
            | Self::Introspect
            | Self::Revoke => "POST",
            Self::MyPassword => "PUT",
            Self::MySessions => "GET, HEAD, DELETE",
            Self::MySession(_) | Self::TotpDevice(_) => "DELETE",
            Self::Userinfo => "GET, HEAD, POST",
            Self::TotpDevices | Self::Published(_) | Self::Alive | Self::Ready => "GET, HEAD",
        }
    }

    const fn manner(self) -> Manner {
        match self {
            Self::Token | Self::Introspect | Self::Revoke => Manner::OAuth,
            Self::Userinfo => Manner::Bearer,
            Self::TicketSignin
            | Self::GenerateTicket
            | Self::Login
            | Self::Refresh
            | Self::MyPassword
            | Self::MySessions
            | Self::MySession(_)
            | Self::VerifyChallenge
            | Self::TotpSetup
            | Self::TotpVerify
            | Self::TotpDevices
            | Self::TotpDevice(_)
            | Self::Published(_)
            | Self::Alive
            | Self::Ready => Manner::Simple,
        }
    }
}

/// Whether failures at the path of `target` count against an address's budget: wherever a guess could be tried.
pub fn is_budgeted(path: &str) -> bool {
    ["/auth/", "/mfa/", "/oauth2/"].iter().any(|prefix| path.starts_with(prefix))
}

/// The part of `path` that is ours: nothing where there is no such path, and no id. What a caller made up may be a
/// secret in the wrong place, and is for no log.
pub fn known_part(path: &str) -> &str {
    match Route::of(path) {
        None => "",
        Some(Route::MySession(id) | Route::TotpDevice(id)) => path.strip_suffix(id).unwrap_or(""),
        Some(_) => path,
    }
}

impl Engine {
    /// Begins to answer `request`.
    pub fn handle(&self, request: Request, inputs: RequestInputs) -> Step {
        self.begin(&request, inputs)
    }

    /// Does the same for a request that stays at hand: whoever finds that the clock was set since may begin anew.
    pub fn begin(&self, request: &Request, inputs: RequestInputs) -> Step {
        begin(self, request, inputs)
    }

    /// Begins to issue a ticket for the command line. The answer's body is `{"id", "ticket", "expires_in"}`, or a
    /// SimpleResponse.
    pub fn issue_by_command(&self, asked: TicketRequest, inputs: RequestInputs) -> Step {
        issue_by_command(asked, inputs)
    }
}

fn begin(engine: &Engine, request: &Request, inputs: RequestInputs) -> Step {
    let language = Language::of(request.header("accept-language").unwrap_or_default());
    let route = Route::of(request.path());
    let manner = route.map_or(Manner::Simple, Route::manner);
    let ctx = Context { inputs, language, peer: Some(request.peer), manner };
    let Some(route) = route else { return Step::Reply(ctx.problem(Problem::NotFound)) };
    if !route.allow().split(", ").any(|method| method == request.method) {
        return Step::Reply(ctx.problem(Problem::MethodNotAllowed).with("Allow", route.allow()));
    }
    match route {
        Route::TicketSignin => auth::ticket_signin::begin(ctx, request),
        Route::GenerateTicket => auth::generate_ticket::begin(ctx, engine, request),
        Route::Login => auth::login::begin(ctx, request),
        Route::Refresh => auth::refresh::begin(ctx, request),
        Route::MyPassword => me::password::begin(ctx, request),
        Route::MySessions => me::sessions::begin(ctx, request, None),
        Route::MySession(id) => me::sessions::begin(ctx, request, Some(id)),
        Route::VerifyChallenge => auth::verify_challenge::begin(ctx, request),
        Route::TotpSetup => {
            let wish = Body::of_any(request).and_then(|body| Wish::set_up(&body));
            mfa::factors::begin(ctx, request, wish)
        }
        Route::TotpVerify => {
            let wish = Body::of(request).and_then(|body| Wish::verify(&body));
            mfa::factors::begin(ctx, request, wish)
        }
        Route::TotpDevices => mfa::factors::begin(ctx, request, Ok(Wish::List)),
        Route::TotpDevice(id) => {
            let wish = Body::of(request).and_then(|body| Wish::remove(&body, id));
            mfa::factors::begin(ctx, request, wish)
        }
        Route::Token => oauth::token::begin(ctx, request),
        Route::Introspect => oauth::introspect::begin(ctx, request),
        Route::Revoke => oauth::revoke::begin(ctx, request),
        Route::Userinfo => oauth::userinfo::begin(ctx, request),
        Route::Published(document) => meta::published::begin(ctx, document),
        Route::Alive => meta::health::alive(),
        Route::Ready => meta::health::ready(ctx),
    }
}

fn issue_by_command(asked: TicketRequest, inputs: RequestInputs) -> Step {
    let ctx = Context { inputs, language: Language::English, peer: None, manner: Manner::Simple };
    auth::generate_ticket::by_command(ctx, asked)
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($state:ty),)+ }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
        pub(crate) enum $name { $($variant($state),)+ }

        $(impl From<$state> for $name {
            fn from(state: $state) -> Self {
                Self::$variant(state)
            }
        })+
    };
}

states! {
    /// The states that wait for records.
    Reading {
        TicketSignin(auth::ticket_signin::Looking),
        GenerateTicket(auth::generate_ticket::Looking),
        Token(oauth::token::Looking),
        Userinfo(oauth::userinfo::Looking),
        Published(meta::published::Looking),
        Ready(meta::health::AwaitRecords),
        Refresh(auth::refresh::Looking),
        Introspect(oauth::introspect::Looking),
        Revoke(oauth::revoke::Looking),
        MySessions(me::sessions::Looking),
        VerifyChallenge(auth::verify_challenge::Looking),
        MyFactors(mfa::factors::Looking),
        Login(auth::login::Looking),
        MyPassword(me::password::Looking),
    }
}

states! {
    /// The states that wait for a commit.
    Committing {
        Wasting(auth::ticket_signin::Wasting),
        TicketAdmitting(auth::ticket_signin::Admitting),
        TicketRepeating(auth::ticket_signin::Repeating),
        LoginAdmitting(auth::login::Admitting),
        LoginRefusing(auth::login::Refusing),
        ChangingPassword(me::password::Changing),
        Issuing(auth::generate_ticket::Issuing),
        Recorded(recorded::Recorded),
        Probing(meta::health::Probing),
        EndingFamily(auth::refresh::Ending),
        Refreshing(auth::refresh::Refreshing),
        Revoking(oauth::revoke::Revoking),
        EndingMine(me::sessions::Ending),
        Answering(auth::verify_challenge::Answering),
        Miscounting(auth::verify_challenge::Miscounting),
        AnswerRepeating(auth::verify_challenge::Repeating),
        ChangingFactors(mfa::factors::Changing),
    }
}

states! {
    /// The states that wait for a password to be hashed.
    Hashing {
        Login(auth::login::Comparing),
        MyPassword(me::password::Comparing),
    }
}

impl Hashing {
    pub(crate) const fn context(&self) -> &Context {
        match self {
            Self::Login(flow) => flow.context(),
            Self::MyPassword(flow) => flow.context(),
        }
    }

    pub(crate) fn run(self, workspace: &mut Workspace, engine: &Engine) -> Step {
        match self {
            Self::Login(flow) => flow.run(workspace, engine),
            Self::MyPassword(flow) => flow.run(workspace),
        }
    }
}

impl Reading {
    pub(crate) const fn context(&self) -> &Context {
        match self {
            Self::TicketSignin(flow) => flow.context(),
            Self::GenerateTicket(flow) => flow.context(),
            Self::Token(flow) => flow.context(),
            Self::Userinfo(flow) => flow.context(),
            Self::Published(flow) => flow.context(),
            Self::Ready(flow) => flow.context(),
            Self::Refresh(flow) => flow.context(),
            Self::Introspect(flow) => flow.context(),
            Self::Revoke(flow) => flow.context(),
            Self::MySessions(flow) => flow.context(),
            Self::VerifyChallenge(flow) => flow.context(),
            Self::MyFactors(flow) => flow.context(),
            Self::Login(flow) => flow.context(),
            Self::MyPassword(flow) => flow.context(),
        }
    }

    pub(crate) fn resume(self, engine: &Engine, found: Found) -> Step {
        match self {
            Self::TicketSignin(flow) => flow.resume(engine, found),
            Self::GenerateTicket(flow) => flow.resume(engine, found),
            Self::Token(flow) => flow.resume(engine, found),
            Self::Userinfo(flow) => flow.resume(engine, found),
            Self::Published(flow) => flow.resume(engine, found),
            Self::Ready(flow) => flow.resume(&found),
            Self::Refresh(flow) => flow.resume(engine, found),
            Self::Introspect(flow) => flow.resume(engine, found),
            Self::Revoke(flow) => flow.resume(engine, found),
            Self::MySessions(flow) => flow.resume(engine, found),
            Self::VerifyChallenge(flow) => flow.resume(engine, found),
            Self::MyFactors(flow) => flow.resume(engine, found),
            Self::Login(flow) => flow.resume(engine, found),
            Self::MyPassword(flow) => flow.resume(engine, found),
        }
    }
}

impl Committing {
    pub(crate) fn settle(self, engine: &Engine, outcome: Outcome) -> Step {
        match self {
            Self::Wasting(flow) => flow.settle(outcome),
            Self::TicketAdmitting(flow) => flow.settle(engine, outcome),
            Self::TicketRepeating(flow) => flow.settle(engine, outcome),
            Self::LoginAdmitting(flow) => flow.settle(engine, outcome),
            Self::LoginRefusing(flow) => flow.settle(outcome),
            Self::ChangingPassword(flow) => flow.settle(outcome),
            Self::Issuing(flow) => flow.settle(outcome),
            Self::Recorded(flow) => flow.settle(outcome),
            Self::Probing(flow) => flow.settle(engine, outcome),
            Self::EndingFamily(flow) => flow.settle(outcome),
            Self::Refreshing(flow) => flow.settle(engine, outcome),
            Self::Revoking(flow) => flow.settle(outcome),
            Self::EndingMine(flow) => flow.settle(outcome),
            Self::Answering(flow) => flow.settle(engine, outcome),
            Self::Miscounting(flow) => flow.settle(outcome),
            Self::AnswerRepeating(flow) => flow.settle(engine, outcome),
            Self::ChangingFactors(flow) => flow.settle(engine, outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_log_is_told_what_a_caller_made_up() {
        for (path, known) in [
            ("/auth/ticket/signin", "/auth/ticket/signin"),
            ("/auth/me/sessions", "/auth/me/sessions"),
            ("/auth/me/sessions/rft_x", "/auth/me/sessions/"),
            ("/mfa/totp/devices/tkt_x", "/mfa/totp/devices/"),
            ("/mfa/totp/devices/a/b", ""),
            ("/tkt_x", ""),
            ("", ""),
        ] {
            assert_eq!(known_part(path), known, "{path}");
        }
    }
}
