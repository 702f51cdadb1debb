//! Operations of an administrator: what they rest on, what they do after a conflict, and when their results can be had.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a failed expectation is a failed test"
)]

use gatepass_core::admin::factors::{SetUpTotp, VerifyTotp};
use gatepass_core::admin::sessions::{EndSession, EndUserSessions, ListSessions, ListedSession};
use gatepass_core::admin::users::{
    AddUser, DeleteUser, DisableUser, EnableUser, ListUsers, RequirePasswordChange, SetPassword, SetUser,
    UnlockUser,
};
use gatepass_core::admin::{
    ATTEMPTS, AdminError, Administrator, Commit, Field, Invalid, Item, Obstacle, Operation, Step, UserFields,
    UserSearch, begin, run,
};
use gatepass_core::base::secret::SecretText;
use gatepass_core::base::time::Time;
use gatepass_core::policy::password::PasswordError;
use gatepass_core::policy::session_state::SessionState;
use gatepass_core::records::factor::Lockout;
use gatepass_core::records::id::{SessionId, UserId, UserRef};
use gatepass_core::records::identifier::IdentifierKind;
use gatepass_core::records::user::{User, Username};
use gatepass_core::settings::Settings;
use gatepass_core::store::Store;
use gatepass_core::store::audit::Kind;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::page::PageQuery;
use gatepass_core::store::query::{Found, IdentifierOwner, Records};
use gatepass_tests::administrator::run_with;
use gatepass_tests::api_document::drive;
use gatepass_tests::fixtures::{self, NOON, inputs, presents};
use gatepass_tests::memory::Memory;

const GOOD: &str = "a password that will do";

fn settings() -> Settings {
    fixtures::engine("http://gate.example").settings().clone()
}

fn store() -> Memory {
    Memory::new(fixtures::tables())
}

fn id(name: &str) -> UserId {
    UserId::parse(&format!("usr_{name}")).expect("an id")
}

fn named(name: &str) -> UserRef {
    UserRef::Any(name.into())
}

fn username(name: &str) -> Username {
    Username::parse(name).expect("a user name")
}

fn user(store: &Memory, name: &str) -> User {
    store.with(|tables| tables.users[&id(name)].clone())
}

fn password(text: &str) -> SecretText {
    SecretText::new(text.into())
}

fn does<O: Operation>(store: &Memory, operation: O) -> Result<O::Output, AdminError> {
    run(operation, Administrator::Machine, inputs(NOON, 7), &settings(), store)
}

/// Reads and decides, up to a commit.
fn decided<O: Operation>(store: &Memory, step: Step<O>) -> Commit<O> {
    match advanced(store, step) {
        Step::Commit(commit) => commit,
        other => panic!("{other:?}"),
    }
}

/// Goes on until there is something to commit, or the end.
fn advanced<O: Operation>(store: &Memory, mut step: Step<O>) -> Step<O> {
    loop {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(&settings(), found)
            }
            Step::HashPassword(hash) => hash.run(&settings()),
            over @ (Step::Commit(_) | Step::Done(_)) => return over,
        };
    }
}

/// Begins `operation`, alters the tables before its commit, and goes on to its end: how often it committed, and its result.
fn altered<O: Operation>(
    store: &Memory,
    operation: O,
    alter: impl FnOnce(&mut gatepass_core::store::memory::Tables),
) -> (usize, Result<O::Output, AdminError>) {
    let (mut commits, mut alter) = (0, Some(alter));
    let result = run_with(operation, inputs(NOON, 7), &settings(), store, || {
        commits += 1;
        alter.take().into_iter().for_each(|alter| store.with(alter));
    });
    (commits, result)
}

#[test]
fn an_operation_gives_up_where_others_change_the_record_at_each_attempt() {
    let store = store();
    let mut step = begin(
        SetPassword { user: named("alice"), password: password(GOOD), must_change: false },
        Administrator::Machine,
        inputs(NOON, 7),
    );
    let (mut commits, mut hashes) = (0, 0);
    let result = loop {
        step = match step {
            Step::Read(read) => {
                let found = store.read(read.query());
                read.resume(&settings(), found)
            }
            Step::HashPassword(hash) => {
                hashes += 1;
                hash.run(&settings())
            }
            Step::Commit(commit) => {
                commits += 1;
                commit.settle(Outcome::Conflict)
            }
            Step::Done(result) => break result,
        };
    };
    assert_eq!((commits, hashes), (ATTEMPTS, 1), "one password is hashed once");
    assert!(matches!(result, Err(AdminError::Conflict)), "{result:?}");
}

#[test]
fn a_result_is_out_of_reach_until_its_commit_is_applied() {
    let store = store();
    for (outcome, error) in
        [(Outcome::NotApplied, AdminError::NotApplied), (Outcome::Unknown, AdminError::Unknown)]
    {
        let set_up = SetUpTotp::new(named("alice"), Some("phone")).expect("a name");
        let commit = decided(&store, begin(set_up, Administrator::Machine, inputs(NOON, 7)));
        let told = format!("{commit:?}");
        assert!(told.contains("SecretBytes(…)") && told.contains("BackupDigest(…)"), "{told}");
        let Step::Done(result) = commit.settle(outcome) else { panic!("it is over") };
        assert_eq!(result.err(), Some(error));
    }
    let made = does(&store, SetUpTotp::new(named("alice"), None).expect("no name")).expect("a device");
    let told = format!("{made:?}");
    let code = made.backup_codes.as_ref().expect("a first device").expose().next().expect("codes").to_owned();
    assert!(!told.contains(&code) && told.contains("BackupCodes(…)"), "{told}");
    let Step::Read(read) =
        begin(DisableUser { user: named("alice") }, Administrator::Machine, inputs(NOON, 7))
    else {
        panic!("it reads first")
    };
    let unreadable = Found { generation: 0, state_epoch: 0, records: Records::Unreadable };
    let Step::Done(result) = read.resume(&settings(), unreadable) else { panic!("it is over") };
    assert_eq!(result.err(), Some(AdminError::Unreadable));
}

#[test]
fn what_is_changed_meanwhile_stays_changed() {
    let store = store();
    let (commits, disabled) = altered(&store, DisableUser { user: named("alice") }, |tables| {
        let alice = tables.users.get_mut(&id("alice")).expect("alice");
        (alice.username, alice.name, alice.revision) = (username("alicia"), Some("Alicia".into()), 7);
    });
    // The one who was found by name, whatever she is called by now.
    assert_eq!((commits, disabled.expect("disabled").name.as_deref()), (2, Some("Alicia")));
    let alice = user(&store, "alice");
    assert_eq!((alice.username.as_str(), alice.is_active(), alice.revision), ("alicia", false, 8));

    let gone = |tables: &mut gatepass_core::store::memory::Tables| drop(tables.users.remove(&id("boss")));
    let (_, deleted) = altered(&store, DeleteUser { user: named("boss") }, gone);
    assert_eq!(deleted.err(), Some(AdminError::NotFound(Item::User("boss".into()))));
}

#[test]
fn a_user_name_is_one_users() {
    let store = store();
    let taken = |name: &str| {
        let owner =
            IdentifierOwner { user: id("boss"), username: username(name), kind: IdentifierKind::Username };
        let (identifier, kind) = (name.into(), IdentifierKind::Username);
        Some(AdminError::IdentifierTaken { identifier, kind, owner })
    };
    let add = |name| AddUser { username: username(name), fields: UserFields::default(), password: None };
    let rename = |name| SetUser {
        user: named("alice"),
        username: Some(username(name)),
        fields: UserFields::default(),
    };
    assert_eq!(does(&store, add("boss")).err(), taken("boss"));
    assert_eq!(does(&store, rename("boss")).err(), taken("boss"));
    let is_called_zoe = |tables: &mut gatepass_core::store::memory::Tables| {
        tables.users.get_mut(&id("boss")).expect("boss").username = username("zoe");
    };
    let (commits, renamed) = altered(&store, rename("zoe"), is_called_zoe);
    assert_eq!((commits, renamed.err()), (1, taken("zoe")));
    let (commits, added) = altered(&store, add("zed"), |tables| {
        tables.users.get_mut(&id("boss")).expect("boss").username = username("zed");
    });
    assert_eq!((commits, added.err()), (1, taken("zed")));
    assert_eq!(does(&store, rename("alice")).expect("her own").revision, user(&store, "alice").revision);
    let added = does(&store, add("new")).expect("a user");
    assert_eq!((added.created_at, added.id.as_str().len()), (NOON, 4 + 22));
}

#[test]
fn where_nothing_changes_nothing_is_written() {
    let store = store();
    does(&store, DisableUser { user: named("alice") }).expect("disabled");
    does(&store, RequirePasswordChange { user: named("pam") }).expect("required");
    let before = store.with(|tables| tables.clone());
    let over = |step: Step<DisableUser>| matches!(advanced(&store, step), Step::Done(Ok(_)));
    assert!(over(begin(DisableUser { user: named("alice") }, Administrator::Machine, inputs(NOON, 8))));
    does(&store, EnableUser { user: named("boss") }).expect("enabled before");
    does(&store, RequirePasswordChange { user: named("pam") }).expect("required before");
    does(&store, SetUser { user: named("pam"), username: None, fields: UserFields::default() })
        .expect("as it is");
    assert!(store.with(|tables| *tables == before));
    let nobody = does(&store, RequirePasswordChange { user: named("boss") });
    assert_eq!(nobody.err(), Some(AdminError::Refused(Obstacle::NoPassword)));
}

#[test]
fn a_password_that_will_not_do_is_refused_before_it_is_hashed() {
    let store = store();
    let refused = |result: Result<User, AdminError>, unfit| {
        let reason = Invalid::Unfit { unfit, least: 8 };
        assert_eq!(result.err(), Some(AdminError::Invalid { field: Field::Password, reason }));
    };
    let set = |text| SetPassword { user: named("alice"), password: password(text), must_change: true };
    refused(does(&store, set("short")), PasswordError::TooShort);
    refused(does(&store, set("password1")), PasswordError::Common);
    let fields = || UserFields::default().email("somebody@example.com").expect("an address");
    let add = |text| AddUser { username: username("new"), fields: fields(), password: Some(password(text)) };
    refused(does(&store, add("somebody")), PasswordError::Common);
    let Step::Read(read) = begin(set(GOOD), Administrator::Machine, inputs(NOON, 7)) else {
        panic!("it reads first")
    };
    let found = store.read(read.query());
    let Step::HashPassword(hash) = read.resume(&settings(), found) else { panic!("it hashes then") };
    assert!(!format!("{hash:?}").contains(GOOD));
    assert!(matches!(hash.refuse(), Step::Done(Err(AdminError::Overloaded))));

    let epoch = user(&store, "alice").epoch;
    let alice = does(&store, set(GOOD)).expect("a password");
    assert_eq!(
        (alice.must_change_password, alice.password_changed_at, alice.epoch),
        (true, Some(NOON), epoch + 1)
    );
    let added = does(&store, add(GOOD)).expect("a user");
    assert!(store.with(|tables| tables.passwords.contains_key(&added.id)));
    store.with(|tables| {
        let lockout = Lockout { wrong: 3, locks: 1, locked_until: Some(NOON.plus(60)) };
        tables.passwords.get_mut(&added.id).expect("a password").lockout = lockout;
        tables.lockout.insert(added.id.clone(), lockout);
    });
    does(&store, UnlockUser { user: named("new") }).expect("unlocked");
    store.with(|tables| {
        let locks = [tables.passwords[&added.id].lockout, tables.lockout[&added.id]];
        assert_eq!(locks, [Lockout::default(); 2]);
        assert_eq!(tables.audit.last().map(|event| event.kind), Some(Kind::Unlocked));
    });
    let none = does(&store, VerifyTotp { user: named("alice"), code: "123456".into() });
    assert_eq!(none.err(), Some(AdminError::Refused(Obstacle::NoDeviceWaits)));
}

#[test]
fn a_long_list_comes_in_pages() {
    let store = store();
    let everybody = store.with(|tables| tables.users.len());
    let (mut page, mut names) = (PageQuery::new(None, 2), vec![]);
    loop {
        let listed = does(&store, ListUsers { page, search: None }).expect("a page");
        assert!(listed.items.len() <= 2);
        names.extend(listed.items.into_iter().map(|user| user.id));
        match listed.next {
            None => break,
            after => page = PageQuery::new(after, 2),
        }
    }
    names.sort();
    names.dedup();
    assert_eq!(names.len(), everybody);
    let found = |text: &str| {
        let search = Some(UserSearch::new(text));
        let page = does(&store, ListUsers { page: PageQuery::first(), search }).expect("a page");
        page.items.into_iter().map(|user| user.username.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!((found("ALIC"), found("no such text")), (vec!["alice".to_owned()], vec![]));
}

/// Signs alice in, and returns the name of her session.
fn signed_in(store: &Memory, seed: u64) -> SessionId {
    let engine = fixtures::engine("http://gate.example");
    let ticket = fixtures::issue(&engine, store, "alice", inputs(NOON, seed));
    assert_eq!(drive(&engine, store, presents(&ticket), inputs(NOON, seed + 1)).status(), 200);
    let latest = |tables: &mut gatepass_core::store::memory::Tables| {
        tables.audit.iter().rev().find_map(|event| event.session.clone())
    };
    store.with(latest).expect("a session")
}

#[test]
fn sessions_have_the_state_that_their_tokens_have() {
    let store = store();
    let states = |now: Time| -> Vec<SessionState> {
        let list = ListSessions { user: Some(id("alice")), page: PageQuery::first() };
        let listed = run(list, Administrator::Machine, inputs(now, 9), &settings(), &store).expect("a list");
        listed.items.into_iter().map(|ListedSession { state, .. }| state).collect()
    };
    let ended = signed_in(&store, 100);
    assert_eq!(states(NOON), [SessionState::Live]);
    assert_eq!(states(NOON.plus(40 * 86_400)), [SessionState::Expired]);
    assert_eq!(states(Time::from_unix(NOON.unix() - 600)), [SessionState::DatedAhead]);
    let session = does(&store, EndSession { session: ended.clone(), user: None }).expect("ended");
    assert_eq!((session.ended_at, states(NOON)), (Some(NOON), vec![SessionState::Ended]));
    let again = does(&store, EndSession { session: ended.clone(), user: None });
    assert_eq!(again.err(), Some(AdminError::Refused(Obstacle::AlreadyEnded)));
    let nothing = SessionId::parse("nothing").expect("an id");
    let none = does(&store, EndSession { session: nothing.clone(), user: None });
    assert_eq!(none.err(), Some(AdminError::NotFound(Item::Session(nothing))));

    store.with(|tables| tables.sessions.remove(&ended));
    signed_in(&store, 200);
    store.with(|tables| tables.state_epoch = 7);
    assert_eq!(states(NOON), [SessionState::Superseded]);
    store.with(|tables| tables.state_epoch = 0);
    let epoch = user(&store, "alice").epoch;
    let (commits, signed_out) = altered(&store, EndUserSessions { user: named("alice") }, |tables| {
        assert_eq!(tables.commit(&[Change::RaiseEpoch { id: id("alice"), epoch }]), Outcome::Applied);
    });
    assert_eq!((commits, signed_out.expect("ended").epoch), (2, epoch + 2));
    assert_eq!(states(NOON), [SessionState::Ended]);
}
