//! Identifiers of files from before their forms were compared.

use gatepass::store::prelude::*;
use gatepass::store::{Access, Notice, Severity, Store, StoreError, StoreOptions};
use gatepass_core::records::identifier::NumberingPlan;
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Identity, Named, Query, Records};

use crate::fixture::*;

/// Returns the ids of those whom `text` names.
fn named(store: &Store, text: &str) -> Vec<String> {
    match store.read(&Query::Login(Identity(text.into()))).records {
        Records::Login(Named::Nobody) => vec![],
        Records::Login(Named::One(records)) => vec![records.user.id.to_string()],
        Records::Login(Named::Several(users)) => users.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

fn serve_in(fixture: &Fixture, country: Option<&str>) -> Result<Store, StoreError> {
    let plan = country.map(|country| NumberingPlan::parse(country).unwrap());
    let options = StoreOptions { numbering_plan: Some(plan), ..StoreOptions::default() };
    Store::open(&fixture.installation(), Access::Serve, &options)
}

#[test]
fn what_an_earlier_version_let_in_is_listed_and_decided_by_people() {
    let fixture = Fixture::new();
    fixture.store().close().unwrap();
    fixture.downgrade(6, "");
    fixture
        .sql()
        .execute_batch(
            "UPDATE users SET email = 'ALICE@example.com' WHERE username = 'boss'; \
             UPDATE users SET username = 'bo' || char(0x200b) || 'ss' WHERE username = 'boss'; \
             UPDATE users SET phone = '0044-20-7946-0001' WHERE username = 'fay'; \
             UPDATE users SET username = 'É@x', phone = '12345' WHERE username = 'lou'",
        )
        .unwrap();
    let store = fixture.serve().unwrap();
    assert!(store.notices().contains(&Notice::AmbiguousIdentifiers(2)), "{:?}", store.notices());
    for (text, users) in [
        ("alice@EXAMPLE.com", &["usr_alice", "usr_boss"][..]),
        ("+442079460001", &["usr_fay", "usr_pam"]),
        ("alice", &["usr_alice"]),
        ("bo\u{200b}ss", &["usr_boss"]),
        ("boss", &[]),
        ("fay", &["usr_fay"]),
        ("e\u{301}@X", &["usr_lou"]),
        ("1-2-3-4-5", &["usr_lou"]),
    ] {
        assert_eq!(named(&store, text), users, "{text:?}");
    }
    let report = store.check().unwrap();
    let found: Vec<_> = report.findings.iter().filter(|f| f.code == "identifier-ambiguous").collect();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|finding| finding.severity == Severity::Warning) && report.is_sound());
    let what = &found[1].what;
    assert!(what.contains("usr_alice") && what.contains("usr_boss") && what.contains("e-mail"), "{what}");

    let update = |store: &Store, name: &str, change: &dyn Fn(&mut User)| {
        let mut user = store.users().unwrap().into_iter().find(|user| user.id.as_str() == name).unwrap();
        change(&mut user);
        commit(store, [Change::UpdateUser(user)])
    };
    // Another change of one who has it: it stays as it is. Nobody else gets it.
    assert_eq!(update(&store, "usr_boss", &|user| user.name = Some("Boss".into())), Outcome::Applied);
    assert_eq!(
        update(&store, "usr_lou", &|user| user.email = Some("alice@example.com".into())),
        Outcome::Conflict
    );
    assert_eq!(update(&store, "usr_boss", &|user| user.email = None), Outcome::Applied);
    assert_eq!(named(&store, "alice@example.com"), ["usr_alice"]);
    let renamed = |user: &mut User| user.username = Username::parse("ALICE@example.COM").unwrap();
    assert_eq!(update(&store, "usr_boss", &renamed), Outcome::Conflict);
    assert_eq!(
        commit(&store, [Change::DeleteUser(gatepass_tests::fixtures::user_id("pam"))]),
        Outcome::Applied
    );
    assert_eq!(named(&store, "0044 20 79460001"), ["usr_fay"]);
    store.close().unwrap();
    assert_eq!(fixture.serve().unwrap().notices(), []);
}

#[test]
fn another_country_makes_the_table_anew_where_nobody_else_has_the_file() {
    let fixture = Fixture::new();
    commit(
        &fixture.store(),
        [Change::InsertUser(User {
            phone: Some("13800138000".into()),
            ..User::new(gatepass_tests::fixtures::user_id("zoe"), Username::parse("zoe").unwrap(), NOW)
        })],
    );
    let found = |store: &Store, text: &str| !named(store, text).is_empty();
    let store = serve_in(&fixture, Some("86")).unwrap();
    assert!(found(&store, "+86 13800138000") && found(&store, "013800138000"));
    assert_eq!(store.numbering_plan().unwrap().unwrap().to_string(), "86/0");
    // Commands keep to what the file has.
    assert!(found(&fixture.store(), "+86 13800138000"));
    assert!(matches!(serve_in(&fixture, None), Err(StoreError::InUse(_))));
    store.close().unwrap();
    let store = serve_in(&fixture, None).unwrap();
    assert!(!found(&store, "+86 13800138000") && found(&store, "13800138000"));
}

#[test]
fn a_table_that_is_not_whole_is_made_to_its_end_by_a_server_alone() {
    let fixture = Fixture::new();
    fixture.serve().unwrap().close().unwrap();
    fixture
        .sql()
        .execute_batch(
            "UPDATE meta SET identifiers_made = 3; DELETE FROM identifiers WHERE user > 3; \
             INSERT INTO identifiers VALUES (5, 'email', 'left')",
        )
        .unwrap();
    for access in [Access::Read, Access::Write, Access::WriteHandedOver] {
        let opened = Store::open(&fixture.installation(), access, &StoreOptions::default());
        assert!(matches!(opened, Err(StoreError::IdentifiersNotMade(_))), "{access:?}");
    }
    let report = gatepass::store::check(&fixture.installation());
    assert!(report.findings.iter().any(|finding| finding.code == "schema-older"));
    let store = fixture.serve().unwrap();
    for user in store.users().unwrap() {
        for (_, text) in user.identifiers() {
            assert_eq!(named(&store, text), [user.id.as_str()], "{text}");
        }
    }
    assert!(named(&store, "left").is_empty());
}
