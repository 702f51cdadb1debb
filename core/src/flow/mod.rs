//! One file for each endpoint, each read top to bottom in the order it happens; and the table that leads to them.

pub(crate) mod admission;
pub(crate) mod bearer;
pub(crate) mod client_auth;
pub(crate) mod context;
pub(crate) mod generate_ticket;
pub(crate) mod guesses;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod login;
pub(crate) mod my_factors;
pub(crate) mod my_password;
pub(crate) mod my_sessions;
pub(crate) mod origin;
pub(crate) mod published;
pub(crate) mod recorded;
pub(crate) mod refresh;
pub(crate) mod revoke;
pub(crate) mod ticket_signin;
pub(crate) mod token;
pub(crate) mod tokens;
pub(crate) mod userinfo;
pub(crate) mod verify_challenge;
pub(crate) mod welcome;

use crate::gatepass::Gatepass;
use crate::model::change::Outcome;
use crate::model::password::Workspace;
use crate::model::query::Found;
use crate::moment::Moment;
use crate::step::Step;
use crate::ticket_request::TicketRequest;
use crate::wire::body::Body;
use crate::wire::language::Language;
use crate::wire::problem::Problem;
use crate::wire::request::Request;
use context::{Context, Manner};
use my_factors::Wish;
use published::Document;

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

/// Begins to answer `request`.
pub(crate) fn begin(gatepass: &Gatepass, request: &Request, moment: Moment) -> Step {
    let language = Language::of(request.header("accept-language").unwrap_or_default());
    let route = Route::of(request.path());
    let manner = route.map_or(Manner::Simple, Route::manner);
    let ctx = Context { moment, language, peer: Some(request.peer), manner };
    let Some(route) = route else { return Step::Reply(ctx.problem(Problem::NotFound)) };
    if !route.allow().split(", ").any(|method| method == request.method) {
        return Step::Reply(ctx.problem(Problem::MethodNotAllowed).with("Allow", route.allow()));
    }
    match route {
        Route::TicketSignin => ticket_signin::begin(ctx, request),
        Route::GenerateTicket => generate_ticket::begin(ctx, gatepass, request),
        Route::Login => login::begin(ctx, request),
        Route::Refresh => refresh::begin(ctx, request),
        Route::MyPassword => my_password::begin(ctx, request),
        Route::MySessions => my_sessions::begin(ctx, request, None),
        Route::MySession(id) => my_sessions::begin(ctx, request, Some(id)),
        Route::VerifyChallenge => verify_challenge::begin(ctx, request),
        Route::TotpSetup => {
            let wish = Body::of_any(request).and_then(|body| Wish::set_up(&body));
            my_factors::begin(ctx, request, wish)
        }
        Route::TotpVerify => {
            let wish = Body::of(request).and_then(|body| Wish::verify(&body));
            my_factors::begin(ctx, request, wish)
        }
        Route::TotpDevices => my_factors::begin(ctx, request, Ok(Wish::List)),
        Route::TotpDevice(id) => {
            let wish = Body::of(request).and_then(|body| Wish::remove(&body, id));
            my_factors::begin(ctx, request, wish)
        }
        Route::Token => token::begin(ctx, request),
        Route::Introspect => introspect::begin(ctx, request),
        Route::Revoke => revoke::begin(ctx, request),
        Route::Userinfo => userinfo::begin(ctx, request),
        Route::Published(document) => published::begin(ctx, document),
        Route::Alive => health::alive(),
        Route::Ready => health::ready(ctx),
    }
}

/// Begins to issue a ticket for the command line.
pub(crate) fn issue_by_command(asked: TicketRequest, moment: Moment) -> Step {
    let ctx = Context { moment, language: Language::English, peer: None, manner: Manner::Simple };
    generate_ticket::by_command(ctx, asked)
}

macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($variant:ident($state:ty),)+ }) => {
        $(#[$doc])*
        #[derive(Debug)]
        #[cfg_attr(feature = "checker", derive(Clone, PartialEq))]
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
        TicketSignin(ticket_signin::Looking),
        GenerateTicket(generate_ticket::Looking),
        Token(token::Looking),
        Userinfo(userinfo::Looking),
        Published(published::Looking),
        Ready(health::AwaitRecords),
        Refresh(refresh::Looking),
        Introspect(introspect::Looking),
        Revoke(revoke::Looking),
        MySessions(my_sessions::Looking),
        VerifyChallenge(verify_challenge::Looking),
        MyFactors(my_factors::Looking),
        Login(login::Looking),
        MyPassword(my_password::Looking),
    }
}

states! {
    /// The states that wait for a commit.
    Committing {
        Wasting(ticket_signin::Wasting),
        TicketAdmitting(ticket_signin::Admitting),
        TicketRepeating(ticket_signin::Repeating),
        LoginAdmitting(login::Admitting),
        LoginRefusing(login::Refusing),
        ChangingPassword(my_password::Changing),
        Issuing(generate_ticket::Issuing),
        Recorded(recorded::Recorded),
        Probing(health::Probing),
        EndingFamily(refresh::Ending),
        Refreshing(refresh::Refreshing),
        Revoking(revoke::Revoking),
        EndingMine(my_sessions::Ending),
        Answering(verify_challenge::Answering),
        Miscounting(verify_challenge::Miscounting),
        AnswerRepeating(verify_challenge::Repeating),
        ChangingFactors(my_factors::Changing),
    }
}

states! {
    /// The states that wait for a password to be hashed.
    Stretching {
        Login(login::Comparing),
        MyPassword(my_password::Comparing),
    }
}

impl Stretching {
    pub(crate) const fn context(&self) -> &Context {
        match self {
            Self::Login(flow) => flow.context(),
            Self::MyPassword(flow) => flow.context(),
        }
    }

    pub(crate) fn run(self, workspace: &mut Workspace, gatepass: &Gatepass) -> Step {
        match self {
            Self::Login(flow) => flow.run(workspace, gatepass),
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

    pub(crate) fn resume(self, gatepass: &Gatepass, found: Found) -> Step {
        match self {
            Self::TicketSignin(flow) => flow.resume(gatepass, found),
            Self::GenerateTicket(flow) => flow.resume(gatepass, found),
            Self::Token(flow) => flow.resume(gatepass, found),
            Self::Userinfo(flow) => flow.resume(gatepass, found),
            Self::Published(flow) => flow.resume(gatepass, found),
            Self::Ready(flow) => flow.resume(&found),
            Self::Refresh(flow) => flow.resume(gatepass, found),
            Self::Introspect(flow) => flow.resume(gatepass, found),
            Self::Revoke(flow) => flow.resume(gatepass, found),
            Self::MySessions(flow) => flow.resume(gatepass, found),
            Self::VerifyChallenge(flow) => flow.resume(gatepass, found),
            Self::MyFactors(flow) => flow.resume(gatepass, found),
            Self::Login(flow) => flow.resume(gatepass, found),
            Self::MyPassword(flow) => flow.resume(gatepass, found),
        }
    }
}

impl Committing {
    pub(crate) fn settle(self, gatepass: &Gatepass, outcome: Outcome) -> Step {
        match self {
            Self::Wasting(flow) => flow.settle(outcome),
            Self::TicketAdmitting(flow) => flow.settle(gatepass, outcome),
            Self::TicketRepeating(flow) => flow.settle(gatepass, outcome),
            Self::LoginAdmitting(flow) => flow.settle(gatepass, outcome),
            Self::LoginRefusing(flow) => flow.settle(outcome),
            Self::ChangingPassword(flow) => flow.settle(outcome),
            Self::Issuing(flow) => flow.settle(outcome),
            Self::Recorded(flow) => flow.settle(outcome),
            Self::Probing(flow) => flow.settle(gatepass, outcome),
            Self::EndingFamily(flow) => flow.settle(outcome),
            Self::Refreshing(flow) => flow.settle(gatepass, outcome),
            Self::Revoking(flow) => flow.settle(outcome),
            Self::EndingMine(flow) => flow.settle(outcome),
            Self::Answering(flow) => flow.settle(gatepass, outcome),
            Self::Miscounting(flow) => flow.settle(outcome),
            Self::AnswerRepeating(flow) => flow.settle(gatepass, outcome),
            Self::ChangingFactors(flow) => flow.settle(gatepass, outcome),
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
