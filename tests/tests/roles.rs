//! Roles of administration: who may give and take them, what takes them away, and who gets the scope `gatepass:admin`.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::admin::client_secrets::{AddSecret, EndSecrets, FormerSecrets, RenewClient, SecretsToEnd};
use gatepass_core::admin::clients::{AddClient, DeleteClient, DisableClient, EnableClient, SetClient};
use gatepass_core::admin::factors::{ResetFactors, SetUpTotp, VerifyTotp};
use gatepass_core::admin::roles::{ListRoleHolders, SetClientRoles, SetUserRoles};
use gatepass_core::admin::sessions::EndUserSessions;
use gatepass_core::admin::users::{
    AddUser, DeleteUser, DisableUser, EnableUser, RequirePasswordChange, SetPassword, SetUser, UnlockUser,
};
use gatepass_core::admin::{
    AdminError, Administrator, ClientFields, Field, Invalid, Obstacle, Operation, UserFields, run,
};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::engine::Engine;
use gatepass_core::http::request::Request;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::records::id::UserRef;
use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::scope::Scope;
use gatepass_core::records::user::{Status, User, Username};
use gatepass_core::settings::{Settings, Unenrolled};
use gatepass_core::store::audit::Kind;
use gatepass_core::store::page::PageQuery;
use gatepass_core::store::query::RoleHolder;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{
    self, BACKEND_SECRET, NOON, PAM_PASSWORD, PORTAL_SECRET, asks_for_token, claims, client_id, inputs,
    posts, request, text, user_id,
};
use gatepass_tests::memory::{Memory, Tables};
use gatepass_tests::totp::{self, SECRET};
use serde_json::{Value, json};

const OFFICER: Roles = Roles::of(&[Role::Officer]);
const ADMIN: &str = "gatepass:admin";

fn settings() -> Settings {
    fixtures::engine("http://gate.example").settings().clone()
}

fn pam() -> UserRef {
    (&user_id("pam")).into()
}

fn user<'a>(tables: &'a mut Tables, name: &str) -> &'a mut User {
    tables.users.get_mut(&user_id(name)).expect("a user")
}

/// Pam, who has a password, and boss are officers; so is the client `backend`. A device of pam waits for its first code.
fn tables() -> Tables {
    let mut tables = fixtures::tables();
    for name in ["pam", "boss"] {
        user(&mut tables, name).roles = OFFICER;
    }
    tables.clients.get_mut(&client_id("backend")).expect("a client").roles = OFFICER;
    let waiting = totp::device("dev_2", &user_id("pam"), SECRET);
    tables.devices.push(gatepass_core::records::factor::TotpDevice { verified_at: None, ..waiting });
    tables
}

type Done = Result<(), AdminError>;

fn does<O: Operation>(store: &Memory, by: &Administrator, operation: O) -> Done {
    run(operation, by.clone(), inputs(NOON, 7), &settings(), store).map(drop)
}

fn fields(set: impl Fn(UserFields) -> Result<UserFields, AdminError>) -> SetUser {
    SetUser { user: pam(), username: None, fields: set(UserFields::default()).expect("a value") }
}

/// The public key of RFC 8037 appendix A.2.
const KEYS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"k","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// One action of an administrator.
type Change = fn(&Memory, &Administrator) -> Done;
/// A change of pam, and whether it changes how she signs in.
type Case = (&'static str, bool, Change);

const CASES: &[Case] = &[
    ("a password is set", true, |store, by| {
        let password = SecretText::new("a password that will do".into());
        does(store, by, SetPassword { user: pam(), password, must_change: false })
    }),
    ("a new password is required", true, |store, by| does(store, by, RequirePasswordChange { user: pam() })),
    ("factors are reset", true, |store, by| does(store, by, ResetFactors { user: pam() })),
    ("a device is set up", true, |store, by| {
        does(store, by, SetUpTotp::new(pam(), Some("phone")).expect("a name"))
    }),
    ("a device is verified", true, |store, by| {
        does(store, by, VerifyTotp { user: pam(), code: totp::code(SECRET, NOON.unix()) })
    }),
    ("a user name", true, |store, by| {
        let username = Username::parse("pamela").ok();
        does(store, by, SetUser { user: pam(), username, fields: UserFields::default() })
    }),
    ("an e-mail address", true, |store, by| does(store, by, fields(|f| f.email("p@example.com")))),
    ("no e-mail address", true, |store, by| does(store, by, fields(|f| f.email("")))),
    ("a telephone number", true, |store, by| does(store, by, fields(|f| f.phone("+44 20 7946 0009")))),
    ("a rule about second factors", true, |store, by| {
        does(store, by, fields(|f| Ok(f.second_factor(Some(AskFactor::Never)))))
    }),
    ("a name", false, |store, by| does(store, by, fields(|f| f.name("Pam")))),
    ("an address", false, |store, by| does(store, by, fields(|f| f.address(&json!({"locality": "Oxford"}))))),
    ("the same e-mail address", false, |store, by| does(store, by, fields(|f| f.email("pam@example.com")))),
    ("locks are lifted", false, |store, by| does(store, by, UnlockUser { user: pam() })),
    ("sessions are ended", false, |store, by| does(store, by, EndUserSessions { user: pam() })),
    ("the user is disabled", false, |store, by| does(store, by, DisableUser { user: pam() })),
];

#[test]
fn what_changes_how_somebody_signs_in_takes_roles_unless_the_machine_or_they_do_it() {
    for (name, takes, change) in CASES {
        for (by, is_other) in [
            (Administrator::Machine, false),
            (Administrator::User(user_id("pam")), false),
            (Administrator::User(user_id("boss")), true),
            (Administrator::Client(client_id("backend")), true),
        ] {
            let store = Memory::new(tables());
            change(&store, &by).unwrap_or_else(|error| panic!("{name} by {by:?}: {error}"));
            store.with(|tables| {
                let after = &tables.users[&user_id("pam")];
                let taken = *takes && is_other;
                assert_eq!(after.roles, if taken { Roles::NONE } else { OFFICER }, "{name} by {by:?}");
                let rows: Vec<_> =
                    tables.audit.iter().filter(|row| row.kind == Kind::UserRolesChanged).collect();
                let told: Vec<_> = rows.iter().map(|row| (row.subject.clone(), row.roles)).collect();
                let expected = taken.then(|| (Some(user_id("pam")), Some(Roles::NONE)));
                assert_eq!(told, expected.into_iter().collect::<Vec<_>>(), "{name} by {by:?}");
                assert!(!taken || after.epoch > 0, "{name} by {by:?}");
            });
        }
    }
}

/// Every way in which the last officer could cease to be one.
const ENDS: &[(&str, Change)] = &[
    ("the role is taken", |store, by| does(store, by, SetUserRoles { user: pam(), roles: Roles::NONE })),
    ("another role is given", |store, by| {
        let roles = Roles::of(&[Role::Auditor]);
        does(store, by, SetUserRoles { user: pam(), roles })
    }),
    ("the user is disabled", |store, by| does(store, by, DisableUser { user: pam() })),
    ("the user is deleted", |store, by| does(store, by, DeleteUser { user: pam() })),
];

#[test]
fn over_http_an_officer_is_left_and_the_machine_may_do_without() {
    let ends = ENDS.iter().copied();
    let takes = CASES.iter().filter(|(_, takes, _)| *takes).map(|(name, _, change)| (*name, *change));
    for (name, change) in ends.chain(takes) {
        let by = Administrator::Client(client_id("backend"));
        for disabled in [true, false] {
            let mut tables = tables();
            if disabled {
                user(&mut tables, "boss").status = Status::Disabled;
            } else {
                user(&mut tables, "boss").roles = Roles::of(&[Role::Operator, Role::Auditor]);
            }
            let before = tables.clone();
            let store = Memory::new(tables);
            let refused = change(&store, &by).err();
            assert_eq!(refused, Some(AdminError::Refused(Obstacle::LastOfficer)), "{name}");
            assert!(store.with(|tables| *tables == before), "{name}");
            assert_eq!(change(&store, &Administrator::Machine), Ok(()), "{name}");
        }
        assert_eq!(change(&Memory::new(tables()), &by), Ok(()), "{name} beside another officer");
    }
    // An officer who disables or deletes themselves is held to it, too.
    for (name, change) in &ENDS[2..] {
        let mut tables = tables();
        user(&mut tables, "boss").roles = Roles::NONE;
        let refused = change(&Memory::new(tables), &Administrator::User(user_id("pam"))).err();
        assert_eq!(refused, Some(AdminError::Refused(Obstacle::LastOfficer)), "{name}");
    }
}

#[test]
fn a_disabled_holder_who_is_enabled_over_http_has_no_role() {
    for (by, roles) in [
        (Administrator::Machine, OFFICER),
        (Administrator::User(user_id("boss")), Roles::NONE),
        (Administrator::Client(client_id("backend")), Roles::NONE),
    ] {
        let mut tables = tables();
        user(&mut tables, "pam").status = Status::Disabled;
        tables.clients.get_mut(&client_id("closed")).expect("a client").roles = OFFICER;
        let store = Memory::new(tables);
        assert_eq!(does(&store, &by, EnableUser { user: pam() }), Ok(()));
        assert_eq!(does(&store, &by, EnableClient { client: client_id("closed") }), Ok(()));
        store.with(|tables| {
            assert_eq!(tables.users[&user_id("pam")].roles, roles, "{by:?}");
            assert_eq!(tables.clients[&client_id("closed")].roles, roles, "{by:?}");
        });
    }
}

#[test]
fn who_may_change_the_roles_of_users_and_of_clients() {
    let machine = Administrator::Machine;
    let (own, other) = (Administrator::User(user_id("pam")), Administrator::User(user_id("boss")));
    let client = Administrator::Client(client_id("backend"));
    let two = Roles::of(&[Role::Operator, Role::Officer]);
    let own_roles = Err(AdminError::Refused(Obstacle::OwnRoles));
    let not_separate = Err(AdminError::Invalid { field: Field::Roles, reason: Invalid::NotSeparate });
    let machine_alone = Err(AdminError::Refused(Obstacle::RolesOfClients));
    for (by, roles, of_user, of_client) in [
        (&machine, OFFICER, Ok(()), Ok(())),
        (&machine, Roles::NONE, Ok(()), Ok(())),
        (&machine, two, not_separate.clone(), not_separate.clone()),
        (&other, Roles::of(&[Role::Auditor]), Ok(()), machine_alone.clone()),
        (&other, two, not_separate.clone(), machine_alone.clone()),
        (&client, Roles::NONE, Ok(()), machine_alone.clone()),
        (&own, Roles::NONE, own_roles.clone(), machine_alone.clone()),
        (&own, Roles::of(&[Role::Auditor]), own_roles.clone(), machine_alone.clone()),
    ] {
        let store = Memory::new(tables());
        assert_eq!(does(&store, by, SetUserRoles { user: pam(), roles }), of_user, "{by:?} {roles}");
        let changed = SetClientRoles { client: client_id("portal"), roles };
        assert_eq!(does(&store, by, changed), of_client, "{by:?} {roles}");
        store.with(|tables| {
            let (user, client) = (&tables.users[&user_id("pam")], &tables.clients[&client_id("portal")]);
            assert_eq!(user.roles, if of_user.is_ok() { roles } else { OFFICER });
            assert_eq!(client.roles, if of_client.is_ok() { roles } else { Roles::NONE });
            // A change of roles ends whatever is from before.
            assert_eq!(user.epoch, u64::from(user.roles != OFFICER));
            assert_eq!(client.epoch, u64::from(!client.roles.is_empty()));
            let rows = tables.audit.iter().filter(|row| row.roles == Some(roles)).count();
            assert_eq!(rows, usize::from(user.epoch > 0) + usize::from(client.epoch > 0));
        });
    }
    let mut together = settings();
    together.separate_roles = false;
    let store = Memory::new(tables());
    let both = SetUserRoles { user: pam(), roles: two };
    assert_eq!(
        run(both, machine.clone(), inputs(NOON, 7), &together, &store).map(|user| user.roles),
        Ok(two)
    );
}

#[test]
fn a_client_is_added_together_with_its_roles_and_by_the_machine_alone() {
    let (machine, pam) = (Administrator::Machine, Administrator::User(user_id("pam")));
    let two = Roles::of(&[Role::Operator, Role::Officer]);
    let not_separate = Err(AdminError::Invalid { field: Field::Roles, reason: Invalid::NotSeparate });
    let machine_alone = Err(AdminError::Refused(Obstacle::RolesOfClients));
    for (by, roles, expected, rows) in [
        (&machine, Roles::NONE, Ok(()), &[Kind::ClientAdded][..]),
        (&machine, OFFICER, Ok(()), &[Kind::ClientAdded, Kind::ClientRolesChanged]),
        (&machine, two, not_separate, &[]),
        (&pam, Roles::NONE, Ok(()), &[Kind::ClientAdded]),
        (&pam, OFFICER, machine_alone, &[]),
    ] {
        let store = Memory::new(tables());
        let add = AddClient::new(client_id("new"), ClientFields::default(), None).expect("a client");
        assert_eq!(does(&store, by, add.roles(roles)), expected, "{by:?} {roles}");
        store.with(|tables| {
            let added = tables.clients.get(&client_id("new"));
            // It is written once: no crash leaves a client without its roles, whose secret nobody has seen.
            let added = added.map(|client| (client.roles, client.revision));
            assert_eq!(added, expected.is_ok().then_some((roles, 0)), "{by:?} {roles}");
            let kinds: Vec<_> = tables.audit.iter().map(|row| row.kind).collect();
            assert_eq!(kinds, rows, "{by:?} {roles}");
        });
    }
}

#[test]
fn what_changes_a_clients_credentials_takes_its_roles_unless_the_machine_or_it_does() {
    let backend = || client_id("backend");
    let cases: &[(&str, bool, Change)] = &[
        ("a secret replaces others", true, |store, by| {
            let (client, former) = (client_id("backend"), FormerSecrets::EndAfter(0));
            does(store, by, AddSecret { client, former, lifetime: None, secret: None })
        }),
        ("it is renewed", true, |store, by| {
            does(store, by, RenewClient { client: client_id("backend"), scope: Scope::default() })
        }),
        ("a secret is added", true, |store, by| {
            let (client, former) = (client_id("backend"), FormerSecrets::Stay);
            does(store, by, AddSecret { client, former, lifetime: None, secret: None })
        }),
        ("a key is set", true, |store, by| {
            let fields = ClientFields::default().keys(Some(KEYS)).expect("a key");
            does(store, by, SetClient { client: client_id("backend"), fields })
        }),
        ("a secret is ended", false, |store, by| {
            let client = client_id("backend");
            let secrets = store.with(|tables| tables.clients[&client].secrets[0].id.clone());
            let secrets = SecretsToEnd::One(secrets);
            does(store, by, EndSecrets { client, secrets, overlap: 60 })
        }),
        ("a name is set", false, |store, by| {
            let fields = ClientFields::default().name("Backend").expect("a name");
            does(store, by, SetClient { client: client_id("backend"), fields })
        }),
        ("it is disabled", false, |store, by| {
            does(store, by, DisableClient { client: client_id("backend") })
        }),
    ];
    for (name, takes, change) in cases {
        for (by, is_other) in [
            (Administrator::Machine, false),
            (Administrator::Client(backend()), false),
            (Administrator::Client(client_id("portal")), true),
            (Administrator::User(user_id("pam")), true),
        ] {
            let store = Memory::new(tables());
            assert_eq!(change(&store, &by), Ok(()), "{name} by {by:?}");
            store.with(|tables| {
                let taken = *takes && is_other;
                let expected = if taken { Roles::NONE } else { OFFICER };
                assert_eq!(tables.clients[&backend()].roles, expected, "{name} by {by:?}");
                let rows = tables.audit.iter().filter(|row| row.kind == Kind::ClientRolesChanged);
                assert_eq!(rows.count(), usize::from(taken), "{name} by {by:?}");
            });
        }
    }
}

#[test]
fn what_is_deleted_and_added_again_has_no_role() {
    let store = Memory::new(tables());
    let machine = Administrator::Machine;
    assert_eq!(does(&store, &machine, DeleteUser { user: pam() }), Ok(()));
    assert_eq!(does(&store, &machine, DeleteClient { client: client_id("backend") }), Ok(()));
    let username = Username::parse("pam").expect("a user name");
    let added = AddUser { username, fields: UserFields::default(), password: None };
    let added = run(added, machine.clone(), inputs(NOON, 8), &settings(), &store).expect("a user");
    assert_eq!(added.roles, Roles::NONE);
    let add = AddClient::new(client_id("backend"), ClientFields::default(), None).expect("a client");
    let added = run(add, machine, inputs(NOON, 9), &settings(), &store).expect("a client");
    assert_eq!(added.client.roles, Roles::NONE);
}

#[test]
fn the_holders_of_roles_are_listed_users_first() {
    let mut tables = tables();
    user(&mut tables, "pam").status = Status::Disabled;
    let store = Memory::new(tables);
    let mut listed = Vec::new();
    let mut after = None;
    loop {
        let list = ListRoleHolders { page: PageQuery::new(after, 1) };
        let page = run(list, Administrator::Machine, inputs(NOON, 7), &settings(), &store).expect("a page");
        listed.extend(page.items.into_iter().map(|holder| match holder {
            RoleHolder::User(user) => user.id.to_string(),
            RoleHolder::Client(client) => client.id.to_string(),
        }));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ["usr_boss", "usr_pam", "backend"]);
}

fn send(engine: &Engine, store: &Memory, request: Request, now: Time, seed: u64) -> (u16, Value) {
    let answer = drive(engine, store, request, inputs(now, seed));
    (answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default())
}

/// Returns the scope that a token has by introspection; none where it is not active.
fn scope_of(engine: &Engine, store: &Memory, token: &str, now: Time) -> Option<String> {
    let asked = posts("/oauth2/introspect", "portal", PORTAL_SECRET, &format!("token={token}"));
    let (status, body) = send(engine, store, asked, now, 90);
    assert_eq!(status, 200, "{body}");
    (body["active"] == true).then(|| body["scope"].as_str().unwrap_or_default().to_owned())
}

#[test]
fn a_client_with_a_role_gets_a_token_of_fifteen_minutes_that_administers() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(tables());
    for (id, secret, scope, answer) in [
        ("backend", BACKEND_SECRET, "gatepass:admin", Ok(900)),
        ("backend", BACKEND_SECRET, "profile gatepass:admin", Ok(900)),
        ("backend", BACKEND_SECRET, "profile", Ok(3600)),
        ("backend", BACKEND_SECRET, "gatepass:admin x", Err("x is not in the scope of the client backend")),
        (
            "backend",
            BACKEND_SECRET,
            "gatepass:other",
            Err("gatepass:other is not in the scope of the client backend"),
        ),
        (
            "portal",
            PORTAL_SECRET,
            "gatepass:admin",
            Err("gatepass:admin needs a role, and the client portal has none"),
        ),
    ] {
        let (status, body) = send(&engine, &store, asks_for_token(id, secret, scope), NOON, 1);
        match answer {
            Ok(life) => {
                assert_eq!((status, body["expires_in"].as_u64()), (200, Some(life)), "{body}");
                assert_eq!(body["scope"], scope);
            }
            Err(why) => {
                assert_eq!((status, body["error"].as_str()), (400, Some("invalid_scope")), "{body}");
                assert_eq!(body["error_description"], why);
            }
        }
    }
    let asked = asks_for_token("backend", BACKEND_SECRET, "profile gatepass:admin");
    let token = text(&send(&engine, &store, asked, NOON, 2).1, "access_token");
    let seen = |now| scope_of(&engine, &store, &token, now);
    assert_eq!(seen(NOON).as_deref(), Some("profile gatepass:admin"));
    assert_eq!(seen(NOON.plus(900)), None);
    // A role that an altered record lacks does not count, and a change by an operation ends the token.
    store.with(|tables| tables.clients.get_mut(&client_id("backend")).expect("a client").roles = Roles::NONE);
    assert_eq!(seen(NOON).as_deref(), Some("profile"));
    let give = SetClientRoles { client: client_id("backend"), roles: OFFICER };
    assert_eq!(does(&store, &Administrator::Machine, give), Ok(()));
    assert_eq!(seen(NOON), None);
}

fn login(scope: Option<&str>, authorization: &str) -> Request {
    let mut body = json!({"identity": "pam", "password": PAM_PASSWORD});
    if let Some(scope) = scope {
        body["scope"] = scope.into();
    }
    request("/auth/login", authorization, &body)
}

fn answers(challenge: &str) -> Request {
    let body = json!({"challenge_token": challenge, "code": totp::code(SECRET, NOON.unix())});
    request("/auth/mfa/verify-challenge", "", &body)
}

fn enrolled(roles: Roles) -> Tables {
    let mut tables = fixtures::tables();
    user(&mut tables, "pam").roles = roles;
    totp::enrol(&mut tables, &user_id("pam"));
    tables
}

#[test]
fn a_person_with_a_role_signs_in_to_administer_for_an_hour_and_always_with_a_second_factor() {
    let mut settings = settings();
    settings.second_factor.ask = AskFactor::Never;
    let engine = fixtures::gatepass_with(settings);
    let store = Memory::new(enrolled(OFFICER));
    user(&mut store.with(|tables| tables.clone()), "pam").second_factor = Some(AskFactor::Never);
    // Without the scope nobody asks for a second factor, and every sign-in makes the place known.
    let (status, plain) = send(&engine, &store, login(None, ""), NOON, 1);
    assert_eq!((status, plain["requires_mfa"].as_bool()), (200, Some(false)));
    assert_eq!(scope_of(&engine, &store, &text(&plain, "access_token"), NOON).as_deref(), Some("profile"));
    let (status, asked) = send(&engine, &store, login(Some("profile gatepass:admin"), ""), NOON, 2);
    assert_eq!((status, asked["mfa_check_reason"].as_str()), (200, Some("administration")), "{asked}");
    let (status, signed_in) = send(&engine, &store, answers(&text(&asked, "challenge_token")), NOON, 3);
    assert_eq!((status, signed_in["expires_in"].as_u64()), (200, Some(3600)), "{signed_in}");
    assert_eq!(signed_in.get("refresh_token"), None);
    let token = text(&signed_in, "access_token");
    assert_eq!(claims(&token)["exp"].as_u64(), claims(&token)["auth_time"].as_u64().map(|at| at + 3600));
    let seen = |now| scope_of(&engine, &store, &token, now);
    assert_eq!(seen(NOON.plus(3599)).as_deref(), Some("profile gatepass:admin"));
    assert_eq!(seen(NOON.plus(3600)), None);
    store.with(|tables| {
        let session = tables.sessions.values().find(|session| session.scope.contains(ADMIN));
        let session = session.expect("a session");
        assert_eq!(session.expires_at, NOON.plus(3600));
        assert!(tables.refresh_tokens.values().all(|token| token.session_id != session.id));
        user(tables, "pam").roles = Roles::NONE;
    });
    assert_eq!(seen(NOON).as_deref(), Some("profile"));
    // A change of roles ends what is from before, whatever is given.
    let give = SetUserRoles { user: pam(), roles: OFFICER };
    assert_eq!(does(&store, &Administrator::Machine, give), Ok(()));
    assert_eq!(seen(NOON), None);
}

#[test]
fn a_challenge_to_administer_ends_with_the_role() {
    let engine = fixtures::engine("http://gate.example");
    for (change, status) in [(None, 200), (Some(Roles::NONE), 400), (Some(Roles::of(&[Role::Auditor])), 400)]
    {
        let store = Memory::new(enrolled(OFFICER));
        let asked = send(&engine, &store, login(Some(ADMIN), ""), NOON, 2).1;
        if let Some(roles) = change {
            let change = SetUserRoles { user: pam(), roles };
            assert_eq!(does(&store, &Administrator::Machine, change), Ok(()));
        }
        assert_eq!(send(&engine, &store, answers(&text(&asked, "challenge_token")), NOON, 3).0, status);
    }
}

#[test]
fn a_keyed_answer_to_a_challenge_to_administer_comes_again() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(enrolled(OFFICER));
    let asked = send(&engine, &store, login(Some(ADMIN), ""), NOON, 2).1;
    let keyed = || {
        let mut answer = answers(&text(&asked, "challenge_token"));
        answer.headers.push(("idempotency-key".into(), b"0123456789012345678901".to_vec()));
        answer
    };
    let first = send(&engine, &store, keyed(), NOON, 3);
    let again = send(&engine, &store, keyed(), NOON.plus(5), 4);
    assert_eq!((first.0, again.0), (200, 200), "{again:?}");
    let sid = |answer: &Value| claims(&text(answer, "access_token"))["sid"].clone();
    assert_eq!(sid(&first.1), sid(&again.1));
    assert_eq!(again.1.get("refresh_token"), None);
    assert_eq!(again.1["expires_in"], 3595);
}

#[test]
fn who_has_no_second_factor_may_enrol_one_and_do_nothing_else() {
    for unenrolled in [Unenrolled::SignIn, Unenrolled::Refuse, Unenrolled::Enrol] {
        let mut settings = settings();
        settings.second_factor.unenrolled = unenrolled;
        let engine = fixtures::gatepass_with(settings);
        let mut tables = fixtures::tables();
        user(&mut tables, "pam").roles = OFFICER;
        let store = Memory::new(tables);
        let (status, body) = send(&engine, &store, login(Some(ADMIN), ""), NOON, 2);
        assert_eq!((status, body["must_enrol"].as_bool()), (200, Some(true)), "{body}");
        assert_eq!(body["mfa_check_reason"], "administration");
        let token = text(&body, "access_token");
        assert_eq!(scope_of(&engine, &store, &token, NOON), None);
        assert_eq!(claims(&token)["scope"], "gatepass:enrol");
    }
}

#[test]
fn the_scope_of_a_sign_in_is_limited_and_a_role_is_told_of_after_the_password_alone() {
    let engine = fixtures::engine("http://gate.example");
    let basic = asks_for_token("portal", PORTAL_SECRET, "").headers.remove(1).1;
    let basic = String::from_utf8(basic).expect("text");
    let needs_a_role = "gatepass:admin needs a role, and the user has none";
    for (scope, roles, authorization, why) in [
        (ADMIN, Roles::NONE, "", needs_a_role),
        (ADMIN, Roles::of(&[Role::Operator, Role::Officer]), "", needs_a_role),
        ("email", OFFICER, "", "email is not in the scope of people who sign in"),
        ("ticket:issue", OFFICER, "", "ticket:issue is not in the scope of people who sign in"),
        ("gatepass:enrol", OFFICER, "", "gatepass:enrol is not in the scope of people who sign in"),
        (
            ADMIN,
            OFFICER,
            basic.as_str(),
            "gatepass:admin is for people who sign in by themselves, not by the client portal",
        ),
        ("a  b", OFFICER, "", "a scope is at most"),
    ] {
        let store = Memory::new(enrolled(roles));
        let (status, body) = send(&engine, &store, login(Some(scope), authorization), NOON, 2);
        assert_eq!((status, body["code"].as_u64()), (400, Some(40014)), "{body}");
        assert!(text(&body, "message").contains(why), "{scope}: {body}");
        assert!(store.with(|tables| tables.sessions.is_empty() && tables.challenges.is_empty()));
    }
    // Whoever does not know the password learns nothing of roles.
    for roles in [OFFICER, Roles::NONE] {
        let store = Memory::new(enrolled(roles));
        let mut answers = Vec::new();
        for identity in ["pam", "nobody"] {
            let body = json!({"identity": identity, "password": "wrong", "scope": ADMIN});
            answers.push(send(&engine, &store, request("/auth/login", "", &body), NOON, 2));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].1["code"], 40_040, "{:?}", answers[0].1);
    }
    // An empty scope, and less than everybody's.
    let store = Memory::new(enrolled(Roles::NONE));
    let mut settings = settings();
    settings.second_factor.ask = AskFactor::Never;
    settings.user_scope = Scope::parse("profile email").expect("a scope");
    let engine = fixtures::gatepass_with(settings);
    for (seed, scope) in (3..).zip(["", "email", "email profile"]) {
        let (status, body) = send(&engine, &store, login(Some(scope), ""), NOON, seed);
        assert_eq!((status, &claims(&text(&body, "access_token"))["scope"]), (200, &json!(scope)));
    }
}

#[test]
fn no_ticket_names_administration_and_no_altered_record_grants_it() {
    let engine = fixtures::engine("http://gate.example");
    let store = Memory::new(tables());
    let asked = asks_for_token("backend", BACKEND_SECRET, "ticket:issue ticket:impersonate gatepass:admin");
    let bearer = format!("Bearer {}", text(&send(&engine, &store, asked, NOON, 1).1, "access_token"));
    let issue = json!({"user_id": "usr_pam", "scope": "gatepass:admin"});
    let (status, body) = send(&engine, &store, request("/auth/generate-ticket", &bearer, &issue), NOON, 2);
    assert_eq!((status, body["code"].as_u64()), (400, Some(40014)), "{body}");
    // A ticket that was altered in the store opens a session that does not administer.
    let ticket = fixtures::issue(&engine, &store, "pam", inputs(NOON, 3));
    store.with(|tables| {
        for ticket in tables.tickets.values_mut() {
            ticket.scope = Scope::parse("profile gatepass:admin").expect("a scope");
        }
        totp::enrol(tables, &user_id("pam"));
    });
    let (_, asked) = send(&engine, &store, fixtures::presents(&ticket), NOON, 4);
    let (_, signed_in) = send(&engine, &store, answers(&text(&asked, "challenge_token")), NOON, 5);
    let seen = scope_of(&engine, &store, &text(&signed_in, "access_token"), NOON);
    assert_eq!(seen.as_deref(), Some("profile"));
}
