//! Keys from insertion to retirement, and the master key that seals them.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use gatepass::secrets::SecretsError;
use gatepass::secrets::master_key::{MASTER_KEY, MasterKey};
use gatepass::store::{DATABASE, KeyChange, KeyState, SigningKeys, StoreError, StoreOptions};
use gatepass_core::store::Store as _;
use gatepass_core::store::audit::{Event, Kind};
use gatepass_core::store::query::Query;

use crate::engines::{Engine, on_every_engine};
use crate::fixture::*;

fn insert(kid: &str, state: KeyState) -> KeyChange {
    let storage = format!("private bytes of {kid}").into_bytes().into();
    KeyChange::Insert { kid: kid.into(), alg: "RS256".into(), storage, created_at: NOW, state }
}

fn states(store: &(impl SigningKeys + ?Sized)) -> Vec<(String, KeyState)> {
    store.keys().unwrap().keys.into_iter().map(|key| (key.kid, key.state)).collect()
}

on_every_engine!(one_key_signs_at_a_time_and_every_change_raises_the_generation);

fn one_key_signs_at_a_time_and_every_change_raises_the_generation<E: Engine>() {
    use KeyState::{Published, Signing, VerifyingOnly};
    let fixture = E::with_records();
    let store = fixture.open();
    let event = |kind| [Event::new(kind, NOW)];
    let began = store.read(&Query::Generation).generation;
    store.change_keys(insert("a", Signing), &event(Kind::KeyAdded)).unwrap();
    store.change_keys(insert("b", Published), &event(Kind::KeyAdded)).unwrap();
    assert_eq!(states(&*store), [("a".into(), Signing), ("b".into(), Published)]);
    store.change_keys(KeyChange::Activate { kid: "b".into() }, &event(Kind::KeyActivated)).unwrap();
    assert_eq!(states(&*store), [("a".into(), VerifyingOnly), ("b".into(), Signing)]);
    store.change_keys(insert("c", Signing), &event(Kind::KeyAdded)).unwrap();
    assert_eq!(states(&*store)[1..], [("b".into(), VerifyingOnly), ("c".into(), Signing)]);
    let refused = |change, error| {
        assert_eq!(store.change_keys(change, &event(Kind::KeyRetired)), Err(error));
    };
    refused(KeyChange::Retire { kid: "c".into() }, StoreError::KeySigns("c".into()));
    refused(KeyChange::Retire { kid: "x".into() }, StoreError::NoSuchKey("x".into()));
    refused(KeyChange::Activate { kid: "x".into() }, StoreError::NoSuchKey("x".into()));
    refused(insert("a", Signing), StoreError::KeyExists("a".into()));
    store.change_keys(KeyChange::Retire { kid: "a".into() }, &event(Kind::KeyRetired)).unwrap();
    let kept = store.keys().unwrap();
    assert_eq!(kept.keys.iter().map(|k| k.kid.as_str()).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(kept.generation, began + 5);
    assert_eq!(store.read(&Query::Generation).generation, began + 5);
    assert_eq!(kept.keys[0].storage.as_slice(), b"private bytes of b");
    assert_eq!(audit(&*store).len(), 5);
    assert!(!format!("{:?} {:?}", kept, insert("z", Published)).contains("112, 114, 105"));
}

#[test]
fn a_private_key_is_in_no_file_and_not_in_another_keys_place() {
    let fixture = Fixture::new();
    let store = fixture.store();
    store.change_keys(insert("a", KeyState::Signing), &[]).unwrap();
    store.change_keys(insert("b", KeyState::Published), &[]).unwrap();
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
