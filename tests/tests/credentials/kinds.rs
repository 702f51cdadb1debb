//! The kinds of credentials: how each is made, whom it depends on, and the endpoints that take it.

use gatepass_core::http::request::Request;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{Settings, Unenrolled};
use gatepass_tests::fixtures::{
    BACKEND_SECRET, KIM_PASSWORD, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, posts, presents, refreshes,
    request,
};
use gatepass_tests::in_memory_server::{Answer, InMemoryServer};
use gatepass_tests::totp::BACKUP;
use serde_json::{Value, json};

use crate::actions::{basic, code, scope_of, service_token, ticket, ticket_by_command};

/// A kind of credential, as the rules distinguish them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CredentialKind {
    /// A ticket.
    Ticket,
    /// A running sign-in, or its session.
    Session,
    /// A service's token.
    Service,
    ClientSecret,
    Password,
    /// A code of a second factor.
    Code,
}

/// A credential.
pub(crate) struct Credential {
    pub(crate) name: &'static str,
    pub(crate) sort: CredentialKind,
    /// The user, for whom boss may act; the client it is for, and another that issued it.
    pub(crate) user: Option<&'static str>,
    pub(crate) acts: bool,
    pub(crate) client: Option<&'static str>,
    pub(crate) issuer: Option<&'static str>,
    pub(crate) set: fn(&mut Settings),
    pub(crate) make: fn(&InMemoryServer) -> String,
    /// Each endpoint that takes it.
    pub(crate) shown: &'static [(&'static str, Present)],
}

/// Presents a credential, and returns the answer in short.
pub(crate) type Present = fn(&InMemoryServer, &str) -> String;

fn status(answer: &Answer) -> String {
    let code = answer.body["code"].as_u64().filter(|code| *code != 0).map(|code| code.to_string());
    let error = answer.body["error"].as_str().map(str::to_owned);
    match code.or(error) {
        Some(why) => format!("{} `{why}`", answer.status),
        None => answer.status.to_string(),
    }
}

/// Returns the status, and the scope of the access token.
fn tokens(answer: &Answer) -> String {
    match answer.body["access_token"].as_str().map(scope_of) {
        Some(scope) => format!("{} `{scope}`", answer.status),
        None if answer.body["challenge_token"].is_string() => format!("{} challenge", answer.status),
        None => status(answer),
    }
}

fn bearer(method: &str, path: &str, token: &str, body: &Value) -> Request {
    Request { method: method.into(), ..request(path, &format!("Bearer {token}"), body) }
}

fn redeem(server: &InMemoryServer, ticket: &str) -> String {
    tokens(&server.ask(presents(ticket)))
}

fn redeem_bound(server: &InMemoryServer, ticket: &str) -> String {
    tokens(&server.ask(basic("portal", presents(ticket))))
}

fn answer(server: &InMemoryServer, challenge: &str) -> String {
    let body = json!({"challenge_token": challenge, "code": code()});
    tokens(&server.ask(request("/auth/mfa/verify-challenge", "", &body)))
}

fn userinfo(server: &InMemoryServer, token: &str) -> String {
    let answer = server.ask(bearer("GET", "/userinfo", token, &Value::Null));
    let scope = [("preferred_username", "profile"), ("email_verified", "email")];
    let scope: Vec<&str> =
        scope.iter().filter(|(member, _)| !answer.body[*member].is_null()).map(|(_, name)| *name).collect();
    if scope.is_empty() { status(&answer) } else { format!("{} `{}`", answer.status, scope.join(" ")) }
}

fn introspection(answer: &Answer) -> String {
    match (answer.status, answer.body["active"].as_bool()) {
        (200, Some(true)) => format!("active `{}`", answer.text("scope")),
        (200, Some(false)) => "inactive".into(),
        _ => status(answer),
    }
}

fn introspect(server: &InMemoryServer, token: &str) -> String {
    introspection(&server.ask(posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}"))))
}

fn introspect_own(server: &InMemoryServer, token: &str) -> String {
    introspection(&server.ask(posts(
        "/oauth2/introspect",
        "portal",
        PORTAL_SECRET,
        &format!("token={token}"),
    )))
}

fn revoke(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(posts("/oauth2/revoke", "portal", PORTAL_SECRET, &format!("token={token}"))))
}

fn revoke_service(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(posts("/oauth2/revoke", "backend", BACKEND_SECRET, &format!("token={token}"))))
}

fn sessions(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(bearer("GET", "/auth/me/sessions", token, &Value::Null)))
}

fn end_sessions(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(bearer("DELETE", "/auth/me/sessions", token, &Value::Null)))
}

fn devices(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(bearer("GET", "/mfa/totp/devices", token, &Value::Null)))
}

fn set_up(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(bearer("POST", "/mfa/totp/setup", token, &json!({}))))
}

fn change_password(server: &InMemoryServer, token: &str) -> String {
    // A wrong password is enough: 40041 shows that the bearer was accepted, and hashing is cheap.
    let body = json!({"old_password": "not the password", "new_password": "a fresh password"});
    let answer = server.ask(bearer("PUT", "/auth/me/password", token, &body));
    if answer.body["code"] == 40_041 || answer.body["code"] == 40_047 {
        "200".into()
    } else {
        status(&answer)
    }
}

fn generate(server: &InMemoryServer, token: &str) -> String {
    status(&server.ask(bearer("POST", "/auth/generate-ticket", token, &json!({"user_id": "usr_lou"}))))
}

fn impersonate(server: &InMemoryServer, token: &str) -> String {
    let body = json!({"user_id": "usr_lou", "actor": "usr_boss", "reason": "a call"});
    status(&server.ask(bearer("POST", "/auth/generate-ticket", token, &body)))
}

fn refresh(server: &InMemoryServer, token: &str) -> String {
    tokens(&server.ask(refreshes(token)))
}

fn refresh_bound(server: &InMemoryServer, token: &str) -> String {
    tokens(&server.ask(basic("portal", refreshes(token))))
}

fn grant(server: &InMemoryServer, token: &str) -> String {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    tokens(&server.ask(posts("/oauth2/token", "portal", PORTAL_SECRET, &form)))
}

fn credentials(server: &InMemoryServer, secret: &str) -> String {
    tokens(&server.ask(asks_for_token("portal", secret, "orders:read")))
}

fn as_caller(server: &InMemoryServer, secret: &str) -> String {
    introspection(&server.ask(posts("/oauth2/introspect", "portal", secret, "token=unknown")))
}

fn revokes(server: &InMemoryServer, secret: &str) -> String {
    status(&server.ask(posts("/oauth2/revoke", "portal", secret, "token=unknown")))
}

fn login(server: &InMemoryServer, password: &str) -> String {
    tokens(&server.ask(request("/auth/login", "", &json!({"identity": "pam", "password": password}))))
}

/// Answers a new challenge with `code`.
fn answered_now(server: &InMemoryServer, code: &str, method: &str) -> String {
    let Some(ticket) = ticket_by_command(server, "fay") else { return "no ticket".into() };
    let signed_in = server.ask(presents(&ticket));
    let Some(challenge) = signed_in.body["challenge_token"].as_str() else { return "no challenge".into() };
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    tokens(&server.ask(request("/auth/mfa/verify-challenge", "", &body)))
}

fn session_of(server: &InMemoryServer, more: &[(&str, Value)], member: &str) -> String {
    let ticket = ticket(server, "pam", more);
    let request = presents(&ticket);
    let bound = more.iter().any(|(name, _)| *name == "bind");
    server.ask(if bound { basic("portal", request) } else { request }).text(member)
}

fn for_portal() -> (&'static str, Value) {
    ("audience", json!("portal"))
}

fn acting() -> [(&'static str, Value); 3] {
    [for_portal(), ("actor", json!("usr_boss")), ("reason", json!("a call"))]
}

const PERSON: &[(&str, Present)] = &[
    ("`/userinfo`", userinfo),
    ("`GET /auth/me/sessions`", sessions),
    ("`DELETE /auth/me/sessions`", end_sessions),
    ("`/auth/me/password`", change_password),
    ("`/mfa/totp/devices`", devices),
    ("`/mfa/totp/setup`", set_up),
    ("`/auth/generate-ticket`", generate),
    ("introspect", introspect),
    ("revoke", revoke),
];

const BASE: Credential = Credential {
    name: "",
    sort: CredentialKind::Session,
    user: Some("pam"),
    acts: false,
    client: Some("portal"),
    issuer: Some("backend"),
    set: |_| {},
    make: |_| String::new(),
    shown: &[],
};

const SIGN_IN: &[(&str, Present)] = &[("`/auth/ticket/signin`", redeem)];

/// Asks every user with a second factor for it.
fn always(settings: &mut Settings) {
    settings.second_factor.ask = AskFactor::Always;
}

/// Every credential.
pub(crate) const CREDENTIALS: &[Credential] = &[
    Credential {
        name: "Ticket of the command line, without an audience",
        sort: CredentialKind::Ticket,
        client: None,
        issuer: None,
        make: |server| ticket_by_command(server, "pam").expect("a ticket"),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Ticket for its issuer",
        sort: CredentialKind::Ticket,
        client: Some("backend"),
        issuer: None,
        make: |server| ticket(server, "pam", &[]),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Ticket for another client than its issuer",
        sort: CredentialKind::Ticket,
        make: |server| ticket(server, "pam", &[for_portal()]),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Bound ticket, presented by its client",
        sort: CredentialKind::Ticket,
        make: |server| ticket(server, "pam", &[for_portal(), ("bind", json!(true))]),
        shown: &[("`/auth/ticket/signin`", redeem_bound)],
        ..BASE
    },
    Credential {
        name: "Impersonation ticket",
        sort: CredentialKind::Ticket,
        acts: true,
        make: |server| ticket(server, "pam", &acting()),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Challenge",
        user: Some("fay"),
        set: always,
        make: |server| {
            let ticket = ticket(server, "fay", &[for_portal()]);
            server.ask(presents(&ticket)).text("challenge_token")
        },
        shown: &[("`/auth/mfa/verify-challenge`", answer)],
        ..BASE
    },
    Credential {
        name: "Person's access token",
        make: |server| session_of(server, &[for_portal()], "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Person's access token, after a sign-in by password for the server itself",
        client: None,
        issuer: None,
        make: |server| {
            let body = json!({"identity": "pam", "password": PAM_PASSWORD});
            server.ask(request("/auth/login", "", &body)).text("access_token")
        },
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Person's access token, somebody acting",
        acts: true,
        make: |server| session_of(server, &acting(), "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Refresh token",
        make: |server| session_of(server, &[for_portal()], "refresh_token"),
        shown: &[
            ("`/auth/refresh`", refresh),
            ("`/oauth2/token`", grant),
            ("introspect", introspect_own),
            ("revoke", revoke),
        ],
        ..BASE
    },
    Credential {
        name: "Bound refresh token, presented by its client",
        make: |server| session_of(server, &[for_portal(), ("bind", json!(true))], "refresh_token"),
        shown: &[
            ("`/auth/refresh`", refresh_bound),
            ("`/oauth2/token`", grant),
            ("introspect", introspect_own),
            ("revoke", revoke),
        ],
        ..BASE
    },
    Credential {
        name: "Refresh token, somebody acting",
        acts: true,
        make: |server| session_of(server, &acting(), "refresh_token"),
        shown: &[("`/auth/refresh`", refresh), ("`/oauth2/token`", grant), ("introspect", introspect_own)],
        ..BASE
    },
    Credential {
        name: "Restricted token: change the password",
        user: Some("kim"),
        client: None,
        issuer: None,
        make: |server| {
            let body = json!({"identity": "kim", "password": KIM_PASSWORD});
            server.ask(request("/auth/login", "", &body)).text("access_token")
        },
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Restricted token: enrol a second factor",
        set: |settings| {
            always(settings);
            settings.second_factor.unenrolled = Unenrolled::Enrol;
        },
        make: |server| session_of(server, &[for_portal()], "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Service's access token",
        sort: CredentialKind::Service,
        user: None,
        client: Some("backend"),
        issuer: None,
        make: service_token,
        shown: &[
            ("`/userinfo`", userinfo),
            ("`/auth/generate-ticket`", generate),
            ("`/auth/generate-ticket`, impersonation", impersonate),
            ("`/auth/me/sessions`", sessions),
            ("introspect", introspect),
            ("revoke", revoke_service),
        ],
        ..BASE
    },
    Credential {
        name: "Client secret",
        sort: CredentialKind::ClientSecret,
        user: None,
        issuer: None,
        make: |_| PORTAL_SECRET.into(),
        shown: &[("`/oauth2/token`", credentials), ("introspect", as_caller), ("revoke", revokes)],
        ..BASE
    },
    Credential {
        name: "Password",
        sort: CredentialKind::Password,
        client: None,
        issuer: None,
        make: |_| PAM_PASSWORD.into(),
        shown: &[("`/auth/login`", login)],
        ..BASE
    },
    Credential {
        name: "Code of an authenticator",
        sort: CredentialKind::Code,
        user: Some("fay"),
        client: None,
        issuer: None,
        set: always,
        make: |_| code(),
        shown: &[("`/auth/mfa/verify-challenge`", |server, code| answered_now(server, code, "totp"))],
        ..BASE
    },
    Credential {
        name: "Backup code",
        sort: CredentialKind::Code,
        user: Some("fay"),
        client: None,
        issuer: None,
        set: always,
        make: |_| BACKUP.into(),
        shown: &[("`/auth/mfa/verify-challenge`", |server, code| answered_now(server, code, "backup_code"))],
        ..BASE
    },
];
