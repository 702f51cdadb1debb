//! The black-box suite: what any embedding of the core answers over HTTP, the real binary first.

use std::net::SocketAddr;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::http::{Answer, Ask};
use crate::world::{BACKEND_SECRET, PORTAL_SECRET};

/// A server that holds the records of [`crate::world`].
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
}

/// A test of any embedding.
pub type Test = fn(Target);

/// Every test of the suite by its name.
pub const SUITE: &[(&str, Test)] = &[
    ("a ticket signs in once", a_ticket_signs_in_once),
    ("64 redeem one ticket", sixty_four_redeem_one_ticket),
    ("the login response is the origin document's", the_login_response_is_the_origin_documents),
    ("client credentials, both ways of authenticating", client_credentials),
    ("token endpoint errors", token_endpoint_errors),
    ("userinfo of a person and of a service", userinfo),
    ("userinfo errors", userinfo_errors),
    ("an audience joins the token", an_audience_joins_the_token),
    ("a bound ticket wants its client", a_bound_ticket_wants_its_client),
    ("a ticket for another address is spent in vain", another_address),
    ("impersonation", impersonation),
    ("what cannot be issued", what_cannot_be_issued),
    ("who may not issue", who_may_not_issue),
    ("malformed sign-ins", malformed_sign_ins),
    ("paths and methods", paths_and_methods),
    ("what is published", what_is_published),
    ("messages in Chinese", messages_in_chinese),
    ("a session refreshes", a_session_refreshes),
    ("a used refresh token ends its family", a_used_refresh_token_ends_its_family),
    ("a lost answer comes again", a_lost_answer_comes_again),
    ("what a refresh is refused for", what_a_refresh_is_refused_for),
    ("a bound session wants its client", a_bound_session_wants_its_client),
    ("an impersonation keeps its actor and its cap", an_impersonation_keeps_its_actor),
    ("introspection", introspection),
    ("revocation", revocation),
    ("a person's own sessions", own_sessions),
    ("enrolling, and being challenged", enrolling_and_being_challenged),
    ("backup codes", backup_codes),
    ("an impersonation challenges the actor", an_impersonation_challenges_the_actor),
    ("removing a device", removing_a_device),
    ("wrong codes end a challenge, and lock", wrong_codes),
    ("what factors are refused for", what_factors_are_refused_for),
];

impl Target {
    /// Sends `ask`.
    pub fn ask(self, ask: &Ask) -> Answer {
        let answer = ask.to(self.address);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{ask:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{ask:?}");
        assert!(answer.status < 500, "{ask:?} was answered {answer:?}");
        answer
    }

    /// A service token with `scope`.
    pub fn service_token(self, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
        let answer = self.ask(&Ask::form("/oauth2/token", &form).basic("backend", BACKEND_SECRET));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }

    /// Asks for a ticket with everything the backend may do.
    pub fn generate(self, body: &Value) -> Answer {
        let token = self.service_token("ticket:issue ticket:impersonate");
        self.ask(&Ask::json("/auth/generate-ticket", body).bearer(&token))
    }

    /// A ticket, granted.
    pub fn ticket(self, body: &Value) -> String {
        let answer = self.generate(body);
        assert_eq!(answer.status, 200, "{body} was answered {answer:?}");
        answer.text("ticket")
    }

    /// Presents a ticket.
    pub fn sign_in(self, ticket: &str) -> Answer {
        self.ask(&sign_in(ticket))
    }
}

/// The request that presents `ticket`.
pub fn sign_in(ticket: &str) -> Ask {
    Ask::json("/auth/ticket/signin", &json!({ "ticket": ticket }))
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("three segments");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("JSON")
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[track_caller]
fn simple(answer: &Answer, status: u16, code: u64) {
    assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(keys(&answer.json()), ["code", "message", "timestamp"]);
    let timestamp = answer.text("timestamp");
    assert!(timestamp.len() == 20 && timestamp.ends_with('Z'), "{timestamp}");
}

#[track_caller]
fn uncached(answer: &Answer) {
    assert_eq!(
        (answer.header("cache-control"), answer.header("pragma")),
        (Some("no-store"), Some("no-cache"))
    );
}

fn a_ticket_signs_in_once(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let first = target.sign_in(&ticket);
    assert_eq!(first.status, 200, "{first:?}");
    uncached(&first);
    for _ in 0..3 {
        let again = target.sign_in(&ticket);
        simple(&again, 400, 40010);
        uncached(&again);
    }
    let unknown = target.sign_in("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    simple(&unknown, 400, 40010);
    assert_eq!(unknown.text("message"), target.sign_in(&ticket).text("message"));
}

fn sixty_four_redeem_one_ticket(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice"}));
    let redeemers: Vec<_> = (0..64)
        .map(|_| {
            let ticket = ticket.clone();
            thread::spawn(move || target.sign_in(&ticket).status)
        })
        .collect();
    let statuses: Vec<u16> = redeemers.into_iter().map(|r| r.join().expect("a redeemer")).collect();
    assert_eq!(statuses.iter().filter(|&&s| s == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&s| s == 400).count(), 63, "{statuses:?}");
}

fn the_login_response_is_the_origin_documents(target: Target) {
    let answer = target.sign_in(&target.ticket(&json!({"user_id": "alice"})));
    let body = answer.json();
    assert_eq!(
        keys(&body),
        [
            "access_token",
            "expires_in",
            "must_change_password",
            "refresh_token",
            "requires_mfa",
            "token_type",
            "user",
            "user_id"
        ]
    );
    assert_eq!(
        (&body["token_type"], &body["expires_in"], &body["requires_mfa"], &body["must_change_password"]),
        (&json!("Bearer"), &json!(1800), &json!(false), &json!(false))
    );
    let user = &body["user"];
    assert_eq!(
        keys(user),
        ["created_at", "email", "id", "must_change_password", "phone", "status", "username"]
    );
    assert_eq!(
        (&user["username"], &user["email"], &user["phone"], &user["status"]),
        (&json!("alice"), &json!("alice@example.com"), &json!("+44 20 7946 0000"), &json!("active"))
    );
    assert_eq!(body["user_id"], user["id"]);
    let claims = claims(&answer.text("access_token"));
    assert_eq!(
        keys(&claims),
        ["amr", "aud", "auth_time", "client_id", "exp", "iat", "iss", "jti", "scope", "sid", "sub"]
    );
    assert_eq!(claims["sub"], user["id"]);
    assert_eq!(
        (&claims["aud"], &claims["client_id"], &claims["scope"]),
        (&claims["iss"], &json!("backend"), &json!("profile"))
    );
    let lifetime = claims["exp"].as_u64().expect("exp") - claims["iat"].as_u64().expect("iat");
    assert_eq!(lifetime, 1800);

    let bare = target.sign_in(&target.ticket(&json!({"user_id": "boss"}))).json();
    assert_eq!(keys(&bare["user"]), ["created_at", "id", "must_change_password", "status", "username"]);
}

fn client_credentials(target: Target) {
    let with_basic = target.ask(
        &Ask::form("/oauth2/token", "grant_type=client_credentials&scope=orders%3Aread")
            .basic("portal", PORTAL_SECRET),
    );
    let secret = PORTAL_SECRET.replace('+', "%2B").replace('/', "%2F");
    let posted =
        format!("grant_type=client_credentials&client_id=portal&client_secret={secret}&scope=orders:read");
    let with_post = target.ask(&Ask::form("/oauth2/token", &posted));
    let charset = target.ask(
        &Ask::new("POST", "/oauth2/token")
            .header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
            .body(posted.clone()),
    );
    for answer in [&with_basic, &with_post, &charset] {
        assert_eq!(answer.status, 200, "{answer:?}");
        uncached(answer);
        let body = answer.json();
        assert_eq!(keys(&body), ["access_token", "expires_in", "scope", "token_type"]);
        assert_eq!(
            (&body["token_type"], &body["scope"], &body["expires_in"]),
            (&json!("Bearer"), &json!("orders:read"), &json!(3600))
        );
        let claims = claims(&answer.text("access_token"));
        assert_eq!(keys(&claims), ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
        assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("portal"), &json!("portal")));
        assert_eq!(claims["aud"], json!([claims["iss"], "https://orders.example"]));
    }
    let default = target.ask(
        &Ask::form("/oauth2/token", "grant_type=client_credentials&scope=").basic("portal", PORTAL_SECRET),
    );
    assert_eq!((default.status, default.text("scope").as_str()), (200, "orders:read"));
}

fn token_endpoint_errors(target: Target) {
    let good = "grant_type=client_credentials&scope=orders:read";
    let basic = |body: &str| Ask::form("/oauth2/token", body).basic("portal", PORTAL_SECRET);
    let post = |body: &str| Ask::form("/oauth2/token", body);
    for (ask, status, error) in [
        (post(good), 401, "invalid_client"),
        (post(&format!("{good}&client_id=portal")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=portal&client_secret=wrong")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=nobody&client_secret=wrong")), 401, "invalid_client"),
        (post(&format!("{good}&client_id=closed&client_secret={}", BACKEND_SECRET)), 401, "invalid_client"),
        (post(good).basic("portal", "wrong"), 401, "invalid_client"),
        (post(good).basic("nobody", "wrong"), 401, "invalid_client"),
        (post(good).header("Authorization", "Basic !!!"), 401, "invalid_client"),
        (post(good).bearer("abc"), 401, "invalid_client"),
        (basic(&format!("{good}&client_secret=x")), 400, "invalid_request"),
        (basic(&format!("{good}&client_assertion=x")), 400, "invalid_request"),
        (
            post(&format!("{good}&client_id=portal&client_secret=x&client_assertion=x")),
            400,
            "invalid_request",
        ),
        (post(&format!("{good}&client_id=portal&client_assertion=x")), 401, "invalid_client"),
        (basic(&format!("{good}&client_id=backend")), 400, "invalid_request"),
        (basic(good).header("Authorization", "Basic eDp5"), 400, "invalid_request"),
        (basic("scope=orders:read"), 400, "invalid_request"),
        (basic("grant_type=&scope=orders:read"), 400, "invalid_request"),
        (basic(&format!("{good}&scope=orders:read")), 400, "invalid_request"),
        (basic(&format!("{good}&x=1&x=2")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%zz")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%00")), 400, "invalid_request"),
        (basic(&format!("{good}&x=%ff")), 400, "invalid_request"),
        (basic("grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"),
        (basic("grant_type=client_credentials&scope=ticket:issue"), 400, "invalid_scope"),
        (basic("grant_type=client_credentials&scope=orders:read++orders:write"), 400, "invalid_scope"),
        (basic("grant_type=client_credentials&scope=%22"), 400, "invalid_scope"),
        (
            Ask::form("/oauth2/token", "grant_type=client_credentials").basic("backend", BACKEND_SECRET),
            400,
            "invalid_scope",
        ),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}: {answer:?}");
        assert_eq!(keys(&answer.json()), ["error", "error_description"]);
        uncached(&answer);
        if status == 401 {
            assert!(
                answer.header("www-authenticate").is_some_and(|c| c.starts_with("Basic realm=")),
                "{answer:?}"
            );
        }
    }
    let unlike = Ask::json("/oauth2/token", &json!({"grant_type": "client_credentials"}));
    assert_eq!(target.ask(&unlike.basic("portal", PORTAL_SECRET)).status, 415);
}

fn userinfo(target: Target) {
    let token = target.sign_in(&target.ticket(&json!({"user_id": "alice"}))).text("access_token");
    for ask in [
        Ask::new("GET", "/userinfo").bearer(&token),
        Ask::new("POST", "/userinfo").bearer(&token),
        Ask::new("GET", "/userinfo").header("Authorization", &format!("bearer {token}")),
        Ask::form("/userinfo", &format!("access_token={token}")),
    ] {
        let answer = target.ask(&ask);
        assert_eq!(answer.status, 200, "{answer:?}");
        uncached(&answer);
        let body = answer.json();
        assert_eq!(
            keys(&body),
            [
                "address",
                "email",
                "gender",
                "name",
                "phoneNumber",
                "preferred_username",
                "sub",
                "updated_at",
                "userName"
            ]
        );
        assert_eq!(body["sub"], claims(&token)["sub"]);
        assert_eq!(
            (
                &body["userName"],
                &body["name"],
                &body["phoneNumber"],
                &body["email"],
                &body["gender"],
                &body["address"]
            ),
            (
                &json!("alice"),
                &json!("Alice Liddell"),
                &json!("+44 20 7946 0000"),
                &json!("alice@example.com"),
                &json!("female"),
                &json!({"locality": "Oxford"})
            )
        );
    }
    let head = target.ask(&Ask::new("HEAD", "/userinfo").bearer(&token));
    assert_eq!((head.status, head.body.len()), (200, 0));

    let scoped = target.ticket(&json!({"user_id": "alice", "scope": "email phone"}));
    let scoped = target.sign_in(&scoped).text("access_token");
    let body = target.ask(&Ask::new("GET", "/userinfo").bearer(&scoped)).json();
    assert_eq!(body["phone_number"], json!("+44 20 7946 0000"));
    assert_eq!(body.get("preferred_username"), None);

    let service = target.ask(&Ask::new("GET", "/userinfo").bearer(&target.service_token("ticket:issue")));
    let nothing = Value::Null;
    assert_eq!(
        service.json(),
        json!({"sub": "backend", "userName": "backend", "name": "The back office", "phoneNumber": nothing,
               "email": nothing, "gender": nothing, "address": nothing})
    );
}

fn userinfo_errors(target: Target) {
    let token = target.service_token("ticket:issue");
    let (head, signature) = token.rsplit_once('.').expect("a signature");
    let payload = URL_SAFE_NO_PAD.encode(claims(&token).to_string());
    let none = format!("{}.{payload}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#));
    let get = || Ask::new("GET", "/userinfo");
    for (ask, status, error) in [
        (get(), 401, None),
        (get().basic("portal", PORTAL_SECRET), 401, None),
        (get().bearer("abc"), 401, Some("invalid_token")),
        (get().header("Authorization", "Bearer"), 401, Some("invalid_token")),
        (get().bearer(&none), 401, Some("invalid_token")),
        (get().bearer(&format!("{head}.")), 401, Some("invalid_token")),
        (
            get().bearer(&format!("{head}.{}", signature.chars().rev().collect::<String>())),
            401,
            Some("invalid_token"),
        ),
        (get().bearer(&format!("{token}=")), 401, Some("invalid_token")),
        (get().bearer(&token).bearer(&token), 400, Some("invalid_request")),
        (
            Ask::form("/userinfo", &format!("access_token={token}")).bearer(&token),
            400,
            Some("invalid_request"),
        ),
        (Ask::new("GET", &format!("/userinfo?access_token={token}")), 401, None),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.json()["error"].as_str()), (status, error), "{ask:?}: {answer:?}");
        let challenge = answer.header("www-authenticate").expect("a challenge");
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert_eq!(error.is_some(), challenge.contains("error="), "{challenge}");
        uncached(&answer);
    }
}

fn an_audience_joins_the_token(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal"}));
    let claims = claims(&target.sign_in(&ticket).text("access_token"));
    assert_eq!((&claims["client_id"], &claims["aud"]), (&json!("portal"), &json!([claims["iss"], "portal"])));

    let wrong = target.ticket(&json!({"user_id": "alice", "audience": "portal"}));
    simple(&target.ask(&sign_in(&wrong).basic("backend", BACKEND_SECRET)), 400, 40010);
    simple(&target.sign_in(&wrong), 400, 40010);
}

fn a_bound_ticket_wants_its_client(target: Target) {
    let bound = || target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    assert_eq!(target.ask(&sign_in(&bound()).basic("portal", PORTAL_SECRET)).status, 200);
    for ask in [
        |ticket: &str| sign_in(ticket),
        |ticket: &str| sign_in(ticket).basic("portal", "wrong"),
        |ticket: &str| sign_in(ticket).basic("backend", BACKEND_SECRET),
        |ticket: &str| sign_in(ticket).header("Authorization", "Basic !!!"),
    ] {
        let ticket = bound();
        simple(&target.ask(&ask(&ticket)), 400, 40010);
        simple(&target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET)), 400, 40010);
    }
}

fn another_address(target: Target) {
    let here = target.ticket(&json!({"user_id": "alice", "client_ip": "127.0.0.1"}));
    assert_eq!(target.sign_in(&here).status, 200);
    let mapped = target.ticket(&json!({"user_id": "alice", "client_ip": "::ffff:127.0.0.1"}));
    assert_eq!(target.sign_in(&mapped).status, 200);
    let elsewhere = target.ticket(&json!({"user_id": "alice", "client_ip": "192.0.2.7"}));
    simple(&target.sign_in(&elsewhere), 400, 40010);
    simple(&target.sign_in(&elsewhere), 400, 40010);
}

fn impersonation(target: Target) {
    let ticket =
        target.ticket(&json!({"user_id": "alice", "actor": "boss", "reason": "a call to the help desk"}));
    let answer = target.sign_in(&ticket);
    let token = answer.text("access_token");
    let claims = claims(&token);
    assert_eq!(keys(&claims["act"]), ["sub"]);
    assert_ne!(claims["act"]["sub"], claims["sub"]);
    let seen = target.ask(&Ask::new("GET", "/userinfo").bearer(&token)).json();
    assert_eq!((&seen["sub"], &seen["userName"]), (&claims["sub"], &json!("alice")));
    let chained = Ask::json("/auth/generate-ticket", &json!({"user_id": "boss"})).bearer(&token);
    simple(&target.ask(&chained), 403, 40301);

    let plain = target.service_token("ticket:issue");
    let asked = json!({"user_id": "alice", "actor": "boss", "reason": "r"});
    simple(&target.ask(&Ask::json("/auth/generate-ticket", &asked).bearer(&plain)), 403, 40300);
}

fn what_cannot_be_issued(target: Target) {
    let long = "x".repeat(501);
    for (body, code) in [
        (json!({}), 40001),
        (json!({"user_id": 7}), 40001),
        (json!({"user_id": null}), 40001),
        (json!({"user_id": "alice", "username": "alice"}), 40001),
        (json!({"user_id": "nobody"}), 40011),
        (json!({"user_id": "gone"}), 40011),
        (json!({"user_id": "alice", "ttl": 0}), 40012),
        (json!({"user_id": "alice", "ttl": 3601}), 40012),
        (json!({"user_id": "alice", "ttl": -1}), 40012),
        (json!({"user_id": "alice", "ttl": 1.5}), 40012),
        (json!({"user_id": "alice", "ttl": "300"}), 40012),
        (json!({"user_id": "alice", "audience": "nobody"}), 40013),
        (json!({"user_id": "alice", "audience": "closed"}), 40013),
        (json!({"user_id": "alice", "audience": "a b"}), 40013),
        (json!({"user_id": "alice", "audience": ["portal"]}), 40001),
        (json!({"user_id": "alice", "bind": "yes"}), 40001),
        (json!({"user_id": "alice", "scope": "orders:write"}), 40014),
        (json!({"user_id": "alice", "scope": "ticket:issue"}), 40014),
        (json!({"user_id": "alice", "scope": "profile  email"}), 40014),
        (json!({"user_id": "alice", "client_ip": "localhost"}), 40016),
        (json!({"user_id": "alice", "actor": "nobody", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "gone", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "alice", "reason": "r"}), 40017),
        (json!({"user_id": "alice", "actor": "boss"}), 40018),
        (json!({"user_id": "alice", "actor": "boss", "reason": ""}), 40018),
        (json!({"user_id": "alice", "actor": "boss", "reason": long}), 40018),
        (json!({"user_id": "alice", "reason": "r"}), 40018),
        (json!({"user_id": "alice", "tenant_id": "elsewhere"}), 40019),
    ] {
        let answer = target.generate(&body);
        assert_eq!(answer.json()["code"], json!(code), "{body}: {answer:?}");
        simple(&answer, 400, code);
        uncached(&answer);
    }
    let answer = target.generate(&json!({"username": "alice", "ttl": 3600, "unknown": [1, {"x": null}]}));
    assert_eq!((answer.status, keys(&answer.json())), (200, vec!["expires_in", "ticket"]));
    assert_eq!(answer.json()["expires_in"], json!(3600));
}

fn who_may_not_issue(target: Target) {
    let body = json!({"user_id": "alice"});
    let person = target.sign_in(&target.ticket(&body)).text("access_token");
    let portal = target
        .ask(&Ask::form("/oauth2/token", "grant_type=client_credentials").basic("portal", PORTAL_SECRET))
        .text("access_token");
    let ask = |body: &Value| Ask::json("/auth/generate-ticket", body);
    simple(&target.ask(&ask(&body)), 401, 40100);
    simple(&target.ask(&ask(&body).bearer("x.y.z")), 401, 40100);
    simple(&target.ask(&ask(&body).basic("backend", BACKEND_SECRET)), 401, 40100);
    simple(&target.ask(&ask(&json!([])).bearer("x.y.z")), 401, 40100);
    simple(&target.ask(&ask(&body).bearer(&person)), 403, 40300);
    simple(&target.ask(&ask(&body).bearer(&portal)), 403, 40300);
}

fn malformed_sign_ins(target: Target) {
    let json = |body: &str| {
        Ask::new("POST", "/auth/ticket/signin").header("Content-Type", "application/json").body(body)
    };
    let deep = format!("{{\"ticket\":{}1{}}}", "[".repeat(40), "]".repeat(40));
    for (ask, status, code) in [
        (json(""), 400, 40001),
        (json("{"), 400, 40001),
        (json("null"), 400, 40001),
        (json("[]"), 400, 40001),
        (json("\"tkt\""), 400, 40001),
        (json("{}"), 400, 40001),
        (json(r#"{"ticket":null}"#), 400, 40001),
        (json(r#"{"ticket":["a"]}"#), 400, 40001),
        (json(r#"{"ticket":"a","ticket":"a"}"#), 400, 40001),
        (json(r#"{"x":{"a":1,"a":2},"ticket":"a"}"#), 400, 40001),
        (json("\u{feff}{\"ticket\":\"a\"}"), 400, 40001),
        (json(r#"{"ticket":"a"} x"#), 400, 40001),
        (json(&deep), 400, 40001),
        (json("{\"ticket\":\"a\"}\r\n\t "), 400, 40010),
        (json(r#"{"ticket":""}"#), 400, 40010),
        (json(r#"{"ticket":"tkt_\u0000"}"#), 400, 40010),
        (Ask::form("/auth/ticket/signin", "ticket=a"), 415, 41500),
        (Ask::new("POST", "/auth/ticket/signin").body(r#"{"ticket":"a"}"#), 415, 41500),
        (json("{}").header("Content-Type", "application/json"), 400, 40002),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{ask:?}");
        uncached(&answer);
    }
    let invalid = Ask::new("POST", "/auth/ticket/signin").header("Content-Type", "application/json");
    simple(&target.ask(&invalid.body(b"{\"ticket\":\"\xff\"}".to_vec())), 400, 40001);
}

fn paths_and_methods(target: Target) {
    for (method, path, status, allow) in [
        ("GET", "/", 404, None),
        ("GET", "/nowhere", 404, None),
        ("GET", "/auth/ticket/signin/", 404, None),
        ("GET", "/Userinfo", 404, None),
        ("GET", "/auth/../userinfo", 404, None),
        ("GET", "/%75serinfo", 404, None),
        ("GET", "/auth/ticket/signin", 405, Some("POST")),
        ("DELETE", "/auth/generate-ticket", 405, Some("POST")),
        ("GET", "/oauth2/token", 405, Some("POST")),
        ("PUT", "/userinfo", 405, Some("GET, HEAD, POST")),
        ("POST", "/.well-known/jwks.json", 405, Some("GET, HEAD")),
        ("POST", "/healthz", 405, Some("GET, HEAD")),
        ("get", "/healthz", 405, Some("GET, HEAD")),
        ("GET", "/healthz?x=1", 200, None),
        ("GET", "/readyz", 200, None),
        ("HEAD", "/readyz", 200, None),
    ] {
        let answer = target.ask(&Ask::new(method, path));
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {path}");
    }
}

fn what_is_published(target: Target) {
    let keys_of = |path: &str| target.ask(&Ask::new("GET", path)).json();
    let set = keys_of("/.well-known/jwks.json");
    for key in set["keys"].as_array().expect("keys") {
        assert!(key["kid"].is_string() && key["alg"].is_string() && key["use"] == "sig", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert_eq!(key.get(private), None, "a private member is published");
        }
    }
    let metadata = keys_of("/.well-known/oauth-authorization-server");
    let issuer = metadata["issuer"].as_str().expect("an issuer");
    assert_eq!(metadata["token_endpoint"], json!(format!("{issuer}/oauth2/token")));
    assert_eq!(metadata["jwks_uri"], json!(format!("{issuer}/.well-known/jwks.json")));
    let openid = keys_of("/.well-known/openid-configuration");
    assert_eq!(
        (&openid["issuer"], &openid["userinfo_endpoint"]),
        (&json!(issuer), &json!(format!("{issuer}/userinfo")))
    );
    assert_eq!(openid["subject_types_supported"], json!(["public"]));
}

fn messages_in_chinese(target: Target) {
    let ask = sign_in("tkt_x").header("Accept-Language", "zh-CN,zh;q=0.9,en;q=0.8");
    let answer = target.ask(&ask);
    simple(&answer, 400, 40010);
    assert_eq!(answer.text("message"), "票据无效、已过期或已使用");
}

fn refresh(token: &str) -> Ask {
    Ask::json("/auth/refresh", &json!({ "refresh_token": token }))
}

fn introspect(token: &str) -> Ask {
    Ask::form("/oauth2/introspect", &format!("token={token}")).basic("portal", PORTAL_SECRET)
}

fn revoke(token: &str, id: &str, secret: &str) -> Ask {
    Ask::form("/oauth2/revoke", &format!("token={token}&token_type_hint=access_token")).basic(id, secret)
}

impl Target {
    /// Signs alice in by a ticket of `body`, and gives back what she is told.
    fn signed_in(self, body: &Value) -> Answer {
        let answer = self.sign_in(&self.ticket(body));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer
    }

    fn is_active(self, token: &str) -> bool {
        let answer = self.ask(&introspect(token));
        assert_eq!(answer.status, 200, "{answer:?}");
        let body = answer.json();
        if body["active"] == json!(false) {
            assert_eq!(body, json!({"active": false}));
        }
        body["active"] == json!(true)
    }

    fn userinfo_status(self, token: &str) -> u16 {
        self.ask(&Ask::new("GET", "/userinfo").bearer(token)).status
    }
}

fn a_session_refreshes(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice", "scope": "profile email"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    assert_eq!(second.status, 200, "{second:?}");
    uncached(&second);
    assert_eq!(keys(&second.json()), keys(&first.json()));
    assert_ne!(second.text("refresh_token"), first.text("refresh_token"));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    for same in ["sub", "sid", "client_id", "scope", "auth_time", "amr", "aud", "iss"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_ne!(before["jti"], after["jti"]);
    assert_eq!(target.userinfo_status(&second.text("access_token")), 200);

    let form = |token: &str, scope: &str| {
        Ask::form("/oauth2/token", &format!("grant_type=refresh_token&refresh_token={token}{scope}"))
            .basic("backend", BACKEND_SECRET)
    };
    let narrowed = target.ask(&form(&second.text("refresh_token"), "&scope=email"));
    assert_eq!((narrowed.status, narrowed.text("scope").as_str()), (200, "email"), "{narrowed:?}");
    assert_eq!(
        keys(&narrowed.json()),
        ["access_token", "expires_in", "refresh_token", "scope", "token_type"]
    );
    let wide = target.ask(&form(&narrowed.text("refresh_token"), ""));
    assert_eq!(wide.text("scope"), "profile email");
    let wider = target.ask(&form(&wide.text("refresh_token"), "&scope=profile+phone"));
    assert_eq!((wider.status, wider.text("error").as_str()), (400, "invalid_scope"));
    assert_eq!(
        target.ask(&refresh(&wide.text("refresh_token"))).status,
        200,
        "a refusal of scope uses nothing"
    );
}

fn a_used_refresh_token_ends_its_family(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    let third = target.ask(&refresh(&second.text("refresh_token")));
    assert_eq!(target.userinfo_status(&third.text("access_token")), 200);
    // The first one's successor has been used: this is no lost answer.
    simple(&target.ask(&refresh(&first.text("refresh_token"))), 400, 40020);
    for answer in [&first, &second, &third] {
        assert_eq!(target.userinfo_status(&answer.text("access_token")), 401);
        assert!(!target.is_active(&answer.text("access_token")));
    }
    simple(&target.ask(&refresh(&third.text("refresh_token"))), 400, 40020);
}

fn a_lost_answer_comes_again(target: Target) {
    let token = target.signed_in(&json!({"user_id": "alice"})).text("refresh_token");
    let first = target.ask(&refresh(&token));
    let again = target.ask(&refresh(&token));
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.text("refresh_token"), again.text("refresh_token"));
    assert_ne!(first.text("access_token"), again.text("access_token"));
    let token = again.text("refresh_token");
    let racers: Vec<_> = (0..16)
        .map(|_| {
            let token = token.clone();
            thread::spawn(move || target.ask(&refresh(&token)))
        })
        .collect();
    let answers: Vec<Answer> = racers.into_iter().map(|r| r.join().expect("a racer")).collect();
    let mut successors: Vec<String> =
        answers.iter().filter(|a| a.status == 200).map(|a| a.text("refresh_token")).collect();
    successors.dedup();
    assert_eq!(successors.len(), 1, "{answers:?}");
}

fn what_a_refresh_is_refused_for(target: Target) {
    let access = target.signed_in(&json!({"user_id": "alice"})).text("access_token");
    let live = target.signed_in(&json!({"user_id": "alice"})).text("refresh_token");
    let unknown = "rft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for token in [unknown, "rft_", "", "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", &access] {
        simple(&target.ask(&refresh(token)), 400, 40020);
    }
    simple(&target.ask(&Ask::json("/auth/refresh", &json!({}))), 400, 40001);
    let grant = |body: &str| Ask::form("/oauth2/token", &format!("grant_type=refresh_token{body}"));
    let mine = format!("&refresh_token={live}");
    for (ask, status, error) in [
        (grant(&mine), 401, "invalid_client"),
        (grant(&mine).basic("backend", "wrong"), 401, "invalid_client"),
        (grant("").basic("backend", BACKEND_SECRET), 400, "invalid_request"),
        (grant(&mine).basic("portal", PORTAL_SECRET), 400, "invalid_grant"),
        (grant(&format!("&refresh_token={unknown}")).basic("backend", BACKEND_SECRET), 400, "invalid_grant"),
        (grant("&refresh_token=x").basic("backend", BACKEND_SECRET), 400, "invalid_grant"),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}");
    }
    assert_eq!(
        target.ask(&grant(&mine).basic("backend", BACKEND_SECRET)).status,
        200,
        "nothing of it used the token"
    );
}

fn a_bound_session_wants_its_client(target: Target) {
    let ticket = target.ticket(&json!({"user_id": "alice", "audience": "portal", "bind": true}));
    let token = target.ask(&sign_in(&ticket).basic("portal", PORTAL_SECRET)).text("refresh_token");
    simple(&target.ask(&refresh(&token)), 400, 40020);
    simple(&target.ask(&refresh(&token).basic("portal", "wrong")), 400, 40020);
    simple(&target.ask(&refresh(&token).basic("backend", BACKEND_SECRET)), 400, 40020);
    simple(&target.ask(&refresh(&token).header("Authorization", "Basic !!!")), 400, 40020);
    let answer = target.ask(&refresh(&token).basic("portal", PORTAL_SECRET));
    assert_eq!(claims(&answer.text("access_token"))["client_id"], json!("portal"));
}

fn an_impersonation_keeps_its_actor(target: Target) {
    let first = target.signed_in(&json!({"user_id": "alice", "actor": "boss", "reason": "help desk"}));
    let second = target.ask(&refresh(&first.text("refresh_token")));
    let (before, after) = (claims(&first.text("access_token")), claims(&second.text("access_token")));
    assert_eq!(before["act"], after["act"]);
    let cap = before["auth_time"].as_u64().expect("a time") + 1800;
    assert!(after["exp"].as_u64().expect("a time") <= cap);
    let token = second.text("access_token");
    let seen = target.ask(&introspect(&token)).json();
    assert_eq!((&seen["act"], &seen["sub"]), (&after["act"], &after["sub"]));
    simple(&target.ask(&Ask::new("DELETE", "/auth/me/sessions").bearer(&token)), 403, 40301);
}

fn introspection(target: Target) {
    let person = target.signed_in(&json!({"user_id": "alice", "audience": "portal"}));
    let token = person.text("access_token");
    let (seen, claims) = (target.ask(&introspect(&token)), claims(&token));
    uncached(&seen);
    let seen = seen.json();
    for same in ["sub", "client_id", "scope", "exp", "iat", "aud", "iss", "jti", "sid"] {
        assert_eq!(seen[same], claims[same], "{same}");
    }
    assert_eq!(
        (&seen["active"], &seen["username"], &seen["token_type"]),
        (&json!(true), &json!("alice"), &json!("Bearer"))
    );
    let service = target.service_token("profile");
    let seen = target.ask(&introspect(&service)).json();
    assert_eq!(
        (&seen["active"], &seen["sub"], seen.get("username")),
        (&json!(true), &json!("backend"), None)
    );

    let mine = target.ask(&introspect(&person.text("refresh_token"))).json();
    assert_eq!((&mine["active"], &mine["sub"]), (&json!(true), &claims["sub"]));
    let others = Ask::form("/oauth2/introspect", &format!("token={}", person.text("refresh_token")));
    assert_eq!(target.ask(&others.basic("backend", BACKEND_SECRET)).json(), json!({"active": false}));

    for token in
        ["x", "a.b.c", "rft_x", &format!("{token}x"), "tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert!(!target.is_active(token), "{token}");
    }
    for (ask, status, error) in [
        (Ask::form("/oauth2/introspect", "token=x"), 401, "invalid_client"),
        (Ask::form("/oauth2/introspect", "token=x").basic("closed", BACKEND_SECRET), 401, "invalid_client"),
        (Ask::form("/oauth2/introspect", "token=x").bearer(&service), 401, "invalid_client"),
        (Ask::form("/oauth2/introspect", "").basic("portal", PORTAL_SECRET), 400, "invalid_request"),
        (
            Ask::form("/oauth2/introspect", "token=x&token=y").basic("portal", PORTAL_SECRET),
            400,
            "invalid_request",
        ),
    ] {
        let answer = target.ask(&ask);
        assert_eq!((answer.status, answer.text("error").as_str()), (status, error), "{ask:?}");
    }
}

fn revocation(target: Target) {
    let backend = |token: &str| revoke(token, "backend", BACKEND_SECRET);
    let service = target.service_token("profile");
    let other = target.service_token("profile");
    assert_eq!(target.ask(&revoke(&service, "portal", PORTAL_SECRET)).status, 200);
    assert!(target.is_active(&service), "another client's token is left alone");
    let answer = target.ask(&backend(&service));
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    uncached(&answer);
    assert!(!target.is_active(&service));
    assert_eq!(target.userinfo_status(&service), 401);
    assert!(target.is_active(&other), "one token is revoked, and not its client's others");
    assert_eq!(target.ask(&backend(&service)).status, 200);

    let person = target.signed_in(&json!({"user_id": "alice"}));
    assert_eq!(target.ask(&revoke(&person.text("refresh_token"), "portal", PORTAL_SECRET)).status, 200);
    assert_eq!(target.userinfo_status(&person.text("access_token")), 200);
    assert_eq!(target.ask(&backend(&person.text("refresh_token"))).status, 200);
    assert_eq!(target.userinfo_status(&person.text("access_token")), 401);
    simple(&target.ask(&refresh(&person.text("refresh_token"))), 400, 40020);

    for token in ["x", "rft_x", "a.b.c"] {
        assert_eq!(target.ask(&backend(token)).status, 200);
    }
    let wrong = target.ask(&revoke(&other, "backend", "wrong"));
    assert_eq!((wrong.status, wrong.text("error").as_str()), (401, "invalid_client"));
    assert!(target.is_active(&other));
}

fn own_sessions(target: Target) {
    let path = "/auth/me/sessions";
    let (one, two) =
        (target.signed_in(&json!({"user_id": "boss"})), target.signed_in(&json!({"user_id": "boss"})));
    let token = one.text("access_token");
    let sid = |answer: &Answer| claims(&answer.text("access_token"))["sid"].as_str().expect("sid").to_owned();
    let listed = target.ask(&Ask::new("GET", path).bearer(&token));
    assert_eq!(listed.status, 200, "{listed:?}");
    uncached(&listed);
    assert_eq!(keys(&listed.json()), ["code", "data", "message", "timestamp"]);
    let entries = listed.json()["data"].as_array().expect("sessions").clone();
    assert_eq!(keys(&entries[0]), ["client_id", "created_at", "current", "expires_at", "id", "scope"]);
    let current: Vec<&Value> = entries.iter().filter(|e| e["current"] == json!(true)).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &json!(sid(&one))));
    assert!(entries.iter().any(|e| e["id"] == json!(sid(&two))));

    let alice = target.signed_in(&json!({"user_id": "alice"}));
    let end = |id: &str| Ask::new("DELETE", &format!("{path}/{id}")).bearer(&token);
    simple(&target.ask(&end(&sid(&alice))), 404, 40401);
    simple(&target.ask(&end("nothing")), 404, 40401);
    assert_eq!(target.userinfo_status(&alice.text("access_token")), 200);
    simple(&target.ask(&end(&sid(&two))), 200, 0);
    assert_eq!(target.userinfo_status(&two.text("access_token")), 401);
    simple(&target.ask(&refresh(&two.text("refresh_token"))), 400, 40020);
    simple(&target.ask(&end(&sid(&two))), 404, 40401);
    assert_eq!(target.userinfo_status(&token), 200);

    simple(&target.ask(&Ask::new("DELETE", path).bearer(&token)), 200, 0);
    assert_eq!(target.userinfo_status(&token), 401);
    simple(&target.ask(&refresh(&one.text("refresh_token"))), 400, 40020);
    simple(&target.ask(&Ask::new("GET", path).bearer(&token)), 401, 40100);
    simple(&target.ask(&Ask::new("GET", path)), 401, 40100);
    let service = target.service_token("profile");
    simple(&target.ask(&Ask::new("GET", path).bearer(&service)), 403, 40300);
}

/// The code of `secret` (base32), `ahead` steps from now, by an implementation that is not ours.
fn totp(secret: &str, ahead: u64) -> String {
    let secret = totp_rs::Secret::Encoded(secret.into()).to_bytes().expect("base32");
    let totp = totp_rs::TOTP::new(totp_rs::Algorithm::SHA1, 6, 1, 30, secret).expect("a secret");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    totp.generate(now + 30 * ahead)
}

fn mfa(path: &str, token: &str, body: &Value) -> Ask {
    Ask::json(&format!("/mfa/totp/{path}"), body).bearer(token)
}

fn answer(challenge: &str, code: &str, method: Option<&str>) -> Ask {
    let mut body = json!({"challenge_token": challenge, "code": code});
    if let Some(method) = method {
        body["mfa_method"] = json!(method);
    }
    Ask::json("/auth/mfa/verify-challenge", &body)
}

/// A device that was set up, and everything that was told of it.
struct Enrolled {
    id: String,
    secret: String,
    backup_codes: Vec<String>,
}

impl Target {
    /// Sets a device up for the bearer of `token`, and verifies its first code.
    fn enrol(self, token: &str) -> Enrolled {
        let set_up = self.ask(&mfa("setup", token, &json!({"device_name": "telephone"})));
        assert_eq!(set_up.status, 200, "{set_up:?}");
        let data = &set_up.json()["data"];
        let text = |name: &str| data[name].as_str().expect("text").to_owned();
        let codes = data["backup_codes"].as_array().cloned().unwrap_or_default();
        let enrolled = Enrolled {
            id: text("device_id"),
            secret: text("secret"),
            backup_codes: codes.iter().map(|code| code.as_str().expect("a code").to_owned()).collect(),
        };
        simple(&self.ask(&mfa("verify", token, &json!({"code": totp(&enrolled.secret, 0)}))), 200, 0);
        enrolled
    }

    /// Redeems a ticket for somebody who has a second factor: the challenge.
    fn challenged(self, body: &Value) -> String {
        let answer = self.sign_in(&self.ticket(body));
        assert_eq!((answer.status, &answer.json()["requires_mfa"]), (200, &json!(true)), "{answer:?}");
        answer.text("challenge_token")
    }

    /// Takes every device of the bearer of `token` away.
    fn unenrol(self, token: &str, device: &Enrolled) {
        let path = format!("/mfa/totp/devices/{}", device.id);
        let body = json!({"code": totp(&device.secret, 1)}).to_string();
        let remove =
            Ask::new("DELETE", &path).header("Content-Type", "application/json").body(body).bearer(token);
        simple(&self.ask(&remove), 200, 0);
    }
}

fn enrolling_and_being_challenged(target: Target) {
    let fay = json!({"user_id": "fay"});
    let token = target.signed_in(&fay).text("access_token");
    let set_up = target.ask(&mfa("setup", &token, &json!({"account": "fay@example.com"})));
    uncached(&set_up);
    assert_eq!(keys(&set_up.json()), ["code", "data", "message", "timestamp"]);
    let data = set_up.json()["data"].clone();
    assert_eq!(keys(&data), ["backup_codes", "device_id", "qr_code", "qr_code_url", "secret"]);
    assert_eq!(data["backup_codes"].as_array().map(Vec::len), Some(10));
    let secret = data["secret"].as_str().expect("a secret");
    let url = data["qr_code_url"].as_str().expect("a URL");
    assert!(
        url.starts_with("otpauth://totp/") && url.contains(secret) && url.contains("fay%40example.com"),
        "{url}"
    );
    assert!(data["qr_code"].as_str().expect("a picture").starts_with("data:image/"));
    target.signed_in(&fay);

    for wrong in ["000000x", "", "12345", &totp(secret, 9)] {
        simple(&target.ask(&mfa("verify", &token, &json!({"code": wrong}))), 400, 40031);
    }
    simple(
        &target.ask(&mfa("verify", &token, &json!({"code": totp(secret, 0), "device_id": "dev_x"}))),
        400,
        40031,
    );
    target.signed_in(&fay);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": totp(secret, 0)}))), 200, 0);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": totp(secret, 1)}))), 400, 40031);
    let listed = target.ask(&Ask::new("GET", "/mfa/totp/devices").bearer(&token)).json()["data"].clone();
    assert_eq!(keys(&listed[0]), ["algorithm", "created_at", "device_id", "digits", "period", "verified"]);
    assert_eq!((&listed[0]["device_id"], &listed[0]["verified"]), (&data["device_id"], &json!(true)));

    let ticket = target.ticket(&fay);
    let asked = target.sign_in(&ticket);
    uncached(&asked);
    assert_eq!(
        keys(&asked.json()),
        ["challenge_token", "mfa_check_reason", "required_mfa_methods", "requires_mfa"]
    );
    assert_eq!(asked.json()["required_mfa_methods"], json!(["totp", "backup_code"]));
    simple(&target.sign_in(&ticket), 400, 40010);
    let challenge = asked.text("challenge_token");
    simple(&target.ask(&refresh(&challenge)), 400, 40020);
    assert_eq!(target.userinfo_status(&challenge), 401);
    assert!(!target.is_active(&challenge));

    // The code that verified the device is not accepted again.
    simple(&target.ask(&answer(&challenge, &totp(secret, 0), None)), 400, 40030);
    simple(&target.ask(&answer(&challenge, &totp(secret, 1), Some("backup_code"))), 400, 40030);
    let code = totp(secret, 1);
    let signed_in = target.ask(&answer(&challenge, &code, Some("totp")));
    assert_eq!((signed_in.status, &signed_in.json()["requires_mfa"]), (200, &json!(false)), "{signed_in:?}");
    let claims = claims(&signed_in.text("access_token"));
    assert_eq!(claims["amr"], json!(["ticket", "otp", "mfa"]));
    assert_eq!(target.userinfo_status(&signed_in.text("access_token")), 200);
    assert_eq!(target.ask(&refresh(&signed_in.text("refresh_token"))).status, 200);
    simple(&target.ask(&answer(&challenge, &code, None)), 400, 40030);
    simple(&target.ask(&answer(&target.challenged(&fay), &code, None)), 400, 40030);
    // Whatever counts goes by a backup code; the device by a fresh one of its own.
    let code = data["backup_codes"][0].as_str().expect("a code");
    let last = target.ask(&answer(&target.challenged(&fay), code, Some("backup_code")));
    assert_eq!(last.status, 200, "{last:?}");
    let second = target.enrol(&last.text("access_token"));
    assert!(second.backup_codes.is_empty(), "they come with the first device only");
    let path = format!("/mfa/totp/devices/{}", data["device_id"].as_str().expect("an id"));
    let body = json!({"code": totp(&second.secret, 1)}).to_string();
    let remove = Ask::new("DELETE", &path).header("Content-Type", "application/json").body(body);
    simple(&target.ask(&remove.bearer(&last.text("access_token"))), 200, 0);
    target.challenged(&fay);
}

fn backup_codes(target: Target) {
    let lou = json!({"user_id": "lou"});
    let token = target.signed_in(&lou).text("access_token");
    let device = target.enrol(&token);
    let [first, second, ..] = device.backup_codes.as_slice() else { panic!("ten codes") };
    let by_code = |code: &str| target.ask(&answer(&target.challenged(&lou), code, Some("backup_code")));
    assert_eq!(by_code(first).status, 200);
    simple(&by_code(first), 400, 40030);
    let typed = second.to_lowercase().replace('-', " ");
    let signed_in = by_code(&typed);
    assert_eq!(claims(&signed_in.text("access_token"))["amr"], json!(["ticket", "mfa"]));
    simple(&by_code("AAAA-AAAA-AAAA-AAAA"), 400, 40030);
    target.unenrol(&token, &device);
    target.signed_in(&lou);
}

fn an_impersonation_challenges_the_actor(target: Target) {
    let token = target.signed_in(&json!({"user_id": "lou"})).text("access_token");
    let device = target.enrol(&token);
    let asked = json!({"user_id": "alice", "actor": "lou", "reason": "a call"});
    let challenge = target.challenged(&asked);
    let signed_in = target.ask(&answer(&challenge, &device.backup_codes[3], Some("backup_code")));
    let claims = claims(&signed_in.text("access_token"));
    assert_eq!(
        (&claims["act"]["sub"], claims["sub"] == claims["act"]["sub"]),
        (&self::claims(&token)["sub"], false)
    );
    let set_up = mfa("setup", &signed_in.text("access_token"), &json!({}));
    simple(&target.ask(&set_up), 403, 40301);
    // The other way round nobody is asked: boss has no factor.
    target.signed_in(&json!({"user_id": "lou", "actor": "boss", "reason": "a call"}));
    target.unenrol(&token, &device);
}

fn removing_a_device(target: Target) {
    let token = target.signed_in(&json!({"user_id": "lou"})).text("access_token");
    let device = target.enrol(&token);
    let remove = |id: &str, body: &str| {
        let ask = Ask::new("DELETE", &format!("/mfa/totp/devices/{id}"));
        target.ask(&ask.header("Content-Type", "application/json").body(body.to_owned()).bearer(&token))
    };
    simple(&remove("dev_nothing", r#"{"code":"123456"}"#), 404, 40402);
    simple(&remove(&device.id, "{}"), 400, 40001);
    simple(&remove(&device.id, r#"{"code":"000000x"}"#), 400, 40031);
    target.challenged(&json!({"user_id": "lou"}));
    target.unenrol(&token, &device);
    target.signed_in(&json!({"user_id": "lou"}));
    let listed = target.ask(&Ask::new("GET", "/mfa/totp/devices").bearer(&token));
    assert_eq!(listed.json()["data"], json!([]));
}

fn wrong_codes(target: Target) {
    let lou = json!({"user_id": "lou"});
    let token = target.signed_in(&lou).text("access_token");
    let device = target.enrol(&token);
    let challenge = target.challenged(&lou);
    for _ in 0..5 {
        simple(&target.ask(&answer(&challenge, "000000x", None)), 400, 40030);
    }
    // Five wrong codes end the challenge, for a right one too.
    simple(&target.ask(&answer(&challenge, &device.backup_codes[0], Some("backup_code"))), 400, 40030);
    let other = target.challenged(&lou);
    for _ in 0..4 {
        simple(&target.ask(&answer(&other, "000000x", None)), 400, 40030);
    }
    let third = target.challenged(&lou);
    simple(&target.ask(&answer(&third, "000000x", None)), 400, 40030);
    // Ten in a row lock every factor, on every challenge.
    simple(&target.ask(&answer(&third, &device.backup_codes[0], Some("backup_code"))), 400, 40030);
    simple(&target.ask(&answer(&target.challenged(&lou), &totp(&device.secret, 1), None)), 400, 40030);
}

fn what_factors_are_refused_for(target: Target) {
    let service = target.service_token("profile");
    for path in ["setup", "verify"] {
        simple(&target.ask(&Ask::json(&format!("/mfa/totp/{path}"), &json!({}))), 401, 40100);
        simple(&target.ask(&mfa(path, "x.y.z", &json!([]))), 401, 40100);
        simple(&target.ask(&mfa(path, &service, &json!({"code": "123456"}))), 403, 40300);
    }
    simple(&target.ask(&Ask::new("GET", "/mfa/totp/devices")), 401, 40100);
    let token = target.signed_in(&json!({"user_id": "alice"})).text("access_token");
    simple(&target.ask(&mfa("verify", &token, &json!({}))), 400, 40001);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": 123456}))), 400, 40001);
    simple(&target.ask(&mfa("setup", &token, &json!({"account": ""}))), 400, 40001);
    simple(&target.ask(&mfa("setup", &token, &json!({"device_name": "a\nb"}))), 400, 40001);
    simple(&target.ask(&mfa("verify", &token, &json!({"code": "123456"}))), 400, 40031);
    let unknown = "chg_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (ask, code) in [
        (answer(unknown, "123456", None), 40030),
        (answer("", "123456", None), 40030),
        (answer(&token, "123456", None), 40030),
        (answer(unknown, "123456", Some("sms")), 40001),
        (Ask::json("/auth/mfa/verify-challenge", &json!({"code": "123456"})), 40001),
    ] {
        simple(&target.ask(&ask), 400, code);
    }
    for _ in 0..8 {
        let no_body = Ask::new("POST", "/mfa/totp/setup").bearer(&token);
        assert_eq!(target.ask(&no_body).status, 200);
    }
    simple(&target.ask(&mfa("setup", &token, &json!({}))), 400, 40032);
    target.signed_in(&json!({"user_id": "alice"}));
}
