//! Reads the rows that queries name, and those that these name in turn, in one snapshot and one round trip: each statement finds the
//! names in the database itself.

use gatepass_core::records::role::{Role, Roles};
use gatepass_core::store::page::{Cursor, PageQuery};
use gatepass_core::store::query::{MAX_NAMESAKES, MAX_SESSIONS, SessionPageQuery};

use super::commit_load::{digests, texts};
use super::load::{self, Load, Parameter, select_meta};
use super::query_names::{PageNames, QueryNames};
use super::text::stored;
use crate::store::rows::columns;

/// The rows that the parameters name: `$1` digests of tickets, `$2` of challenges and `$3` of refresh tokens, `$4` ids of sessions, `$5` of
/// users and `$6` of clients, `$7` canonical identifiers, `$8` users whose sessions are listed. Every statement that begins with this takes
/// them all; PostgreSQL runs the parts that it names.
macro_rules! named {
    ($statement:expr) => {
        concat!(
            "WITH named_tickets AS (SELECT * FROM tickets WHERE digest = ANY($1::bytea[])), \
             named_challenges AS (SELECT * FROM challenges WHERE digest IN \
               (SELECT unnest($2::bytea[]) UNION SELECT delivery_challenge FROM named_tickets)), \
             named_tokens AS (SELECT * FROM refresh_tokens WHERE digest = ANY($3::bytea[])), \
             listed AS (SELECT live.id FROM unnest($8::text[]) AS owner CROSS JOIN LATERAL \
               (SELECT s.id FROM sessions s WHERE s.user_id = owner AND s.ended_at IS NULL \
                AND EXISTS (SELECT 1 FROM sessions own WHERE own.id = ANY($4) AND own.user_id = owner AND own.ended_at IS NULL) \
                AND (s.actor IS NULL OR EXISTS (SELECT 1 FROM users a WHERE a.id = s.actor AND a.epoch = s.actor_epoch \
                  AND a.status = 'active')) \
                AND (s.client_epoch IS NULL OR EXISTS (SELECT 1 FROM clients c WHERE c.id = s.client_id \
                  AND c.epoch = s.client_epoch AND c.enabled = 1)) \
                AND (s.issuer IS NULL OR EXISTS (SELECT 1 FROM clients i WHERE i.id = s.issuer AND i.epoch = s.issuer_epoch \
                  AND i.enabled = 1)) ORDER BY s.auth_time DESC, s.id DESC LIMIT ",
            $crate::store::postgres::query_load::max_sessions!(),
            ") live), \
             named_sessions AS (SELECT * FROM sessions WHERE id IN (SELECT unnest($4::text[]) \
               UNION SELECT session FROM named_tokens UNION SELECT delivery_session FROM named_tickets \
               UNION SELECT delivery_session FROM named_challenges UNION SELECT id FROM listed)), \
             owners AS (SELECT owner.user_id FROM unnest($7::text[]) AS form CROSS JOIN LATERAL \
               (SELECT DISTINCT user_id FROM identifiers WHERE canonical = form ORDER BY user_id LIMIT ",
            $crate::store::postgres::query_load::max_owners!(),
            ") owner), \
             people AS (SELECT unnest($5::text[]) AS id UNION SELECT user_id FROM owners \
               UNION SELECT user_id FROM named_tickets UNION SELECT actor FROM named_tickets \
               UNION SELECT user_id FROM named_challenges UNION SELECT actor FROM named_challenges), \
             named_clients AS (SELECT unnest($6::text[]) AS id \
               UNION SELECT client_id FROM named_tickets UNION SELECT issuer FROM named_tickets \
               UNION SELECT client_id FROM named_challenges UNION SELECT issuer FROM named_challenges \
               UNION SELECT client_id FROM named_sessions UNION SELECT issuer FROM named_sessions) ",
            $statement
        )
    };
}

/// [`MAX_SESSIONS`], as a literal.
macro_rules! max_sessions {
    () => {
        "200"
    };
}
pub(super) use max_sessions;

/// One more than [`MAX_NAMESAKES`], as a literal: the user whom an administrator names is not counted.
macro_rules! max_owners {
    () => {
        "9"
    };
}
pub(super) use max_owners;

/// Returns the statements for `names`.
pub(super) fn loads(names: &QueryNames) -> Vec<Load> {
    let mut loads = vec![Load { sql: select_meta!(), parameters: vec![], read: load::meta }];
    let has_tickets = !names.tickets.is_empty();
    let has_challenges = has_tickets || !names.challenges.is_empty();
    let has_tokens = has_challenges || !names.refresh_tokens.is_empty();
    let has_sessions = has_tokens || !names.sessions.is_empty();
    let has_people = has_sessions || !names.users.is_empty() || !names.forms.is_empty();
    let has_clients = has_sessions || !names.clients.is_empty();
    let has_credentials = has_challenges || names.with_credentials;
    let mut named = |is_asked: bool, sql: &'static str, read| {
        if is_asked {
            loads.push(Load { sql, parameters: parameters(names), read });
        }
    };
    named(
        has_people,
        named!(concat!(
            "SELECT ",
            columns!(users),
            " FROM users WHERE id IN (SELECT id FROM people \
          UNION SELECT user_id FROM named_sessions UNION SELECT actor FROM named_sessions)"
        )),
        load::user,
    );
    named(
        has_clients,
        named!(concat!(
            "SELECT ",
            columns!(clients),
            " FROM clients WHERE id IN (SELECT id FROM named_clients)"
        )),
        load::client,
    );
    named(
        has_clients,
        named!(concat!(
            "SELECT client_id, position, ",
            columns!(client_secrets),
            " FROM client_secrets WHERE client_id IN \
          (SELECT id FROM named_clients) ORDER BY client_id, position"
        )),
        load::secret,
    );
    named(has_tickets, named!(concat!("SELECT ", columns!(tickets), " FROM named_tickets")), load::ticket);
    named(
        has_challenges,
        named!(concat!("SELECT ", columns!(challenges), " FROM named_challenges")),
        load::challenge,
    );
    named(
        has_sessions,
        named!(concat!("SELECT ", columns!(sessions), " FROM named_sessions")),
        load::session,
    );
    named(
        has_tokens,
        named!(concat!(
            "SELECT ",
            columns!(refresh_tokens),
            " FROM refresh_tokens WHERE digest IN \
          (SELECT digest FROM named_tokens UNION SELECT successor FROM named_tokens UNION SELECT delivery_refresh FROM named_tickets \
          UNION SELECT delivery_refresh FROM named_challenges)"
        )),
        load::refresh_token,
    );
    named(
        has_credentials,
        named!(concat!(
            "SELECT ",
            columns!(totp_devices),
            " FROM totp_devices WHERE user_id IN \
          (SELECT id FROM people) ORDER BY seq"
        )),
        load::device,
    );
    named(
        has_credentials,
        named!("SELECT user_id, digest, device FROM backup_codes WHERE user_id IN (SELECT id FROM people)"),
        load::backup_code,
    );
    named(
        has_credentials,
        named!(
            "SELECT user_id, wrong, locks, locked_until FROM factor_guesses WHERE user_id IN (SELECT id FROM people)"
        ),
        load::guesses,
    );
    named(
        has_credentials,
        named!(concat!(
            "SELECT user_id, ",
            columns!(password_values),
            " FROM passwords WHERE user_id IN (SELECT id FROM people)"
        )),
        load::password,
    );
    named(
        has_credentials,
        named!(concat!(
            "SELECT user_id, ",
            columns!(habit_values),
            " FROM habits WHERE user_id IN (SELECT id FROM people)"
        )),
        load::history,
    );
    loads.extend(others(names));
    loads.extend(names.pages.iter().flat_map(page));
    loads
}

fn parameters(names: &QueryNames) -> Vec<Parameter> {
    vec![
        digests(&names.tickets),
        digests(&names.challenges),
        digests(&names.refresh_tokens),
        texts(names.sessions.iter().map(String::as_str)),
        texts(names.users.iter().map(String::as_str)),
        texts(names.clients.iter().map(|id| id.as_str())),
        texts(names.forms.iter().map(String::as_str)),
        texts(names.sessions_of.iter().map(|id| id.as_str())),
    ]
}

/// Returns the statements that need nothing but their own names.
fn others(names: &QueryNames) -> Vec<Load> {
    let mut loads = Vec::new();
    let mut other = |is_asked: bool, sql: &'static str, parameter: Option<Parameter>, read| {
        if is_asked {
            loads.push(Load { sql, parameters: parameter.into_iter().collect(), read });
        }
    };
    other(
        !names.ticket_ids.is_empty(),
        concat!("SELECT ", columns!(tickets), " FROM tickets WHERE id = ANY($1)"),
        Some(texts(names.ticket_ids.iter().map(String::as_str))),
        load::ticket,
    );
    other(
        !names.token_ids.is_empty(),
        "SELECT token_id FROM revoked_tokens WHERE token_id = ANY($1)",
        Some(texts(names.token_ids.iter().map(String::as_str))),
        load::revoked,
    );
    other(
        !names.assertions.is_empty(),
        "SELECT digest FROM used_assertions WHERE digest = ANY($1)",
        Some(digests(&names.assertions)),
        load::assertion,
    );
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
                " FROM tickets WHERE $1::text IS NULL OR id < $1 ORDER BY id DESC LIMIT $2"
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

/// The sessions of a page, and whom they name.
fn sessions(SessionPageQuery { user, page: query }: &SessionPageQuery) -> Vec<Load> {
    macro_rules! listed {
        ($columns:expr) => {
            concat!(
                "SELECT ",
                $columns,
                " FROM sessions WHERE ($1::text IS NULL OR id < $1) AND ($3::text IS NULL OR user_id = $3) ORDER BY id DESC LIMIT $2"
            )
        };
    }
    let parameters = || {
        let mut parameters = backwards(query);
        parameters.push(Box::new(user.as_ref().map(|id| id.as_str().to_owned())));
        parameters
    };
    let load = |sql, read| Load { sql, parameters: parameters(), read };
    vec![
        load(listed!(columns!(sessions)), load::session),
        load(
            concat!(
                "WITH listed AS (",
                listed!("user_id, actor"),
                ") SELECT ",
                columns!(users),
                " FROM users WHERE id IN \
                    (SELECT user_id FROM listed UNION SELECT actor FROM listed)"
            ),
            load::user,
        ),
        load(
            concat!(
                "WITH listed AS (",
                listed!("client_id, issuer"),
                ") SELECT ",
                columns!(clients),
                " FROM clients WHERE id IN \
                    (SELECT client_id FROM listed UNION SELECT issuer FROM listed)"
            ),
            load::client,
        ),
        load(
            concat!(
                "WITH listed AS (",
                listed!("client_id, issuer"),
                ") SELECT client_id, position, ",
                columns!(client_secrets),
                " FROM client_secrets s WHERE s.client_id IN (SELECT client_id FROM listed UNION SELECT issuer FROM listed) \
                    ORDER BY s.client_id, position"
            ),
            load::secret,
        ),
    ]
}

// The literals in the statements are those of the core.
const _: () = assert!(MAX_SESSIONS == 200 && MAX_NAMESAKES + 1 == 9);
