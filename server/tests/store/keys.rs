//! Keys from insertion to retirement, and the master key that seals them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gatepass::secrets::SecretsError;
use gatepass::secrets::master_key::{MASTER_KEY, MasterKey};
use gatepass::store::{DATABASE, SigningKeys, StoreError, StoreOptions};
use gatepass_core::records::signing_key::{KeyRecords, KeyState};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_core::store::query::{Query, Records};

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

fn states(store: &(impl SigningKeys + ?Sized)) -> Vec<(String, KeyState)> {
    store.keys().unwrap().keys.into_iter().map(|key| (key.record.id, key.record.state)).collect()
}

on_every_engine!(one_key_signs_at_a_time_and_every_change_raises_the_generation);

fn one_key_signs_at_a_time_and_every_change_raises_the_generation<E: Engine>() {
    use KeyState::{Published, Signing, VerifyingOnly};
    let fixture = E::with_records();
    let store = fixture.open();
    let generation = || store.read(&Query::Generation).generation;
    let began = generation();
    let applied = |change, kind| {
        let changes = [change, Change::Audit(Event::new(kind, NOW))];
        assert_eq!(commit(&store, changes), Outcome::Applied);
    };
    applied(insert_key("a", Signing, began), Kind::KeyAdded);
    applied(insert_key("b", Published, began + 1), Kind::KeyAdded);
    assert_eq!(states(&*store), [("a".into(), Signing), ("b".into(), Published)]);
    applied(activate_key("b", began + 2), Kind::KeyActivated);
    assert_eq!(states(&*store), [("a".into(), VerifyingOnly), ("b".into(), Signing)]);
    applied(insert_key("c", Signing, began + 3), Kind::KeyAdded);
    assert_eq!(states(&*store)[1..], [("b".into(), VerifyingOnly), ("c".into(), Signing)]);
    let now = generation();
    for refused in [
        Change::RetireKey { id: "c".into(), generation: now },
        Change::RetireKey { id: "x".into(), generation: now },
        activate_key("x", now),
        insert_key("a", Signing, now),
        Change::RetireKey { id: "a".into(), generation: now - 1 },
        activate_key("a", now - 1),
        insert_key("d", Signing, now - 1),
    ] {
        let shown = format!("{refused:?}");
        let audited = Change::Audit(Event::new(Kind::KeyAdded, NOW));
        assert_eq!(commit(&store, [audited, refused]), Outcome::Conflict, "{shown}");
        assert_eq!((generation(), audit(&*store).len()), (now, 4), "{shown}");
    }
    applied(Change::RetireKey { id: "a".into(), generation: now }, Kind::KeyRetired);
    let kept = store.keys().unwrap();
    assert_eq!(kept.keys.iter().map(|key| key.record.id.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!((kept.generation, generation()), (began + 5, began + 5));
    assert_eq!(kept.keys[0].private_jwk.expose(), b"private bytes of b");
    assert_eq!(audit(&*store).len(), 5);
    let keys = kept.keys.iter().map(|key| key.record.clone()).collect();
    let records = KeyRecords { keys, ..KeyRecords::default() };
    assert_eq!(store.read(&Query::Keys).records, Records::Keys(Box::new(records)));
    assert!(!format!("{:?} {:?}", kept, insert_key("z", Published, 1)).contains("112, 114, 105"));
}

#[test]
fn several_changes_of_the_keys_fit_into_one_commit() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let began = store.keys().unwrap().generation;
    let changes = [
        insert_key("a", KeyState::Signing, began),
        insert_key("b", KeyState::Signing, began + 1),
        Change::RetireKey { id: "a".into(), generation: began + 2 },
    ];
    assert_eq!(commit(&store, changes), Outcome::Applied);
    assert_eq!(states(&store), [("b".into(), KeyState::Signing)]);
}

#[test]
fn a_private_key_is_in_no_file_and_not_in_another_keys_fixture() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let began = store.keys().unwrap().generation;
    let keys = [insert_key("a", KeyState::Signing, began), insert_key("b", KeyState::Published, began + 1)];
    assert_eq!(commit(&store, keys), Outcome::Applied);
    for file in fs::read_dir(fixture.dir()).unwrap() {
        let file = file.unwrap();
        let bytes = fs::read(file.path()).unwrap();
        assert!(!bytes.windows(13).any(|w| w == b"private bytes"), "{:?}", file.path());
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
    assert_eq!(store.check().unwrap().keys, 2);
    fixture.sql().execute("UPDATE keys SET sealed = (SELECT sealed FROM keys WHERE kid = 'b')", []).unwrap();
    assert!(matches!(store.keys(), Err(StoreError::Unsealable { purpose, .. }) if purpose == "key:a"));
    assert!(!store.check().unwrap().is_sound());
}

#[test]
fn without_its_master_key_a_database_is_not_opened_and_not_harmed() {
    let (fixture, options) = (Fixture::new(), StoreOptions::default());
    let key = fixture.dir().join(MASTER_KEY);
    let kept = fs::read(&key).unwrap();
    let database = fs::read(fixture.dir().join(DATABASE)).unwrap();
    fs::remove_file(&key).unwrap();
    let missing = fixture.open(&options).unwrap_err();
    assert!(matches!(missing, StoreError::MasterKeyMissing { database: Some(_), .. }));
    assert!(missing.to_string().contains(key.to_str().unwrap()) && !missing.to_string().contains('\n'));
    assert!(!key.exists());

    let other = Fixture::new();
    fs::copy(other.dir().join(MASTER_KEY), &key).unwrap();
    let wrong = fixture.open(&options).unwrap_err();
    assert!(matches!(wrong, StoreError::MasterKeyWrong { .. }));
    assert_eq!(fs::read(fixture.dir().join(DATABASE)).unwrap(), database);

    fs::write(&key, &kept).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = fixture.open(&options).unwrap_err();
    assert!(exposed.to_string().contains("chmod 600"), "{exposed}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    for bad in [&b"short"[..], &[0xff; 70], b""] {
        fs::write(&key, bad).unwrap();
        let malformed = fixture.open(&options).unwrap_err();
        assert!(matches!(malformed, StoreError::Secrets(SecretsError::Malformed(_))), "{malformed}");
    }
    fs::write(&key, &kept).unwrap();
    assert_eq!(fixture.store().users().unwrap().len(), EVERYBODY);
}

#[test]
fn a_named_key_file_is_never_made() {
    let fixture = Fixture::empty();
    let path = fixture.dir().join("elsewhere");
    assert!(matches!(MasterKey::from_file(&path), Err(SecretsError::Missing(_))));
    assert!(!path.exists());
}
