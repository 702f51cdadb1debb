//! The kinds of credential: how each is made, whom it rests on, and where it is shown.

use gatepass_core::http::request::Request;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{Settings, Unenrolled};
use gatepass_tests::world::{
    BACKEND_SECRET, KIM_PASSWORD, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, posts, presents, refreshes,
    request,
};
use serde_json::{Value, json};

use crate::site::{Answer, BACKUP, Site, basic, scope_of, totp};

/// What a credential is, as far as the rules tell it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A ticket.
    Ticket,
    /// A sign-in under way, or what came of one.
    Session,
    /// A service's token.
    Service,
    ClientSecret,
    Password,
    /// A code of a second factor.
    Code,
}

/// One kind of credential.
pub(crate) struct Credential {
    pub(crate) name: &'static str,
    pub(crate) sort: Sort,
    /// The user it is for, who may be acted for by boss; the client it is for, and another that issued it.
    pub(crate) user: Option<&'static str>,
    pub(crate) acts: bool,
    pub(crate) client: Option<&'static str>,
    pub(crate) issuer: Option<&'static str>,
    pub(crate) set: fn(&mut Settings),
    pub(crate) make: fn(&mut Site) -> String,
    /// Each endpoint that takes it, and what is answered there.
    pub(crate) shown: &'static [(&'static str, Shows)],
}

/// Shows a credential, and tells what was answered.
pub(crate) type Shows = fn(&mut Site, &str) -> String;

fn status(answer: &Answer) -> String {
    let code = answer.body["code"].as_u64().filter(|code| *code != 0).map(|code| code.to_string());
    let error = answer.body["error"].as_str().map(str::to_owned);
    match code.or(error) {
        Some(why) => format!("{} `{why}`", answer.status),
        None => answer.status.to_string(),
    }
}

/// The status, and the scope of the access token.
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

fn redeem(site: &mut Site, ticket: &str) -> String {
    tokens(&site.send(presents(ticket)))
}

fn redeem_bound(site: &mut Site, ticket: &str) -> String {
    tokens(&site.send(basic("portal", presents(ticket))))
}

fn answer(site: &mut Site, challenge: &str) -> String {
    let body = json!({"challenge_token": challenge, "code": totp()});
    tokens(&site.send(request("/auth/mfa/verify-challenge", "", &body)))
}

fn userinfo(site: &mut Site, token: &str) -> String {
    let answer = site.send(bearer("GET", "/userinfo", token, &Value::Null));
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

fn introspect(site: &mut Site, token: &str) -> String {
    introspection(&site.send(posts("/oauth2/introspect", "watch", PORTAL_SECRET, &format!("token={token}"))))
}

fn introspect_own(site: &mut Site, token: &str) -> String {
    introspection(&site.send(posts("/oauth2/introspect", "portal", PORTAL_SECRET, &format!("token={token}"))))
}

fn revoke(site: &mut Site, token: &str) -> String {
    status(&site.send(posts("/oauth2/revoke", "portal", PORTAL_SECRET, &format!("token={token}"))))
}

fn revoke_service(site: &mut Site, token: &str) -> String {
    status(&site.send(posts("/oauth2/revoke", "backend", BACKEND_SECRET, &format!("token={token}"))))
}

fn sessions(site: &mut Site, token: &str) -> String {
    status(&site.send(bearer("GET", "/auth/me/sessions", token, &Value::Null)))
}

fn end_sessions(site: &mut Site, token: &str) -> String {
    status(&site.send(bearer("DELETE", "/auth/me/sessions", token, &Value::Null)))
}

fn devices(site: &mut Site, token: &str) -> String {
    status(&site.send(bearer("GET", "/mfa/totp/devices", token, &Value::Null)))
}

fn set_up(site: &mut Site, token: &str) -> String {
    status(&site.send(bearer("POST", "/mfa/totp/setup", token, &json!({}))))
}

fn change_password(site: &mut Site, token: &str) -> String {
    // A wrong one does: 40041 is said to whoever is let in, and hashing is cheap.
    let body = json!({"old_password": "not the password", "new_password": "a fresh password"});
    let answer = site.send(bearer("PUT", "/auth/me/password", token, &body));
    if answer.body["code"] == 40_041 || answer.body["code"] == 40_047 {
        "200".into()
    } else {
        status(&answer)
    }
}

fn generate(site: &mut Site, token: &str) -> String {
    status(&site.send(bearer("POST", "/auth/generate-ticket", token, &json!({"user_id": "usr_lou"}))))
}

fn impersonate(site: &mut Site, token: &str) -> String {
    let body = json!({"user_id": "usr_lou", "actor": "usr_boss", "reason": "a call"});
    status(&site.send(bearer("POST", "/auth/generate-ticket", token, &body)))
}

fn refresh(site: &mut Site, token: &str) -> String {
    tokens(&site.send(refreshes(token)))
}

fn refresh_bound(site: &mut Site, token: &str) -> String {
    tokens(&site.send(basic("portal", refreshes(token))))
}

fn grant(site: &mut Site, token: &str) -> String {
    let form = format!("grant_type=refresh_token&refresh_token={token}");
    tokens(&site.send(posts("/oauth2/token", "portal", PORTAL_SECRET, &form)))
}

fn credentials(site: &mut Site, secret: &str) -> String {
    tokens(&site.send(asks_for_token("portal", secret, "orders:read")))
}

fn as_caller(site: &mut Site, secret: &str) -> String {
    introspection(&site.send(posts("/oauth2/introspect", "portal", secret, "token=unknown")))
}

fn revokes(site: &mut Site, secret: &str) -> String {
    status(&site.send(posts("/oauth2/revoke", "portal", secret, "token=unknown")))
}

fn login(site: &mut Site, password: &str) -> String {
    tokens(&site.send(request("/auth/login", "", &json!({"identity": "pam", "password": password}))))
}

/// A challenge of the moment, answered by `code`.
fn answered_now(site: &mut Site, code: &str, method: &str) -> String {
    let Some(ticket) = site.ticket_by_command("fay") else { return "no ticket".into() };
    let signed_in = site.send(presents(&ticket));
    let Some(challenge) = signed_in.body["challenge_token"].as_str() else { return "no challenge".into() };
    let body = json!({"challenge_token": challenge, "code": code, "mfa_method": method});
    tokens(&site.send(request("/auth/mfa/verify-challenge", "", &body)))
}

fn session_of(site: &mut Site, more: &[(&str, Value)], member: &str) -> String {
    let ticket = site.ticket("pam", more);
    let request = presents(&ticket);
    let bound = more.iter().any(|(name, _)| *name == "bind");
    site.send(if bound { basic("portal", request) } else { request }).text(member)
}

fn for_portal() -> (&'static str, Value) {
    ("audience", json!("portal"))
}

fn acting() -> [(&'static str, Value); 3] {
    [for_portal(), ("actor", json!("usr_boss")), ("reason", json!("a call"))]
}

const PERSON: &[(&str, Shows)] = &[
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
    sort: Sort::Session,
    user: Some("pam"),
    acts: false,
    client: Some("portal"),
    issuer: Some("backend"),
    set: |_| {},
    make: |_| String::new(),
    shown: &[],
};

const SIGN_IN: &[(&str, Shows)] = &[("`/auth/ticket/signin`", redeem)];

/// A second factor is asked for whenever there is one.
fn always(settings: &mut Settings) {
    settings.second_factor.ask = AskFactor::Always;
}

/// Every kind.
pub(crate) const CREDENTIALS: &[Credential] = &[
    Credential {
        name: "Ticket of the command line, without an audience",
        sort: Sort::Ticket,
        client: None,
        issuer: None,
        make: |site| site.ticket_by_command("pam").expect("a ticket"),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Ticket for its issuer",
        sort: Sort::Ticket,
        client: Some("backend"),
        issuer: None,
        make: |site| site.ticket("pam", &[]),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Ticket for another client than its issuer",
        sort: Sort::Ticket,
        make: |site| site.ticket("pam", &[for_portal()]),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Bound ticket, presented by its client",
        sort: Sort::Ticket,
        make: |site| site.ticket("pam", &[for_portal(), ("bind", json!(true))]),
        shown: &[("`/auth/ticket/signin`", redeem_bound)],
        ..BASE
    },
    Credential {
        name: "Impersonation ticket",
        sort: Sort::Ticket,
        acts: true,
        make: |site| site.ticket("pam", &acting()),
        shown: SIGN_IN,
        ..BASE
    },
    Credential {
        name: "Challenge",
        user: Some("fay"),
        set: always,
        make: |site| {
            let ticket = site.ticket("fay", &[for_portal()]);
            site.send(presents(&ticket)).text("challenge_token")
        },
        shown: &[("`/auth/mfa/verify-challenge`", answer)],
        ..BASE
    },
    Credential {
        name: "Person's access token",
        make: |site| session_of(site, &[for_portal()], "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Person's access token, after a sign-in by password for the server itself",
        client: None,
        issuer: None,
        make: |site| {
            let body = json!({"identity": "pam", "password": PAM_PASSWORD});
            site.send(request("/auth/login", "", &body)).text("access_token")
        },
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Person's access token, somebody acting",
        acts: true,
        make: |site| session_of(site, &acting(), "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Refresh token",
        make: |site| session_of(site, &[for_portal()], "refresh_token"),
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
        make: |site| session_of(site, &[for_portal(), ("bind", json!(true))], "refresh_token"),
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
        make: |site| session_of(site, &acting(), "refresh_token"),
        shown: &[("`/auth/refresh`", refresh), ("`/oauth2/token`", grant), ("introspect", introspect_own)],
        ..BASE
    },
    Credential {
        name: "Restricted token: change the password",
        user: Some("kim"),
        client: None,
        issuer: None,
        make: |site| {
            let body = json!({"identity": "kim", "password": KIM_PASSWORD});
            site.send(request("/auth/login", "", &body)).text("access_token")
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
        make: |site| session_of(site, &[for_portal()], "access_token"),
        shown: PERSON,
        ..BASE
    },
    Credential {
        name: "Service's access token",
        sort: Sort::Service,
        user: None,
        client: Some("backend"),
        issuer: None,
        make: Site::service_token,
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
        sort: Sort::ClientSecret,
        user: None,
        issuer: None,
        make: |_| PORTAL_SECRET.into(),
        shown: &[("`/oauth2/token`", credentials), ("introspect", as_caller), ("revoke", revokes)],
        ..BASE
    },
    Credential {
        name: "Password",
        sort: Sort::Password,
        client: None,
        issuer: None,
        make: |_| PAM_PASSWORD.into(),
        shown: &[("`/auth/login`", login)],
        ..BASE
    },
    Credential {
        name: "Code of an authenticator",
        sort: Sort::Code,
        user: Some("fay"),
        client: None,
        issuer: None,
        set: always,
        make: |_| totp(),
        shown: &[("`/auth/mfa/verify-challenge`", |site, code| answered_now(site, code, "totp"))],
        ..BASE
    },
    Credential {
        name: "Backup code",
        sort: Sort::Code,
        user: Some("fay"),
        client: None,
        issuer: None,
        set: always,
        make: |_| BACKUP.into(),
        shown: &[("`/auth/mfa/verify-challenge`", |site, code| answered_now(site, code, "backup_code"))],
        ..BASE
    },
];
