//! The tables, and the statements that write any number of rows of one at once: the values of each column are sent as an array.

use std::sync::LazyLock;

use super::load::{Parameter, Statement};
use super::text::stored;
use crate::store::copy::CopiedTable;
use crate::store::rows::{Value, columns};

/// Rows to write: each has the values of the table's columns.
pub(super) type Rows<'v> = Vec<Vec<Value<'v>>>;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Bigint,
    Text,
    Bytea,
}

impl Type {
    /// Returns the name that PostgreSQL gives it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bigint => "bigint",
            Self::Text => "text",
            Self::Bytea => "bytea",
        }
    }
}

use Type::{Bigint as N, Bytea as B, Text as T};

/// A table, as far as it is written row by row.
pub(super) struct Table {
    pub(super) types: &'static [Type],
    /// The columns that are the key.
    key: &'static [usize],
    /// The columns that an update writes, and the key: no update changes the others.
    updated: LazyLock<Vec<usize>>,
    insert: LazyLock<String>,
    update: LazyLock<String>,
    delete: LazyLock<String>,
}

impl Table {
    fn types_of(&self, columns: &[usize]) -> Vec<Type> {
        columns.iter().filter_map(|column| self.types.get(*column).copied()).collect()
    }
}

/// The statements that write what a batch has changed.
#[derive(Default)]
pub(super) struct Saves {
    statements: Vec<Statement>,
    /// True if a value has no place in its column.
    is_unstorable: bool,
}

impl Saves {
    /// Inserts `rows`.
    pub(super) fn insert(&mut self, table: &'static Table, rows: Rows<'_>) {
        self.rows(&table.insert, table.types, rows);
    }

    /// Replaces `rows`, each found by its key.
    pub(super) fn update(&mut self, table: &'static Table, rows: Rows<'_>) {
        let rows = rows.into_iter().map(|row| {
            let row = row.into_iter().enumerate();
            row.filter(|(column, _)| table.updated.contains(column)).map(|(_, value)| value).collect()
        });
        self.rows(&table.update, &table.types_of(&table.updated), rows.collect());
    }

    /// Deletes rows by their `keys`.
    pub(super) fn delete(&mut self, table: &'static Table, keys: Rows<'_>) {
        self.rows(&table.delete, &table.types_of(table.key), keys);
    }

    /// Runs a statement.
    pub(super) fn run(&mut self, sql: &'static str, parameters: Vec<Parameter>) {
        self.statements.push((sql, parameters));
    }

    /// Returns the statements; none if a value has no place in its column.
    pub(super) fn into_statements(self) -> Option<Vec<Statement>> {
        (!self.is_unstorable).then_some(self.statements)
    }

    fn rows(&mut self, sql: &'static str, types: &[Type], rows: Rows<'_>) {
        if rows.is_empty() {
            return;
        }
        let mut arrays: Vec<Array> = types.iter().map(|kind| Array::of(*kind, rows.len())).collect();
        for row in rows {
            for (array, value) in arrays.iter_mut().zip(row) {
                self.is_unstorable |= !array.push(value);
            }
        }
        self.run(sql, arrays.into_iter().map(Array::into_parameter).collect());
    }
}

/// The values of one column.
enum Array {
    Bigint(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytea(Vec<Option<Vec<u8>>>),
}

impl Array {
    fn of(kind: Type, rows: usize) -> Self {
        match kind {
            Type::Bigint => Self::Bigint(Vec::with_capacity(rows)),
            Type::Text => Self::Text(Vec::with_capacity(rows)),
            Type::Bytea => Self::Bytea(Vec::with_capacity(rows)),
        }
    }

    /// Adds a value; returns false if it has no place here.
    fn push(&mut self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::Bigint(all), Value::Integer(number)) => all.push(Some(number)),
            (Self::Text(all), Value::Text(text)) => all.push(Some(stored(&text).into_owned())),
            (Self::Bytea(all), Value::Bytes(bytes)) => all.push(Some(bytes.into_owned())),
            (Self::Bigint(all), Value::Null) => all.push(None),
            (Self::Text(all), Value::Null) => all.push(None),
            (Self::Bytea(all), Value::Null) => all.push(None),
            (Self::Bigint(_) | Self::Text(_) | Self::Bytea(_), _) => return false,
        }
        true
    }

    /// A column without any value is sent as none: `unnest` fills it with NULL.
    fn into_parameter(self) -> Parameter {
        fn sent<T>(all: Vec<Option<T>>) -> Option<Vec<Option<T>>> {
            all.iter().any(Option::is_some).then_some(all)
        }
        match self {
            Self::Bigint(all) => Box::new(sent(all)),
            Self::Text(all) => Box::new(sent(all)),
            Self::Bytea(all) => Box::new(sent(all)),
        }
    }
}

fn arrays(types: &[Type]) -> String {
    let array = |(number, kind): (usize, &Type)| format!("${number}::{}[]", kind.name());
    (1..).zip(types).map(array).collect::<Vec<_>>().join(", ")
}

fn insert(table: &str, columns: &str, types: &[Type]) -> String {
    format!("INSERT INTO {table} ({columns}) SELECT * FROM unnest({})", arrays(types))
}

/// Returns the names of a list of columns.
pub(super) fn names(columns: &str) -> Vec<&str> {
    columns.split(',').map(str::trim).collect()
}

fn at<'c>(columns: &[&'c str], numbers: &[usize]) -> Vec<&'c str> {
    numbers.iter().filter_map(|number| columns.get(*number).copied()).collect()
}

fn is_same(table: &str, key: &[&str]) -> String {
    key.iter().map(|name| format!("{table}.{name} = row.{name}")).collect::<Vec<_>>().join(" AND ")
}

/// Returns the numbers of the columns that an update writes, and of the key. Where `changing` is empty, it writes all.
fn updated(columns: &str, key: &[usize], changing: &str) -> Vec<usize> {
    let changing = names(changing);
    let columns = names(columns).into_iter().enumerate();
    let is_updated =
        |(number, name): &(usize, &str)| changing == [""] || key.contains(number) || changing.contains(name);
    columns.filter(is_updated).map(|(number, _)| number).collect()
}

fn update(table: &str, columns: &str, types: &[Type], key: &[usize], updated: &[usize]) -> String {
    let columns = names(columns);
    let key = at(&columns, key);
    let types: Vec<Type> = updated.iter().filter_map(|column| types.get(*column).copied()).collect();
    let columns = at(&columns, updated);
    let set: Vec<String> = columns
        .iter()
        .filter(|name| !key.contains(name))
        .map(|name| format!("{name} = row.{name}"))
        .collect();
    format!(
        "UPDATE {table} SET {} FROM unnest({}) AS row({}) WHERE {}",
        set.join(", "),
        arrays(&types),
        columns.join(", "),
        is_same(table, &key)
    )
}

fn delete(table: &str, columns: &str, types: &[Type], key: &[usize]) -> String {
    let types: Vec<Type> = key.iter().filter_map(|column| types.get(*column).copied()).collect();
    let key = at(&names(columns), key);
    format!(
        "DELETE FROM {table} USING unnest({}) AS row({}) WHERE {}",
        arrays(&types),
        key.join(", "),
        is_same(table, &key)
    )
}

macro_rules! tables {
    ($($static:ident: $table:literal ($columns:expr) [$($type:ident)+] by $key:expr $(, changing $changing:expr)?;)+) => {
        $(pub(super) static $static: Table = Table {
            types: &[$($type),+],
            key: &$key,
            updated: LazyLock::new(|| updated($columns, &$key, concat!($($changing)?))),
            insert: LazyLock::new(|| insert($table, $columns, &[$($type),+])),
            update: LazyLock::new(|| update($table, $columns, &[$($type),+], &$key, &$static.updated)),
            delete: LazyLock::new(|| delete($table, $columns, &[$($type),+], &$key)),
        };)+
    };
}

tables! {
    META: "meta" (&format!("{}, audit_slots, audit_slots_seal", CopiedTable::Meta.columns())) [N N N N N N B B N B T T N B] by [];
    USERS: "users" (columns!(users)) [T T T T T T T T N N N N N N T N] by [0];
    IDENTIFIERS: "identifiers" ("user_id, kind, canonical") [T T T] by [0, 1];
    DELETED_USERS: "deleted_users" ("user_id") [T] by [0];
    CLIENTS: "clients" (columns!(clients)) [T T T T T N N N N N T N N N T T] by [0];
    CLIENT_SECRETS: "client_secrets" (concat!("client_id, position, ", columns!(client_secrets))) [T N T B N N N] by [0, 1];
    TICKETS: "tickets" (columns!(tickets)) [T B T T T N N T T T T N N N N N B B T B B N N N] by [1],
        changing "spent_at, revoked_at, delivery_request, delivery_salt, delivery_session, delivery_refresh, delivery_challenge, repeated";
    SESSIONS: "sessions" (columns!(sessions)) [T T N T N T N N T T N T N N N N T N N] by [0],
        changing "ended_at";
    REFRESH_TOKENS: "refresh_tokens" (columns!(refresh_tokens)) [B T N N N B B N N N] by [0];
    CHALLENGES: "challenges" (columns!(challenges)) [B T N N T T T N N T T T B T N N N N N B B T B N N T N N] by [0],
        changing "wrong, answered, answered_at, delivery_request, delivery_salt, delivery_session, delivery_refresh, repeated";
    DEVICES: "totp_devices" (columns!(device_values)) [T T T T N N N T N N] by [0];
    SEALED_DEVICES: "totp_devices" (concat!(columns!(device_values), ", sealed")) [T T T T N N N T N N B] by [0];
    BACKUP_CODES: "backup_codes" ("user_id, digest, device") [T B T] by [0, 1];
    FACTOR_GUESSES: "factor_guesses" (columns!(factor_guesses)) [T N N N] by [0];
    PASSWORDS: "passwords" (concat!("user_id, ", columns!(password_values))) [T T N N N] by [0];
    HABITS: "habits" (concat!("user_id, ", columns!(habit_values))) [T T T T T] by [0];
    PROCESSES: "processes" ("id, commits") [B N] by [0];
    GENERATIONS: "generations" ("process, number, id, made_at") [B N B N] by [0, 1];
    REVOKED_TOKENS: "revoked_tokens" ("token_id, expires_at") [T N] by [0];
    USED_ASSERTIONS: "used_assertions" ("digest, expires_at") [B N] by [0];
    AUDIT: "audit" ("slot, seq, at, kind, subject, actor, client, ticket, session, key, address, refusal, reason, count, risk, issuer, \
        issuer_user, request, sent_request, operator, stated_by, peer, by_user, by_client, roles, mac")
        [N N N T T T T T T T T T T N T T T T T T T T T T T B] by [0, 1];
    KEYS: "keys" (columns!(keys)) [T T T N N N] by [0];
    SEALED_KEYS: "keys" (concat!(columns!(keys), ", sealed")) [T T T N N N B] by [0];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_a_column() {
        for (table, changing) in [(&TICKETS, 8), (&SESSIONS, 1), (&CHALLENGES, 8)] {
            assert_eq!(table.updated.len(), changing + table.key.len());
        }
        assert_eq!(USERS.updated.len(), USERS.types.len());
    }
}
