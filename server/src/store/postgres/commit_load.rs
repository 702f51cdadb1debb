//! Reads and locks the rows that the commits of a batch name, in one order: two batches that name the same rows wait, and do not lock each
//! other out.

use std::collections::{BTreeMap, BTreeSet};

use gatepass_core::records::id::UserId;
use gatepass_core::records::role::{Role, Roles};

use super::commit_names::{CommitNames, Lock};
use super::load::{self, Load, Parameter, Read, meta_columns};
use super::text::stored;
use crate::store::rows::{self, Columns, columns};

/// A statement that reads rows, in the two modes in which it locks them.
macro_rules! in_both_modes {
    ($select:expr) => {
        [concat!($select, " FOR SHARE"), concat!($select, " FOR UPDATE")]
    };
}

/// The two statements that read rows of a table by a key and lock them.
macro_rules! locked {
    ($columns:expr, $table:literal, $key:literal, $order:literal) => {
        in_both_modes!(concat!(
            "SELECT ",
            $columns,
            " FROM ",
            $table,
            " WHERE ",
            $key,
            " = ANY($1) ORDER BY ",
            $order
        ))
    };
}

const META: [&str; 2] = in_both_modes!(concat!("SELECT ", meta_columns!(), " FROM meta"));
const USERS: [&str; 2] = locked!(columns!(users), "users", "id", "id");
const CLIENTS: [&str; 2] = locked!(columns!(clients), "clients", "id", "id");
const TICKETS: [&str; 2] = locked!(columns!(tickets), "tickets", "digest", "digest");
const TICKETS_BY_ID: [&str; 2] = locked!(columns!(tickets), "tickets", "id", "digest");
const SESSIONS: [&str; 2] = locked!(columns!(sessions), "sessions", "id", "id");
const REFRESH_TOKENS: [&str; 2] = locked!(columns!(refresh_tokens), "refresh_tokens", "digest", "digest");
const CHALLENGES: [&str; 2] = locked!(columns!(challenges), "challenges", "digest", "digest");

/// Returns `rows` in their order, in runs of one mode each: so they are locked in one order, whatever their modes.
fn runs<K>(rows: &BTreeMap<K, Lock>) -> Vec<(Lock, Vec<&K>)> {
    let mut runs: Vec<(Lock, Vec<&K>)> = Vec::new();
    for (key, lock) in rows {
        match runs.last_mut() {
            Some((mode, run)) if mode == lock => run.push(key),
            Some(_) | None => runs.push((*lock, vec![key])),
        }
    }
    runs
}

/// Statements that read the rows of one table.
fn each<K>(
    [share, update]: [&'static str; 2],
    rows: &BTreeMap<K, Lock>,
    read: Read,
    parameter: impl Fn(&[&K]) -> Parameter,
) -> Vec<Load> {
    let statement = |(lock, keys): (Lock, Vec<&K>)| Load {
        sql: match lock {
            Lock::Share => share,
            Lock::Update => update,
        },
        parameters: vec![parameter(&keys)],
        read,
    };
    runs(rows).into_iter().map(statement).collect()
}

/// Returns texts as one parameter.
pub(super) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Parameter {
    Box::new(texts.into_iter().map(|text| stored(text).into_owned()).collect::<Vec<String>>())
}

pub(super) fn digests<'d>(digests: impl IntoIterator<Item = &'d [u8; 32]>) -> Parameter {
    Box::new(digests.into_iter().map(|digest| digest.to_vec()).collect::<Vec<Vec<u8>>>())
}

fn of_users(sql: &'static str, users: &BTreeSet<UserId>, read: Read) -> Option<Load> {
    let parameters = vec![texts(users.iter().map(UserId::as_str))];
    (!users.is_empty()).then_some(Load { sql, parameters, read })
}

/// Returns the statements, in the order in which they lock.
pub(super) fn loads(names: &CommitNames) -> Vec<Load> {
    let mut loads = Vec::new();
    if !names.forms.is_empty() {
        // Two processes at once would each find an identifier free.
        loads.push(Load {
            sql: "SELECT count(pg_advisory_xact_lock(hashtextextended(form, 0))) FROM \
                  (SELECT unnest($1::text[]) AS form ORDER BY 1) forms",
            parameters: vec![texts(names.forms.iter().map(String::as_str))],
            read: |_, _| Ok(()),
        });
    }
    let [share, update] = META;
    let sql = if names.meta == Some(Lock::Update) { update } else { share };
    loads.push(Load { sql, parameters: vec![], read: load::meta });
    if names.officers {
        loads.push(Load {
            sql: concat!(
                "SELECT ",
                columns!(users),
                " FROM users WHERE roles <> 0 AND roles & $1 <> 0 AND status = 'active' ORDER BY id FOR UPDATE"
            ),
            parameters: vec![Box::new(i64::from(Roles::of(&[Role::Officer]).bits()))],
            read: load::user,
        });
    }
    loads.extend(each(USERS, &names.users, load::user, |ids| texts(ids.iter().map(|id| id.as_str()))));
    if !names.forms.is_empty() {
        loads.push(Load {
            sql: concat!(
                "SELECT ",
                columns!(users),
                " FROM users WHERE id IN (SELECT user_id FROM unnest($1::text[]) AS form CROSS JOIN LATERAL \
                 (SELECT user_id FROM identifiers WHERE canonical = form ORDER BY user_id LIMIT 2) owners)"
            ),
            parameters: vec![texts(names.forms.iter().map(String::as_str))],
            read: |loaded, row| {
                // What is locked is there already, as it is now.
                let user = rows::user(&mut Columns::of(row, "users"))?;
                loaded.tables.users.entry(user.id.clone()).or_insert(user);
                Ok(())
            },
        });
    }
    loads.extend(of_users(
        "SELECT user_id FROM deleted_users WHERE user_id = ANY($1)",
        &names.new_users,
        load::deleted_user,
    ));
    loads.extend(each(CLIENTS, &names.clients, load::client, |ids| texts(ids.iter().map(|id| id.as_str()))));
    // Nothing that leaves a client as it is asks for its secrets.
    let changed =
        || names.clients.iter().filter(|(_, lock)| **lock == Lock::Update).map(|(id, _)| id.as_str());
    if changed().next().is_some() {
        loads.push(Load {
            sql: concat!(
                "SELECT client_id, position, ",
                columns!(client_secrets),
                " FROM client_secrets WHERE client_id = ANY($1) ORDER BY client_id, position"
            ),
            parameters: vec![texts(changed())],
            read: load::secret,
        });
    }
    if names.keys {
        loads.push(Load {
            sql: concat!("SELECT ", columns!(keys), " FROM keys ORDER BY seq"),
            parameters: vec![],
            read: load::key,
        });
        loads.push(Load {
            sql: concat!("SELECT ", columns!(clients), " FROM clients WHERE signing_algorithm IS NOT NULL"),
            parameters: vec![],
            read: load::client,
        });
    }
    loads.extend(factors(names));
    loads.extend(each(TICKETS, &names.tickets, load::ticket, |all| digests(all.iter().map(|d| &d.0))));
    loads.extend(each(TICKETS_BY_ID, &names.ticket_ids, load::ticket, |ids| {
        texts(ids.iter().map(|id| id.as_str()))
    }));
    loads.extend(each(SESSIONS, &names.sessions, load::session, |ids| {
        texts(ids.iter().map(|id| id.as_str()))
    }));
    loads.extend(each(REFRESH_TOKENS, &names.refresh_tokens, load::refresh_token, |all| {
        digests(all.iter().map(|d| &d.0))
    }));
    if !names.families.is_empty() {
        loads.push(Load {
            sql: concat!(
                "SELECT ",
                columns!(refresh_tokens),
                " FROM refresh_tokens WHERE session = ANY($1) ORDER BY digest FOR UPDATE"
            ),
            parameters: vec![texts(names.families.iter().map(|id| id.as_str()))],
            read: load::refresh_token,
        });
    }
    loads.extend(each(CHALLENGES, &names.challenges, load::challenge, |all| {
        digests(all.iter().map(|d| &d.0))
    }));
    if !names.assertions.is_empty() {
        loads.push(Load {
            sql: "SELECT digest FROM used_assertions WHERE digest = ANY($1)",
            parameters: vec![digests(names.assertions.iter().map(|d| &d.0))],
            read: load::assertion,
        });
    }
    loads
}

/// Returns the statements about what belongs to users.
fn factors(names: &CommitNames) -> Vec<Load> {
    let mut loads = Vec::new();
    if !names.factors.is_empty() || !names.devices.is_empty() {
        let parameters = || {
            vec![
                texts(names.factors.iter().map(UserId::as_str)),
                texts(names.devices.iter().map(|id| id.as_str())),
            ]
        };
        loads.push(Load {
            sql: concat!(
                "SELECT ",
                columns!(totp_devices),
                " FROM totp_devices WHERE user_id = ANY($1) OR id = ANY($2) ORDER BY seq FOR UPDATE"
            ),
            parameters: parameters(),
            read: load::device,
        });
        loads.push(Load {
            sql: "SELECT user_id, digest, device FROM backup_codes WHERE user_id = ANY($1) OR device = ANY($2) \
                  ORDER BY user_id, digest FOR UPDATE",
            parameters: parameters(),
            read: load::backup_code,
        });
    }
    let users = [
        of_users(
            concat!(
                "SELECT ",
                columns!(factor_guesses),
                " FROM factor_guesses WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE"
            ),
            &names.guesses,
            load::guesses,
        ),
        of_users(
            concat!(
                "SELECT user_id, ",
                columns!(password_values),
                " FROM passwords WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE"
            ),
            &names.passwords,
            load::password,
        ),
        of_users(
            concat!(
                "SELECT user_id, ",
                columns!(habit_values),
                " FROM habits WHERE user_id = ANY($1) ORDER BY user_id FOR UPDATE"
            ),
            &names.histories,
            load::history,
        ),
    ];
    loads.extend(users.into_iter().flatten());
    loads
}
