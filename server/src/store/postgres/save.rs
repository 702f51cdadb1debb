//! Statements that write what a batch has changed, one round trip for all of them.

use std::collections::BTreeMap;

use gatepass_core::records::client::Client;
use gatepass_core::records::factor::TotpDevice;
use gatepass_core::records::id::{ClientId, DeviceId, UserId};
use gatepass_core::records::signing_key::StoredKey;
use gatepass_core::records::user::User;
use gatepass_core::store::change::Change;
use gatepass_core::store::memory::Tables;

use super::commit_load::texts;
use super::table::{self, Rows, Saves, Table};
use crate::secrets::SecretsError;
use crate::secrets::master_key::MasterKey;
use crate::store::rows::{self, Value, integer, stamp};

/// The rows of one table that changed.
struct Changed<'t, K, V> {
    inserted: Vec<(&'t K, &'t V)>,
    updated: Vec<(&'t K, &'t V)>,
    deleted: Vec<&'t K>,
}

impl<'t, K: Ord, V: PartialEq> Changed<'t, K, V> {
    fn between(before: &'t BTreeMap<K, V>, after: &'t BTreeMap<K, V>) -> Self {
        let mut changed = Self { inserted: vec![], updated: vec![], deleted: vec![] };
        for (key, value) in after {
            match before.get(key) {
                None => changed.inserted.push((key, value)),
                Some(other) if other != value => changed.updated.push((key, value)),
                Some(_) => {}
            }
        }
        changed.deleted.extend(before.keys().filter(|key| !after.contains_key(key)));
        changed
    }

    /// Writes the rows, whose values `values` makes.
    fn save(
        &self,
        table: &'static Table,
        saves: &mut Saves,
        values: impl Fn(&'t K, &'t V) -> Vec<Value<'t>>,
        key: impl Fn(&'t K) -> Vec<Value<'t>>,
    ) {
        let rows =
            |all: &[(&'t K, &'t V)]| all.iter().map(|(key, value)| values(key, value)).collect::<Rows<'_>>();
        saves.delete(table, self.deleted.iter().map(|deleted| key(deleted)).collect());
        saves.update(table, rows(&self.updated));
        saves.insert(table, rows(&self.inserted));
    }
}

/// Brings the database from `before` to `after`, which the `changes` have made of it.
pub(super) fn save<'c>(
    before: &Tables,
    after: &Tables,
    changes: impl Iterator<Item = &'c Change>,
    master: &MasterKey,
    saves: &mut Saves,
) -> Result<(), SecretsError> {
    save_meta(before, after, saves);
    save_users(before, after, saves);
    save_clients(before, after, saves);
    save_keys(before, after, master, saves)?;
    save_devices(before, after, master, saves)?;
    Changed::between(&before.backup_codes, &after.backup_codes).save(
        &table::BACKUP_CODES,
        saves,
        |(user, digest), device| vec![user.as_str().into(), (&digest.0).into(), device.as_str().into()],
        |(user, digest)| vec![user.as_str().into(), (&digest.0).into()],
    );
    let user_key = |user: &'_ UserId| vec![Value::from(user.as_str().to_owned())];
    Changed::between(&before.lockout, &after.lockout).save(
        &table::FACTOR_GUESSES,
        saves,
        |user, lockout| with_user(user, rows::lockout_values(lockout)),
        user_key,
    );
    Changed::between(&before.passwords, &after.passwords).save(
        &table::PASSWORDS,
        saves,
        |user, password| with_user(user, rows::password_values(password)),
        user_key,
    );
    Changed::between(&before.histories, &after.histories).save(
        &table::HABITS,
        saves,
        |user, history| with_user(user, rows::history_values(history)),
        user_key,
    );
    Changed::between(&before.tickets, &after.tickets).save(
        &table::TICKETS,
        saves,
        |_, ticket| rows::ticket_values(ticket).into(),
        |digest| vec![(&digest.0).into()],
    );
    Changed::between(&before.sessions, &after.sessions).save(
        &table::SESSIONS,
        saves,
        |_, session| rows::session_values(session).into(),
        |id| vec![id.as_str().into()],
    );
    Changed::between(&before.refresh_tokens, &after.refresh_tokens).save(
        &table::REFRESH_TOKENS,
        saves,
        |_, token| rows::refresh_token_values(token).into(),
        |digest| vec![(&digest.0).into()],
    );
    Changed::between(&before.challenges, &after.challenges).save(
        &table::CHALLENGES,
        saves,
        |_, challenge| rows::challenge_values(challenge).into(),
        |digest| vec![(&digest.0).into()],
    );
    save_expiring(changes, saves);
    Ok(())
}

fn with_user<'v>(user: &'v UserId, values: impl IntoIterator<Item = Value<'v>>) -> Vec<Value<'v>> {
    [Value::from(user.as_str())].into_iter().chain(values).collect()
}

fn save_meta(before: &Tables, after: &Tables, saves: &mut Saves) {
    if before.generation != after.generation {
        let generation = integer(after.generation);
        saves.run("UPDATE meta SET generation = $1", vec![Box::new(generation)]);
    }
}

fn save_users(before: &Tables, after: &Tables, saves: &mut Saves) {
    let changed = Changed::between(&before.users, &after.users);
    let plan = after.numbering_plan.as_ref();
    let forms = |user: &User| user.canonical_identifiers(plan).collect::<Vec<_>>();
    let others: Vec<&User> = changed.updated.iter().map(|(_, user)| *user).collect();
    let renamed =
        others.into_iter().filter(|user| before.users.get(&user.id).is_none_or(|b| forms(b) != forms(user)));
    let renamed: Vec<&User> = renamed.collect();
    changed.save(
        &table::USERS,
        saves,
        |_, user| rows::user_values(user).into(),
        |id| vec![id.as_str().into()],
    );
    if !renamed.is_empty() {
        let ids = texts(renamed.iter().map(|user| user.id.as_str()));
        saves.run("DELETE FROM identifiers WHERE user_id = ANY($1)", vec![ids]);
    }
    let new = changed.inserted.iter().map(|(_, user)| *user).chain(renamed);
    let rows = new.flat_map(|user| {
        user.canonical_identifiers(plan)
            .map(|(kind, form)| {
                let (id, form) = (Value::from(user.id.as_str()), Value::from(form.as_str().to_owned()));
                vec![id, kind.as_str().into(), form]
            })
            .collect::<Vec<_>>()
    });
    saves.insert(&table::IDENTIFIERS, rows.collect());
    let gone = after.deleted.difference(&before.deleted).map(|user| vec![Value::from(user.as_str())]);
    saves.insert(&table::DELETED_USERS, gone.collect());
}

fn save_clients(before: &Tables, after: &Tables, saves: &mut Saves) {
    let changed = Changed::between(&before.clients, &after.clients);
    changed.save(
        &table::CLIENTS,
        saves,
        |_, client| rows::client_values(client).into(),
        |id| vec![id.as_str().into()],
    );
    let kept = |id: &ClientId, client: &Client| {
        before.clients.get(id).is_some_and(|before| before.secrets == client.secrets)
    };
    let other: Vec<(&ClientId, &Client)> =
        changed.updated.iter().copied().filter(|(id, client)| !kept(id, client)).collect();
    if !other.is_empty() {
        let ids = texts(other.iter().map(|(id, _)| id.as_str()));
        saves.run("DELETE FROM client_secrets WHERE client_id = ANY($1)", vec![ids]);
    }
    let rows = changed.inserted.iter().copied().chain(other).flat_map(|(id, client)| {
        (0..).zip(&client.secrets).map(move |(position, secret)| {
            let first = [Value::from(id.as_str()), Value::Integer(position)];
            first.into_iter().chain(rows::secret_values(secret)).collect::<Vec<_>>()
        })
    });
    saves.insert(&table::CLIENT_SECRETS, rows.collect());
}

fn save_keys(
    before: &Tables,
    after: &Tables,
    master: &MasterKey,
    saves: &mut Saves,
) -> Result<(), SecretsError> {
    let by_id = |tables: &'_ Tables| -> BTreeMap<String, StoredKey> {
        tables.keys.iter().map(|key| (key.record.id.clone(), key.clone())).collect()
    };
    let (before, later) = (by_id(before), by_id(after));
    let changed = Changed::between(&before, &later);
    saves.delete(&table::KEYS, changed.deleted.iter().map(|id| vec![Value::from(id.as_str())]).collect());
    let updated = changed.updated.iter().map(|(_, key)| rows::key_record_values(&key.record).into());
    saves.update(&table::KEYS, updated.collect());
    let mut inserted = Vec::new();
    for key in after.keys.iter().filter(|key| !before.contains_key(&key.record.id)) {
        let sealed = master.seal(&rows::key_purpose(&key.record.id), key.private_jwk.expose())?;
        let values = rows::key_record_values(&key.record).into_iter().chain([Value::from(sealed)]);
        inserted.push(values.collect::<Vec<_>>());
    }
    saves.insert(&table::SEALED_KEYS, inserted);
    Ok(())
}

fn save_devices(
    before: &Tables,
    after: &Tables,
    master: &MasterKey,
    saves: &mut Saves,
) -> Result<(), SecretsError> {
    fn by_id(tables: &Tables) -> BTreeMap<DeviceId, &TotpDevice> {
        tables.devices.iter().map(|device| (device.id.clone(), device)).collect()
    }
    let (earlier, later) = (by_id(before), by_id(after));
    let changed = Changed::between(&earlier, &later);
    let key = |id: &DeviceId| vec![Value::from(id.as_str().to_owned())];
    saves.delete(&table::DEVICES, changed.deleted.iter().map(|id| key(id)).collect());
    let updated = changed.updated.iter().map(|(_, device)| rows::device_values(device).into());
    saves.update(&table::DEVICES, updated.collect());
    let mut inserted = Vec::new();
    // In the order in which they were added.
    for device in after.devices.iter().filter(|device| !earlier.contains_key(&device.id)) {
        let sealed = master.seal(&rows::device_purpose(device.id.as_str()), device.secret.expose())?;
        let values = rows::device_values(device).into_iter().chain([Value::from(sealed)]);
        inserted.push(values.collect::<Vec<_>>());
    }
    saves.insert(&table::SEALED_DEVICES, inserted);
    Ok(())
}

/// Saves what the tables in memory keep without the time when it expires.
fn save_expiring<'c>(changes: impl Iterator<Item = &'c Change>, saves: &mut Saves) {
    let (mut revoked, mut used) = (BTreeMap::new(), Vec::new());
    for change in changes {
        if let Change::RevokeToken { token_id, expires_at } = change {
            revoked.insert(token_id.as_str(), *expires_at);
        } else if let Change::UseAssertion(assertion) = change {
            used.push(vec![(&assertion.digest.0).into(), assertion.expires_at.into()]);
        }
    }
    saves.insert(&table::USED_ASSERTIONS, used);
    if !revoked.is_empty() {
        saves.run("INSERT INTO revoked_tokens (token_id, expires_at) SELECT * FROM unnest($1::text[], $2::bigint[]) \
                  ON CONFLICT DO NOTHING", vec![
                texts(revoked.keys().copied()),
                Box::new(revoked.values().map(|at| stamp(*at)).collect::<Vec<i64>>()),
            ]);
    }
}
