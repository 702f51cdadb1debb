//! Each decoder reads back the records that its encoder writes.

mod generators;
mod sign_ins;

use std::fmt::Debug;

use gatepass_core::base::time::Time;
use gatepass_core::records::factor::TotpDevice;
use gatepass_core::records::user::{User, Username};
use gatepass_core::store::audit::Event;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use generators::{clients, devices, events, keys, secrets, users};
use sign_ins::{challenges, histories, lockouts, passwords, refresh_tokens, sessions, tickets};

use super::*;
use crate::secrets::files::SystemFiles;
use crate::secrets::master_key::MasterKey;
use crate::store::audit_chain::{COLUMNS, Field, fields};

/// A row in memory.
struct MemoryRow<'a>(Vec<Value<'a>>);

impl Row for MemoryRow<'_> {
    fn value(&self, column: usize) -> Option<Value<'_>> {
        self.0.get(column).cloned()
    }
}

/// Decodes `values`, which stand between two columns of the caller's, and checks that those of the list `columns` were all read.
fn decoded<'a, T>(
    columns: &str,
    values: impl IntoIterator<Item = Value<'a>>,
    decode: impl Fn(&mut Columns<'_>) -> Result<T, MalformedRow>,
) -> Result<T, MalformedRow> {
    let around = || [Value::Integer(7)];
    let row = MemoryRow(around().into_iter().chain(values).chain(around()).collect());
    assert_eq!(row.0.len(), columns.split(", ").count() + 2, "{columns}");
    let mut c = Columns::of(&row, "table");
    assert_eq!(c.number("before"), Ok(7));
    let record = decode(&mut c)?;
    assert_eq!(c.number("after"), Ok(7));
    assert_eq!(c.number("none"), Err(MalformedRow { table: "table", column: "none" }));
    Ok(record)
}

/// Checks that every record of `records` is read back.
fn check<T: Debug + PartialEq>(
    records: impl Strategy<Value = T>,
    columns: &str,
    encode: impl Fn(&T) -> Vec<Value<'_>>,
    decode: impl Fn(&mut Columns<'_>) -> Result<T, MalformedRow>,
) {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new(config);
    let result = runner.run(&records, |record| {
        let found = decoded(columns, encode(&record), &decode);
        prop_assert_eq!(found.as_ref(), Ok(&record));
        Ok(())
    });
    result.unwrap();
}

#[test]
fn records_are_read_back() {
    check(users(), columns!(users), |user| user_values(user).into(), user);
    check(clients(), columns!(clients), |client| client_values(client).into(), client);
    check(secrets(), columns!(client_secrets), |secret| secret_values(secret).into(), secret);
    check(keys(), columns!(keys), |key| key_record_values(key).into(), key_record);
    check(tickets(), columns!(tickets), |ticket| ticket_values(ticket).into(), ticket);
    check(sessions(), columns!(sessions), |session| session_values(session).into(), session);
    check(
        refresh_tokens(),
        columns!(refresh_tokens),
        |token| refresh_token_values(token).into(),
        refresh_token,
    );
    check(challenges(), columns!(challenges), |challenge| challenge_values(challenge).into(), challenge);
    check(passwords(), columns!(password_values), |password| password_values(password).into(), password);
    check(lockouts(), columns!(lockout_values), |lockout| lockout_values(lockout).into(), |c| c.lockout());
    check(histories(), columns!(habit_values), |history| history_values(history).into(), history);
}

fn sealed_device_values<'a>(device: &'a TotpDevice, master: &MasterKey) -> Vec<Value<'a>> {
    let sealed = master.seal(&device_purpose(device.id.as_str()), device.secret.expose()).unwrap();
    device_values(device).into_iter().chain([Value::from(sealed)]).collect()
}

#[test]
fn devices_are_read_back_with_the_master_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = |name: &str| MasterKey::create(&SystemFiles, &dir.path().join(name)).unwrap();
    let (master, other) = (key("master.key"), key("other.key"));
    let columns = columns!(totp_devices);
    check(devices(), columns, |device| sealed_device_values(device, &master), |c| device(c, &master));
    let mut runner = TestRunner::deterministic();
    let made = devices().new_tree(&mut runner).unwrap().current();
    let found = decoded(columns, sealed_device_values(&made, &master), |c| device(c, &other));
    assert_eq!(found, Err(MalformedRow { table: "table", column: "sealed" }));
}

/// Returns the values of an event, as the chain has them written.
fn event_values(event: &Event) -> Vec<Value<'_>> {
    let value = |field| match field {
        Field::Null => Value::Null,
        Field::Integer(number) => Value::Integer(number),
        Field::Text(text) => String::from_utf8(text.into_owned()).unwrap().into(),
        Field::Real(_) | Field::Blob(_) => Value::Unstorable,
    };
    fields(1, event, None).into_iter().skip(1).map(value).collect()
}

#[test]
fn events_are_read_back() {
    let columns = COLUMNS.get(1..).unwrap().join(", ");
    check(events(), &columns, event_values, event);
}

fn alice() -> User {
    let id = user_id("usr_alice").unwrap();
    User::new(id, Username::parse("alice").unwrap(), Time::from_unix(1))
}

#[test]
fn a_number_that_no_column_can_hold_is_never_written_as_another() {
    let largest = User { epoch: u64::MAX >> 1, ..alice() };
    assert_eq!(decoded(columns!(users), user_values(&largest), user), Ok(largest));
    let larger = User { epoch: (u64::MAX >> 1) + 1, ..alice() };
    let unstorable: Vec<bool> = user_values(&larger).map(|value| value == Value::Unstorable).into();
    let columns = columns!(users).split(", ").map(|column| column == "epoch");
    assert_eq!(unstorable, columns.collect::<Vec<_>>());
    let found = decoded(columns!(users), user_values(&larger), user);
    assert_eq!(found, Err(MalformedRow { table: "table", column: "epoch" }));
}

#[test]
fn a_column_of_the_wrong_type_is_named() {
    let user_of = |column: &str, value: Value<'static>| {
        let alice = alice();
        let names = columns!(users).split(", ").zip(user_values(&alice));
        let values = names.map(|(name, own)| if name == column { value.clone() } else { own });
        decoded(columns!(users), values, user)
    };
    for (column, value) in [
        ("id", Value::Null),
        ("id", Value::from("no id, with spaces")),
        ("username", Value::from(vec![b'a'])),
        ("email", Value::Integer(1)),
        ("must_change_password", Value::Integer(2)),
        ("must_change_password", Value::Null),
        ("created_at", Value::Integer(-1)),
        ("epoch", Value::from("1")),
        ("epoch", Value::Unstorable),
        ("roles", Value::Integer(8)),
        ("roles", Value::Integer(1 << 32)),
    ] {
        let found = user_of(column, value.clone());
        assert_eq!(found.map_err(|error| error.column).err(), Some(column), "{value:?}");
    }
    let row = MemoryRow(vec![Value::from(vec![1; 31]), Value::Null, Value::from("a")]);
    let mut c = Columns::of(&row, "table");
    assert!(c.bytes::<32>("short").is_err());
    assert_eq!(c.maybe_bytes::<32>("null"), Ok(None));
    assert!(c.blob("text").is_err());
}

#[test]
fn a_value_is_not_shown() {
    let shown = format!("{:?}", [Value::from("secret"), Value::from(vec![7]), Value::from(7u8)]);
    assert_eq!(shown, "[Text(…), Bytes(…), Integer(…)]");
}
