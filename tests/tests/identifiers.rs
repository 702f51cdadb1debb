//! A name means one person: identifiers are compared in one form and in one key space, and one that several users have names nobody.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::admin::clients::AddClient;
use gatepass_core::admin::tickets::IssueTicket;
use gatepass_core::admin::users::{AddUser, SetUser, ShowUser};
use gatepass_core::admin::{
    self, AdminError, Administrator, ClientFields, Field, Invalid, Operation, UserFields,
};
use gatepass_core::api::reply::Reply;
use gatepass_core::engine::Engine;
use gatepass_core::policy::ticket_issuing::IssueError;
use gatepass_core::policy::ticket_request::TicketRequest;
use gatepass_core::records::id::{ClientId, UserRef};
use gatepass_core::records::identifier::{IdentifierKind, NumberingPlan};
use gatepass_core::records::user::{User, Username, UsernameError};
use gatepass_core::store::audit::{Kind, Refusal};
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, asks_for_token, body, inputs, request, user_id,
};
use gatepass_tests::memory::{Memory, Tables};
use serde_json::json;

fn engine() -> Engine {
    fixtures::engine("http://gate.example")
}

fn store() -> Memory {
    Memory::new(fixtures::tables())
}

fn does<O: Operation>(store: &Memory, operation: O) -> Result<O::Output, AdminError> {
    admin::run(operation, Administrator::Machine, inputs(NOON, 7), engine().settings(), store)
}

fn username(name: &str) -> Username {
    Username::parse(name).expect("a user name")
}

fn logs_in(store: &Memory, identity: &str) -> Reply {
    let asked = request("/auth/login", "", &json!({"identity": identity, "password": PAM_PASSWORD}));
    // A seed for each: the names of sessions are drawn from it.
    let seed = store.with(|tables| tables.sessions.len() + tables.audit.len());
    drive(&engine(), store, asked, inputs(NOON, u64::try_from(seed).expect("a number")))
}

fn status(store: &Memory, identity: &str) -> u16 {
    logs_in(store, identity).status()
}

/// A store in which pam has the identifiers that are given beside her own.
fn with_pam(username: &str, email: &str, phone: &str) -> Memory {
    let store = store();
    store.with(|tables: &mut Tables| {
        let pam = tables.users.get_mut(&user_id("pam")).expect("pam");
        let named = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        pam.username = Username::parse(username).expect("a user name");
        (pam.email, pam.phone) = (named(email), named(phone));
    });
    store
}

#[test]
fn every_spelling_of_an_identifier_signs_in() {
    let store = with_pam("Jos\u{e9}", "Stra\u{df}e@Example.com", "+86 138 0013 8000");
    for (identity, good) in [
        ("Jos\u{e9}", true),
        ("Jose\u{301}", true),
        (" Jos\u{e9}\n", true),
        ("jos\u{e9}", false),
        ("Jose", false),
        ("Jos\u{e9}\u{200b}", false),
        ("stra\u{df}e@example.com", true),
        ("STRASSE@EXAMPLE.COM", true),
        ("+8613800138000", true),
        ("0086 (138) 0013-8000", true),
        ("\u{ff0b}\u{ff18}\u{ff16}13800138000", true),
        ("13800138000", false),
        ("8613800138000", false),
    ] {
        assert_eq!(status(&store, identity), if good { 200 } else { 400 }, "{identity:?}");
    }
    store.with(|tables| tables.numbering_plan = NumberingPlan::parse("86").ok());
    assert_eq!([status(&store, "13800138000"), status(&store, "0138 0013 8000")], [200, 200]);
}

#[test]
fn an_identifier_is_refused_where_another_user_has_it() {
    let add =
        |name: &str| AddUser { username: username(name), fields: UserFields::default(), password: None };
    let email = |text: &str| UserFields::default().email(text).expect("an address");
    let phone = |text: &str| UserFields::default().phone(text).expect("a number");
    let store = with_pam("Jos\u{e9}", "Pam@Example.com", "+86 138 0013 8000");
    let named_by_email = AddUser { username: username("bob@example.com"), ..add("bob") };
    does(&store, named_by_email).expect("added");
    for (operation, kind, owner, owned) in [
        (add("pam@example.com"), IdentifierKind::Username, "pam", IdentifierKind::Email),
        (add("PAM@EXAMPLE.COM"), IdentifierKind::Username, "pam", IdentifierKind::Email),
        (add("+8613800138000"), IdentifierKind::Username, "pam", IdentifierKind::Phone),
        (add("0086 13800138000"), IdentifierKind::Username, "pam", IdentifierKind::Phone),
        (add("Jose\u{301}"), IdentifierKind::Username, "pam", IdentifierKind::Username),
        (
            AddUser { fields: email("pam@example.COM"), ..add("new") },
            IdentifierKind::Email,
            "pam",
            IdentifierKind::Email,
        ),
        (
            AddUser { fields: email("BOB@example.com"), ..add("new") },
            IdentifierKind::Email,
            "",
            IdentifierKind::Username,
        ),
        (
            AddUser { fields: phone("+86-13800138000"), ..add("new") },
            IdentifierKind::Phone,
            "pam",
            IdentifierKind::Phone,
        ),
        (
            AddUser { fields: phone("boss"), ..add("new") },
            IdentifierKind::Phone,
            "boss",
            IdentifierKind::Username,
        ),
    ] {
        match does(&store, operation) {
            Err(AdminError::IdentifierTaken { kind: found, owner: found_owner, .. }) => {
                assert_eq!((found, found_owner.kind), (kind, owned), "{found_owner:?}");
                assert!(owner.is_empty() || found_owner.user == user_id(owner), "{found_owner:?}");
            }
            other => panic!("{other:?}"),
        }
    }
    let set = |fields: UserFields, name: Option<&str>| SetUser {
        user: UserRef::Username("boss".into()),
        username: name.map(username),
        fields,
    };
    for operation in [
        set(email("PAM@example.com"), None),
        set(phone("0086 138 0013 8000"), None),
        set(UserFields::default(), Some("pam@example.com")),
    ] {
        assert!(matches!(does(&store, operation), Err(AdminError::IdentifierTaken { .. })));
    }
    // One user may have one twice.
    does(&store, set(email("boss@example.com"), Some("BOSS@example.com"))).expect("her own");
    does(&store, SetUser { user: UserRef::Any("boss@example.com".into()), ..set(phone("10086"), None) })
        .expect("found by it");
}

#[test]
fn what_is_not_seen_is_in_no_identifier() {
    for hidden in
        ['\u{200b}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{ad}', '\u{3164}', '\u{2028}', '\u{fe0f}']
    {
        let text = format!("al{hidden}ice");
        assert_eq!(Username::parse(&text), Err(UsernameError::Hidden(hidden)));
        let reason = Invalid::Hidden(hidden);
        let email = UserFields::default().email(&format!("{text}@example.com"));
        assert_eq!(email.err(), Some(AdminError::Invalid { field: Field::Email, reason: reason.clone() }));
        let phone = UserFields::default().phone(&text);
        assert_eq!(phone.err(), Some(AdminError::Invalid { field: Field::Phone, reason }));
    }
}

#[test]
fn no_client_is_called_like_a_users_id() {
    let id = ClientId::parse("usr_alice").expect("a client id");
    let added = AddClient::new(id, ClientFields::default(), None).err();
    assert_eq!(added, Some(AdminError::Invalid { field: Field::ClientId, reason: Invalid::LikeUserId }));
}

/// A store of a time when identifiers were not compared: pam's address is boss's user name, and boss has her number.
fn ambiguous() -> Memory {
    let store = with_pam("pam", "pam@example.com", "+86 138 0013 8000");
    store.with(|tables| {
        let password = tables.passwords[&user_id("pam")].clone();
        tables.passwords.insert(user_id("boss"), password);
        let boss = tables.users.get_mut(&user_id("boss")).expect("boss");
        boss.username = username("PAM@example.com");
        boss.email = Some("boss@example.com".into());
        boss.phone = Some("008613800138000".into());
    });
    store
}

#[test]
fn an_ambiguous_identifier_signs_nobody_in() {
    let store = ambiguous();
    let unknown = logs_in(&store, "nobody");
    for identity in ["pam@example.com", "PAM@example.com", "+8613800138000"] {
        let refused = logs_in(&store, identity);
        assert_eq!((refused.status(), refused.body()), (unknown.status(), unknown.body()), "{identity}");
        let row = store.with(|tables| tables.audit.last().cloned()).expect("a row");
        assert_eq!((row.kind, row.refusal), (Kind::PasswordRefused, Some(Refusal::IdentityAmbiguous)));
        assert_eq!(row.reason.as_deref(), Some("the identifier of usr_boss, usr_pam"));
    }
    let lockouts = store.with(|tables| tables.passwords.values().filter(|p| p.lockout.wrong > 0).count());
    assert_eq!(lockouts, 0, "nobody's guesses are counted");
    assert_eq!(
        [status(&store, "pam"), status(&store, "boss@example.com")],
        [200, 200],
        "by another of theirs"
    );

    let ambiguous = AdminError::Ambiguous {
        identifier: "pam@example.com".into(),
        users: vec![user_id("boss"), user_id("pam")],
    };
    let by = |text: &str| UserRef::Any(text.into());
    assert_eq!(does(&store, ShowUser { user: by("pam@example.com") }).err(), Some(ambiguous));
    let issue = |text: &str| IssueTicket { request: TicketRequest::new(by(text)) };
    let refused = does(&store, issue("pam@example.com")).err();
    assert_eq!(refused, Some(AdminError::NotIssued(IssueError::UserAmbiguous)));
    does(&store, issue("usr_pam")).expect("ids win");

    // A change of something else leaves it as it is, and a change of one of the two resolves it at once.
    let set = |fields: UserFields, name: Option<&str>| SetUser {
        user: by("usr_boss"),
        username: name.map(username),
        fields,
    };
    does(&store, set(UserFields::default().name("Boss").expect("a name"), None)).expect("changed");
    assert_eq!(status(&store, "pam@example.com"), 400);
    does(&store, set(UserFields::default(), Some("boss"))).expect("renamed");
    assert_eq!([status(&store, "pam@example.com"), status(&store, "+8613800138000")], [200, 400]);
    does(&store, set(UserFields::default().phone("").expect("none"), None)).expect("cleared");
    assert_eq!(status(&store, "+8613800138000"), 200);
    assert!(body(&logs_in(&store, "pam@example.com"))["access_token"].is_string());
}

#[test]
fn a_ticket_is_refused_as_for_somebody_unknown() {
    let store = ambiguous();
    let asks = asks_for_token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate");
    let token = body(&drive(&engine(), &store, asks, inputs(NOON, 1)))["access_token"].clone();
    let bearer = format!("Bearer {}", token.as_str().expect("a token"));
    let refused = |user: &str, actor: &str| {
        let asked = json!({"user_id": user, "audience": "portal", "actor": actor, "reason": "a call"});
        let reply =
            drive(&engine(), &store, request("/auth/generate-ticket", &bearer, &asked), inputs(NOON, 2));
        (reply.status(), body(&reply))
    };
    assert_eq!(refused("pam@example.com", "usr_boss"), refused("nobody", "usr_boss"));
    assert_eq!(refused("alice", "pam@example.com"), refused("alice", "nobody"));
    assert_ne!(
        refused("alice", "pam@example.com"),
        refused("pam@example.com", "usr_boss"),
        "each names its own"
    );
}

#[test]
fn a_user_is_named_by_any_identifier_and_ids_win() {
    let store = with_pam("pam", "Pam@example.com", "+86 138 0013 8000");
    let shown = |user: UserRef| does(&store, ShowUser { user }).map(|user: User| user.id);
    let any = |text: &str| shown(UserRef::Any(text.into()));
    for text in ["usr_pam", "pam", "PAM@EXAMPLE.COM", "008613800138000"] {
        assert_eq!(any(text), Ok(user_id("pam")), "{text}");
    }
    assert!(any("PAM").is_err());
    for (text, found) in [("pam", true), ("pam@example.com", false), ("usr_pam", false)] {
        assert_eq!(shown(UserRef::Username(text.into())).is_ok(), found, "{text}");
    }
}
