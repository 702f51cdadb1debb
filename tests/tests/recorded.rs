//! The audit table: every issue, redemption and refusal of an existing credential, with everyone in it.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepass_core::base::time::Time;
use gatepass_core::http::request::Request;
use gatepass_core::records::client::{Client, SecretDigest, UsedSecret};
use gatepass_core::records::id::SessionId;
use gatepass_core::records::request_id::RequestId;
use gatepass_core::records::scope::Scope;
use gatepass_core::store::audit::{Event, Kind, Refusal};
use gatepass_core::store::change::Change;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PORTAL_SECRET, asks_for_token, client_id, grants, impersonates, inputs,
    posts, presents, refreshes, request, revokes, text, user_id,
};
use gatepass_tests::in_memory_server::InMemoryServer;
use gatepass_tests::memory::Tables;
use serde_json::{Value, json};

fn token(server: &InMemoryServer, id: &str, secret: &str, scope: &str) -> String {
    let (body, rows) = server.recorded(asks_for_token(id, secret, scope));
    assert_eq!(rows, [], "a service's token is no event");
    format!("Bearer {}", text(&body, "access_token"))
}

fn issue(server: &InMemoryServer, bearer: &str, body: &Value) -> (Value, Vec<Event>) {
    server.recorded(request("/auth/generate-ticket", bearer, body))
}

/// Returns an event with the names in it: subject, actor, client, reason.
fn told(event: &Event) -> (Kind, Option<Refusal>, [Option<&str>; 4]) {
    assert_eq!((event.at, event.count), (NOON, 1));
    assert_eq!(event.address.map(|a| a.to_string()).as_deref(), Some("192.0.2.1"));
    let people = [
        event.subject.as_ref().map(|id| id.as_str()),
        event.actor.as_ref().map(|id| id.as_str()),
        event.client.as_ref().map(|id| id.as_str()),
        event.reason.as_deref(),
    ];
    (event.kind, event.refusal, people)
}

#[test]
fn an_impersonation_is_recorded_from_issue_to_refusal() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue ticket:impersonate");
    let asked = json!({"user_id": "alice", "audience": "portal", "actor": "boss", "reason": "call 4711"});
    let everyone = [Some("usr_alice"), Some("usr_boss"), Some("portal"), Some("call 4711")];

    let (issued, rows) = issue(&server, &bearer, &asked);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketIssued, None, everyone)]);
    let id = rows[0].ticket.clone();
    assert!(id.is_some() && rows[0].session.is_none());

    let ticket = issued["ticket"].as_str().expect("a ticket");
    let (_, rows) = server.recorded(presents(ticket));
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TicketRedeemed, None, everyone)]);
    assert_eq!(rows[0].ticket, id);
    let session = server.store.with(|tables| tables.sessions.keys().next().cloned());
    assert!(session.is_some() && rows[0].session == session);

    let (_, rows) = server.recorded(presents(ticket));
    let again = (Kind::TicketRefused, Some(Refusal::TicketSpent), everyone);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [again]);
    assert_eq!((&rows[0].ticket, &rows[0].session), (&id, &None));
}

#[test]
fn the_issuer_of_a_ticket_is_recorded_and_whose_token_asked() {
    let server = InMemoryServer::default();
    let service = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    let (issued, _) = issue(&server, &service, &json!({"user_id": "alice"}));
    let (signed_in, _) = server.recorded(presents(issued["ticket"].as_str().expect("a ticket")));
    // A person may issue tickets where their session and its client may.
    server.store.with(|tables| {
        tables.sessions.values_mut().for_each(|session| {
            session.scope = Scope::parse("ticket:issue profile").expect("a scope");
        });
    });
    let (refreshed, _) = server.recorded(refreshes(&text(&signed_in, "refresh_token")));
    let person = format!("Bearer {}", text(&refreshed, "access_token"));
    for (bearer, user) in [(&service, None), (&person, Some("usr_alice"))] {
        let (_, rows) = issue(&server, bearer, &json!({"user_id": "boss", "audience": "portal"}));
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let names = [&row.client, &row.issuer].map(|id| id.as_ref().map(|id| id.as_str()));
        assert_eq!(names, [Some("portal"), Some("backend")]);
        assert_eq!(row.issuer_user.as_ref().map(|id| id.as_str()), user);
    }
}

/// A stated address has the client that stated it beside it, and that client's own address.
#[test]
fn an_address_that_is_stated_is_recorded_with_whose_word_it_is() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    let (issued, _) = issue(&server, &bearer, &json!({"user_id": "alice"}));
    let portal = format!("Basic {}", STANDARD.encode(format!("portal:{PORTAL_SECRET}")));
    let redeem = json!({"ticket": issued["ticket"], "client_ip": "198.51.100.7"});
    let login = json!({"identity": "pam", "password": "wrong", "client_ip": "198.51.100.7"});
    let device = json!({"identity": "pam", "password": "wrong", "device_id": "telephone"});
    for (path, body, address, kind) in [
        ("/auth/ticket/signin", &redeem, "198.51.100.7", Kind::TicketRedeemed),
        ("/auth/ticket/signin", &redeem, "198.51.100.7", Kind::TicketRefused),
        ("/auth/login", &login, "198.51.100.7", Kind::PasswordRefused),
        ("/auth/login", &device, "192.0.2.1", Kind::PasswordRefused),
    ] {
        let (_, rows) = server.recorded(request(path, &portal, body));
        let [row] = &rows[..] else { panic!("{rows:?}") };
        let shown = [row.address, row.peer].map(|address| address.map(|address| address.to_string()));
        assert_eq!(row.kind, kind);
        assert_eq!(shown, [Some(address.into()), Some("192.0.2.1".into())], "{body}");
        assert_eq!(row.stated_by.as_ref().map(|id| id.as_str()), Some("portal"), "{body}");
    }
    let plain = json!({"identity": "pam", "password": "wrong"});
    let (_, rows) = server.recorded(request("/auth/login", &portal, &plain));
    assert_eq!((&rows[0].stated_by, rows[0].peer), (&None, None));
}

#[test]
fn the_client_with_a_wrong_secret_is_told_and_an_unknown_one_is_not() {
    let server = InMemoryServer::default();
    let refused = |id: &str, path: &str| {
        let ask = if path == "/oauth2/token" {
            asks_for_token(id, "wrong", "a")
        } else {
            posts(path, id, "wrong", "token=x")
        };
        server.send(ask).refused_client().map(|client| client.as_str().to_owned())
    };
    for path in ["/oauth2/token", "/oauth2/introspect", "/oauth2/revoke"] {
        assert_eq!(refused("portal", path).as_deref(), Some("portal"), "{path}");
        assert_eq!(refused("nobody", path), None, "{path}");
        server.edit_client("backend", Client::disable);
        assert_eq!(refused("backend", path).as_deref(), Some("backend"), "{path}");
    }
}

/// By whichever way it presents the secret.
#[test]
fn a_client_with_a_wrong_secret_is_told_where_it_signs_somebody_in() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    let (issued, _) = issue(&server, &bearer, &json!({"user_id": "alice"}));
    let ticket = json!({"ticket": text(&issued, "ticket"), "client_ip": "198.51.100.7"});
    for (path, asked) in [
        ("/auth/login", json!({"identity": "pam", "password": "x"})),
        ("/auth/refresh", json!({"refresh_token": "x"})),
        ("/auth/ticket/signin", ticket),
    ] {
        for (id, told) in [("portal", Some("portal")), ("nobody", None)] {
            let basic = format!("Basic {}", STANDARD.encode(format!("{id}:wrong")));
            let reply = server.send(request(path, &basic, &asked));
            assert_eq!(reply.refused_client().map(|client| client.as_str()), told, "{path} {id}");
        }
    }
    for (id, told) in [("portal", Some("portal")), ("nobody", None)] {
        let reply =
            server.send(posts("/oauth2/token", id, "wrong", "grant_type=refresh_token&refresh_token=x"));
        assert_eq!(reply.refused_client().map(|client| client.as_str()), told, "{id}");
    }
}

#[test]
fn the_use_of_a_clients_secret_is_told_once_an_hour() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    let bound = json!({"user_id": "alice", "audience": "portal", "bind": true});
    let bound = issue(&server, &bearer, &bound).0;
    let plain = issue(&server, &bearer, &json!({"user_id": "alice"})).0;
    let by = |secret: &str| format!("Basic {}", STANDARD.encode(format!("portal:{secret}")));
    let presents = |ticket: &Value, secret: &str| {
        request("/auth/ticket/signin", &by(secret), &json!({"ticket": ticket["ticket"]}))
    };
    let login = json!({"identity": "nobody", "password": "wrong"});
    let asks = |secret: &str| {
        [
            asks_for_token("portal", secret, "orders:read"),
            posts("/oauth2/token", "portal", secret, "grant_type=refresh_token&refresh_token=x"),
            posts("/oauth2/introspect", "portal", secret, "token=x"),
            posts("/oauth2/revoke", "portal", secret, "token=x"),
            request("/auth/login", &by(secret), &login),
            request("/auth/refresh", &by(secret), &json!({"refresh_token": "x"})),
        ]
    };
    let used = |at: Time, ask: Request| server.send_at(at, ask).used_secret().cloned();
    let told = |at| UsedSecret { client: client_id("portal"), digest: SecretDigest::of(PORTAL_SECRET), at };
    for ask in asks(PORTAL_SECRET) {
        assert_eq!(used(NOON, ask.clone()), Some(told(NOON)), "{}", ask.target);
    }
    for ask in asks("wrong") {
        assert_eq!(used(NOON, ask.clone()), None, "{}", ask.target);
    }
    assert_eq!(used(NOON, presents(&plain, PORTAL_SECRET)), None, "nobody asked for the secret");
    assert_eq!(used(NOON, presents(&bound, PORTAL_SECRET)), Some(told(NOON)));

    server.commit(vec![Change::RecordSecretUse(told(NOON))]);
    for (seconds, is_told) in [(0, false), (3_599, false), (3_600, true)] {
        let at = NOON.plus(seconds);
        assert_eq!(used(at, asks(PORTAL_SECRET)[0].clone()), is_told.then(|| told(at)), "{seconds}");
    }
}

#[test]
fn a_row_has_the_ids_of_its_request() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    for sent in [None, Some("portal-4711"), Some("not an id")] {
        let mut ask = request("/auth/generate-ticket", &bearer, &json!({"user_id": "alice"}));
        ask.headers.extend(sent.map(|id| ("x-request-id".into(), id.into())));
        let before = server.tables().audit.len();
        let reply = server.send(ask);
        let row = server.tables().audit.remove(before);
        let ids = reply.ids().expect("ids");
        assert_eq!((row.request.as_ref(), &row.sent_request), (Some(&ids.own), &ids.sent));
        let told = sent.filter(|id| RequestId::parse(id).is_ok());
        assert_eq!(ids.sent.as_ref().map(RequestId::as_str), told);
        assert_eq!(reply.header("x-request-id"), told.or(Some(ids.own.as_str())));
    }
}

#[test]
fn refusals_of_what_exists_are_recorded_and_garbage_is_not() {
    let server = InMemoryServer::default();
    let bearer = token(&server, "backend", BACKEND_SECRET, "ticket:issue");
    let asked = json!({"user_id": "alice", "audience": "portal", "bind": true});
    let (issued, _) = issue(&server, &bearer, &asked);
    let (_, rows) = server.recorded(presents(issued["ticket"].as_str().expect("a ticket")));
    let whom = [Some("usr_alice"), None, Some("portal"), None];
    let wasted = (Kind::TicketRefused, Some(Refusal::RedeemerUnproven), whom);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [wasted]);

    let portal = token(&server, "portal", PORTAL_SECRET, "orders:read");
    let (_, rows) = issue(&server, &portal, &json!({"user_id": "alice"}));
    let beyond = (Kind::IssueRefused, Some(Refusal::ScopeMissing), [None, None, Some("portal"), None]);
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [beyond]);

    for garbage in [
        presents("tkt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        presents("nonsense"),
        request("/auth/generate-ticket", "Bearer a.b.c", &json!({"user_id": "alice"})),
        asks_for_token("nobody", "wrong", "a"),
    ] {
        assert_eq!(server.recorded(garbage).1, []);
    }
}

/// Returns the kinds and refusals of `rows`, all of which are about boss, who acts as alice at the portal in `session`.
fn about(rows: &[Event], session: &SessionId) -> Vec<(Kind, Option<Refusal>)> {
    let everyone = [Some("usr_alice"), Some("usr_boss"), Some("portal"), None];
    rows.iter()
        .map(|row| {
            let (kind, refusal, people) = told(row);
            assert_eq!((people, row.session.as_ref()), (everyone, Some(session)), "{kind:?}");
            (kind, refusal)
        })
        .collect()
}

/// Signs boss in as alice at the portal. Returns the tokens and the session.
fn acting(server: &InMemoryServer) -> (String, String, SessionId) {
    let told = impersonates(&server.engine, &server.store);
    let session = server.store.with(|tables| tables.sessions.keys().next().cloned()).expect("a session");
    (text(&told, "refresh_token"), text(&told, "access_token"), session)
}

#[test]
fn a_session_is_recorded_from_refresh_to_reuse() {
    let server = InMemoryServer::default();
    let (first, _, session) = acting(&server);
    let (body, rows) = server.recorded(refreshes(&first));
    assert_eq!(about(&rows, &session), [(Kind::SessionRefreshed, None)]);
    let (_, rows) = server.recorded(refreshes(&first));
    assert_eq!(about(&rows, &session), [], "a lost answer is only counted");
    let second = body["refresh_token"].as_str().expect("a token");
    let (_, rows) = server.recorded(grants(second));
    assert_eq!(about(&rows, &session), [], "so is a second refresh within the hour");
    let live = |tables: &mut Tables| {
        let unused = tables.refresh_tokens.values().find(|token| token.rotation.is_none());
        unused.map(|token| (token.number, token.refreshes, token.recorded_at.is_some()))
    };
    assert_eq!(server.store.with(live), Some((2, 2, true)));

    let other = format!("grant_type=refresh_token&refresh_token={second}");
    let (_, rows) = server.recorded(posts("/oauth2/token", "backend", BACKEND_SECRET, &other));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::AudienceMismatch))]);
    let wider = format!("{other}&scope=profile+phone");
    let (_, rows) = server.recorded(posts("/oauth2/token", "portal", PORTAL_SECRET, &wider));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::NotGrantable))]);
    let (_, rows) = server.recorded(refreshes(&first));
    assert_eq!(about(&rows, &session), [(Kind::RefreshReused, Some(Refusal::RefreshReused))]);
    let (_, rows) = server.recorded(refreshes(second));
    assert_eq!(about(&rows, &session), [(Kind::RefreshRefused, Some(Refusal::SessionOver))]);

    for nothing in [
        refreshes(fixtures::UNKNOWN_REFRESH_TOKEN),
        refreshes("x"),
        posts("/oauth2/token", "portal", PORTAL_SECRET, "grant_type=refresh_token&refresh_token=x"),
        posts("/oauth2/token", "portal", "wrong", &other),
    ] {
        assert_eq!(server.recorded(nothing).1, []);
    }
}

#[test]
fn a_revocation_is_recorded_with_its_actor() {
    let server = InMemoryServer::default();
    let (refresh, access, session) = acting(&server);
    for (token, id, secret) in
        [("x", "portal", PORTAL_SECRET), (&access, "backend", BACKEND_SECRET), (&refresh, "portal", "wrong")]
    {
        assert_eq!(server.recorded(posts("/oauth2/revoke", id, secret, &format!("token={token}"))).1, []);
    }
    assert_eq!(about(&server.recorded(revokes(&access)).1, &session), [(Kind::TokenRevoked, None)]);
    assert_eq!(server.recorded(revokes(&access)).1, [], "it is revoked once");
    assert_eq!(about(&server.recorded(revokes(&refresh)).1, &session), [(Kind::SessionEnded, None)]);
    assert_eq!(server.recorded(revokes(&refresh)).1, [], "it is ended once");

    let service = token(&server, "portal", PORTAL_SECRET, "orders:read");
    let (_, rows) = server.recorded(revokes(service.trim_start_matches("Bearer ")));
    let portal = [None, None, Some("portal"), None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::TokenRevoked, None, portal)]);
    assert_eq!(rows[0].session, None);
}

#[test]
fn the_end_of_ones_sessions_is_recorded() {
    let server = InMemoryServer::default();
    let ticket = fixtures::issue(&server.engine, &server.store, "alice", inputs(NOON, 50));
    let (body, _) = server.recorded(presents(&ticket));
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let mine = server.store.with(|tables| tables.sessions.keys().next().cloned()).expect("a session");
    // Another user's session.
    let other = SessionId::parse("ses_other").expect("an id");
    server.store.with(|tables| {
        let mut session = tables.sessions[&mine].clone();
        (session.id, session.user_id) = (other.clone(), user_id("boss"));
        tables.sessions.insert(other.clone(), session);
    });
    let asks = |method: &str, path: &str| {
        let asked = request(path, &bearer, &Value::Null);
        server.recorded(Request { method: method.into(), ..asked }).1
    };
    assert_eq!(asks("GET", "/auth/me/sessions"), []);
    assert_eq!(asks("DELETE", &format!("/auth/me/sessions/{}", other.as_str())), []);
    let rows = asks("DELETE", "/auth/me/sessions");
    let alice = [Some("usr_alice"), None, None, None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::SessionsEnded, None, alice)]);

    let ticket = fixtures::issue(&server.engine, &server.store, "alice", inputs(NOON, 60));
    let (body, rows) = server.recorded(presents(&ticket));
    let bearer = format!("Bearer {}", text(&body, "access_token"));
    let session = rows[0].session.clone().expect("a session");
    let path = format!("/auth/me/sessions/{}", session.as_str());
    let end = Request { method: "DELETE".into(), ..request(&path, &bearer, &Value::Null) };
    let (_, rows) = server.recorded(end);
    let alice = [Some("usr_alice"), None, Some("admin"), None];
    assert_eq!(rows.iter().map(told).collect::<Vec<_>>(), [(Kind::SessionEnded, None, alice)]);
    assert_eq!(rows[0].session, Some(session));
}

#[test]
fn only_what_can_be_guessed_is_a_guess() {
    let server = InMemoryServer::default();
    let (token, _, session) = acting(&server);
    let is_guess = |request: Request| {
        let answer = server.send(request);
        assert!(answer.refusal().is_some(), "{answer:?}");
        answer.attempt().is_some()
    };
    let grant = |token: &str, secret: &str| {
        posts("/oauth2/token", "portal", secret, &format!("grant_type=refresh_token&refresh_token={token}"))
    };
    let unknown = fixtures::UNKNOWN_REFRESH_TOKEN;
    assert!(
        is_guess(grant(&token, "wrong")) && is_guess(grant("x", "wrong")),
        "a client's secret may be guessed"
    );
    assert!(!is_guess(grant(&token, &format!("gps_{}", "x".repeat(43)))), "256 bits may not");
    assert!(!is_guess(refreshes(unknown)) && !is_guess(refreshes("x")));
    assert!(!is_guess(grant(unknown, PORTAL_SECRET)) && !is_guess(grant("x", PORTAL_SECRET)));
    server.store.with(|tables| tables.sessions.get_mut(&session).expect("it").ended_at = Some(NOON));
    assert!(!is_guess(grant(&token, PORTAL_SECRET)), "people's sessions end");
    assert!(!is_guess(refreshes(&token)));
}
