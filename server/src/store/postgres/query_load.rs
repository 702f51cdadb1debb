//! Statements that read what queries ask for, in one snapshot and one round trip.

use gatepass_core::records::role::{Role, Roles};
use gatepass_core::store::page::{Cursor, PageQuery};
use gatepass_core::store::query::SessionPageQuery;

use super::load::{self, Load, Parameter, Read};
use super::named_rows;
use super::query_names::{PageNames, QueryNames};
use super::text::stored;
use crate::store::rows::columns;

/// Returns the statements for `names`.
pub(super) fn loads(names: &QueryNames) -> Vec<Load> {
    let mut loads = vec![named_rows::load(names)];
    loads.extend(lists(names));
    loads.extend(names.pages.iter().flat_map(page));
    loads
}

/// Returns the statements that read lists.
fn lists(names: &QueryNames) -> Vec<Load> {
    let mut loads = Vec::new();
    let mut other = |is_asked: bool, sql: &'static str, parameter: Option<Parameter>, read| {
        if is_asked {
            loads.push(Load { sql, parameters: parameter.into_iter().collect(), read });
        }
    };
    other(
        names.officers,
        concat!(
            "SELECT ",
            columns!(users),
            " FROM users WHERE roles <> 0 AND roles & $1 <> 0 AND status = 'active' ORDER BY id LIMIT 2"
        ),
        Some(Box::new(i64::from(Roles::of(&[Role::Officer]).bits()))),
        load::user,
    );
    other(names.keys, concat!("SELECT ", columns!(keys), " FROM keys ORDER BY seq"), None, load::key);
    other(
        names.keys,
        concat!(
            "SELECT DISTINCT ON (signing_algorithm) ",
            columns!(clients),
            " FROM clients WHERE signing_algorithm IS NOT NULL"
        ),
        None,
        load::client,
    );
    other(
        names.keys,
        concat!(
            "SELECT ",
            columns!(clients),
            " FROM clients ORDER BY greatest(token_lifetime, user_token_lifetime) DESC NULLS LAST LIMIT 1"
        ),
        None,
        load::client,
    );
    loads
}

/// A page of a table in the order of its ids, after `$1`, one row more than `$2` asks for.
fn page(page: &PageNames) -> Vec<Load> {
    match page {
        PageNames::Users(query) => vec![Load {
            sql: concat!("SELECT ", columns!(users), " FROM users WHERE id > $1 ORDER BY id LIMIT $2"),
            parameters: forwards(query),
            read: load::user,
        }],
        PageNames::Clients(query) => clients(query, forwards),
        PageNames::RoleHolders(query) => role_holders(query),
        PageNames::Tickets(query) => vec![Load {
            sql: concat!(
                "SELECT ",
                columns!(tickets),
                " FROM tickets WHERE id < coalesce($1::text, chr(1114111)) ORDER BY id DESC LIMIT $2"
            ),
            parameters: backwards(query),
            read: load::ticket,
        }],
        PageNames::Sessions(query) => sessions(query),
    }
}

/// One row more than asked for shows if there is another page.
fn limit(query: &PageQuery) -> Parameter {
    Box::new(i64::try_from(query.limit()).unwrap_or(i64::MAX - 1) + 1)
}

/// No name is empty: the empty one comes before each.
fn forwards(query: &PageQuery) -> Vec<Parameter> {
    let after = query.after.as_ref().map(|Cursor(after)| stored(after).into_owned());
    vec![Box::new(after.unwrap_or_default()), limit(query)]
}

/// No id is as great as the greatest character: the first page comes before it.
fn backwards(query: &PageQuery) -> Vec<Parameter> {
    vec![Box::new(query.after.as_ref().map(|Cursor(after)| stored(after).into_owned())), limit(query)]
}

macro_rules! client_page {
    ($columns:expr) => {
        concat!("SELECT ", $columns, " FROM clients WHERE id > $1 ORDER BY id LIMIT $2")
    };
}

fn clients(query: &PageQuery, after: fn(&PageQuery) -> Vec<Parameter>) -> Vec<Load> {
    vec![
        Load { sql: client_page!(columns!(clients)), parameters: after(query), read: load::client },
        Load {
            sql: concat!(
                "SELECT client_id, position, ",
                columns!(client_secrets),
                " FROM client_secrets WHERE client_id IN (",
                client_page!("id"),
                ") ORDER BY client_id, position"
            ),
            parameters: after(query),
            read: load::secret,
        },
    ]
}

/// The cursor of a user begins with `1 `, and that of a client, which come afterwards, with `2 `.
fn role_holders(query: &PageQuery) -> Vec<Load> {
    let after = query.after.as_ref().map(|Cursor(after)| after.as_str()).unwrap_or_default();
    let of_users = |after: &str| after.strip_prefix("1 ").map(stored).unwrap_or_default().into_owned();
    let of_clients = |after: &str| after.strip_prefix("2 ").map(stored).unwrap_or_default().into_owned();
    let mut loads = Vec::new();
    if !after.starts_with("2 ") {
        loads.push(Load {
            sql: concat!(
                "SELECT ",
                columns!(users),
                " FROM users WHERE roles <> 0 AND id > $1 ORDER BY id LIMIT $2"
            ),
            parameters: vec![Box::new(of_users(after)), limit(query)],
            read: load::user,
        });
    }
    macro_rules! holders {
        ($columns:expr) => {
            concat!("SELECT ", $columns, " FROM clients WHERE roles <> 0 AND id > $1 ORDER BY id LIMIT $2")
        };
    }
    let parameters = || -> Vec<Parameter> { vec![Box::new(of_clients(after)), limit(query)] };
    loads.push(Load { sql: holders!(columns!(clients)), parameters: parameters(), read: load::client });
    loads.push(Load {
        sql: concat!(
            "SELECT client_id, position, ",
            columns!(client_secrets),
            " FROM client_secrets WHERE client_id IN (",
            holders!("id"),
            ") ORDER BY client_id, position"
        ),
        parameters: parameters(),
        read: load::secret,
    });
    loads
}

/// A page of sessions, the newest id first.
macro_rules! listed {
    ($columns:expr, $whose:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM sessions WHERE ",
            $whose,
            "id < coalesce($1::text, chr(1114111)) ORDER BY id DESC LIMIT $2"
        )
    };
}

/// The statements that read the sessions of a page, of one user where `$whose` says so, and whom they name.
macro_rules! session_page {
    ($whose:literal) => {
        [
            (listed!(columns!(sessions), $whose), load::session as Read),
            (
                concat!(
                    "WITH listed AS (",
                    listed!("user_id, actor", $whose),
                    ") SELECT ",
                    columns!(users),
                    " FROM users WHERE id IN (SELECT user_id FROM listed UNION SELECT actor FROM listed)"
                ),
                load::user,
            ),
            (
                concat!(
                    "WITH listed AS (",
                    listed!("client_id, issuer", $whose),
                    ") SELECT ",
                    columns!(clients),
                    " FROM clients WHERE id IN (SELECT client_id FROM listed UNION SELECT issuer FROM listed)"
                ),
                load::client,
            ),
            (
                concat!(
                    "WITH listed AS (",
                    listed!("client_id, issuer", $whose),
                    ") SELECT client_id, position, ",
                    columns!(client_secrets),
                    " FROM client_secrets s WHERE s.client_id IN \
                     (SELECT client_id FROM listed UNION SELECT issuer FROM listed) ORDER BY s.client_id, position"
                ),
                load::secret,
            ),
        ]
    };
}

/// Each is one range of an index.
const SESSIONS: [(&str, Read); 4] = session_page!("");
const SESSIONS_OF_USER: [(&str, Read); 4] = session_page!("user_id = $3 AND ");

fn sessions(SessionPageQuery { user, page: query }: &SessionPageQuery) -> Vec<Load> {
    let statements = if user.is_some() { SESSIONS_OF_USER } else { SESSIONS };
    let load = |(sql, read)| {
        let mut parameters = backwards(query);
        parameters.extend(user.iter().map(|id| Box::new(id.as_str().to_owned()) as Parameter));
        Load { sql, parameters, read }
    };
    statements.into_iter().map(load).collect()
}
