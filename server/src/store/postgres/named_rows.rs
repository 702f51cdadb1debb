//! One statement that reads the rows that queries name, and those that these name in turn: one snapshot, one round trip.
//!
//! Rows that other rows name are found inside the statement. Rows of different tables come as rows of one width: a number that tells the table, the
//! place among the rows of that table, and then columns of each type, which a table fills from the left.

use std::sync::LazyLock;

use gatepass_core::store::query::{MAX_NAMESAKES, MAX_SESSIONS};

use super::commit_load::{digests, texts};
use super::load::{self, Load, Loaded, Parameter, Read, meta_columns};
use super::query_names::QueryNames;
use super::table::{self, Type, names};
use crate::store::rows::{Columns, MalformedRow, Row, Value, columns};

/// The rows that the parameters name: `$1` digests of tickets, `$2` of challenges and `$3` of refresh tokens, `$4` ids of sessions, `$5` of
/// users and `$6` of clients, `$7` canonical identifiers, `$8` users whose sessions are listed, `$9` ids of tickets, `$10` of tokens, `$11`
/// digests of assertions. `$12` tells if the credentials of the named users are read.
fn named() -> String {
    // The user whom an administrator names is not counted.
    let owners = MAX_NAMESAKES + 1;
    format!(
        "\
    named_tickets AS (SELECT * FROM tickets WHERE digest = ANY($1::bytea[])), \
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
         AND i.enabled = 1)) ORDER BY s.auth_time DESC, s.id DESC LIMIT {MAX_SESSIONS}) live), \
    named_sessions AS (SELECT * FROM sessions WHERE id IN (SELECT unnest($4::text[]) \
      UNION SELECT session FROM named_tokens UNION SELECT delivery_session FROM named_tickets \
      UNION SELECT delivery_session FROM named_challenges UNION SELECT id FROM listed)), \
    owners AS (SELECT owner.user_id FROM unnest($7::text[]) AS form CROSS JOIN LATERAL \
      (SELECT DISTINCT user_id FROM identifiers WHERE canonical = form ORDER BY user_id LIMIT {owners}) owner), \
    people AS (SELECT unnest($5::text[]) AS id UNION SELECT user_id FROM owners \
      UNION SELECT user_id FROM named_tickets UNION SELECT actor FROM named_tickets \
      UNION SELECT user_id FROM named_challenges UNION SELECT actor FROM named_challenges), \
    signing_in AS (SELECT id FROM people WHERE $12::boolean), \
    named_clients AS (SELECT unnest($6::text[]) AS id \
      UNION SELECT client_id FROM named_tickets UNION SELECT issuer FROM named_tickets \
      UNION SELECT client_id FROM named_challenges UNION SELECT issuer FROM named_challenges \
      UNION SELECT client_id FROM named_sessions UNION SELECT issuer FROM named_sessions)"
    )
}

/// The rows of one table that are read.
struct Part {
    columns: &'static str,
    types: &'static [Type],
    /// The rest of the statement.
    rows: &'static str,
    /// The column that orders the rows; `0` where the order does not matter.
    order: &'static str,
    read: Read,
}

impl Part {
    const fn of(
        columns: &'static str,
        types: &'static [Type],
        rows: &'static str,
        order: &'static str,
        read: Read,
    ) -> Self {
        Self { columns, types, rows, order, read }
    }
}

/// Returns the parts of the statement. Secrets follow their client.
#[rustfmt::skip]
fn parts() -> Vec<Part> {
    use Type::{Bigint as N, Text as T};
    vec![
        Part::of(meta_columns!(), &[N, N, N, T, T], "meta", "0", load::meta),
        Part::of(
            columns!(users), table::USERS.types,
            "users WHERE id IN (SELECT id FROM people UNION SELECT user_id FROM named_sessions UNION SELECT actor FROM named_sessions)",
            "0", load::user,
        ),
        Part::of(columns!(clients), table::CLIENTS.types, "clients WHERE id IN (SELECT id FROM named_clients)", "0", load::client),
        Part::of(
            concat!("client_id, position, ", columns!(client_secrets)), table::CLIENT_SECRETS.types,
            "client_secrets WHERE client_id IN (SELECT id FROM named_clients)", "position", load::secret,
        ),
        Part::of(columns!(tickets), table::TICKETS.types, "named_tickets", "0", load::ticket),
        Part::of(columns!(tickets), table::TICKETS.types, "tickets WHERE id = ANY($9::text[])", "0", load::ticket),
        Part::of(columns!(challenges), table::CHALLENGES.types, "named_challenges", "0", load::challenge),
        Part::of(columns!(sessions), table::SESSIONS.types, "named_sessions", "0", load::session),
        Part::of(
            columns!(refresh_tokens), table::REFRESH_TOKENS.types,
            "refresh_tokens WHERE digest IN (SELECT digest FROM named_tokens UNION SELECT successor FROM named_tokens \
             UNION SELECT delivery_refresh FROM named_tickets UNION SELECT delivery_refresh FROM named_challenges)",
            "0", load::refresh_token,
        ),
        Part::of(
            columns!(totp_devices), table::SEALED_DEVICES.types,
            "totp_devices WHERE user_id IN (SELECT id FROM signing_in)", "seq", load::device,
        ),
        Part::of(
            "user_id, digest, device", table::BACKUP_CODES.types,
            "backup_codes WHERE user_id IN (SELECT id FROM signing_in)", "0", load::backup_code,
        ),
        Part::of(
            columns!(factor_guesses), table::FACTOR_GUESSES.types,
            "factor_guesses WHERE user_id IN (SELECT id FROM signing_in)", "0", load::guesses,
        ),
        Part::of(
            columns!(passwords), table::PASSWORDS.types,
            "passwords WHERE user_id IN (SELECT id FROM signing_in)", "0", load::password,
        ),
        Part::of(
            columns!(habits), table::HABITS.types,
            "habits WHERE user_id IN (SELECT id FROM signing_in)", "0", load::history,
        ),
        Part::of("token_id", &[T], "revoked_tokens WHERE token_id = ANY($10::text[])", "0", load::revoked),
        Part::of("digest", &[Type::Bytea], "used_assertions WHERE digest = ANY($11::bytea[])", "0", load::assertion),
    ]
}

/// The columns of each type in a row that is as wide as the widest part.
#[derive(Clone, Copy, Default)]
struct Width {
    bigint: usize,
    text: usize,
    bytea: usize,
}

impl Width {
    fn of(types: &[Type]) -> Self {
        let count = |kind| types.iter().filter(|other| **other == kind).count();
        Self { bigint: count(Type::Bigint), text: count(Type::Text), bytea: count(Type::Bytea) }
    }

    fn max(self, other: Self) -> Self {
        Self {
            bigint: self.bigint.max(other.bigint),
            text: self.text.max(other.text),
            bytea: self.bytea.max(other.bytea),
        }
    }
}

/// The columns before those of the parts: the number of the part, and the order.
const FIRST: usize = 2;

/// The statement, and how its rows are read.
struct NamedRows {
    sql: String,
    /// Of each part, how it is read, and where its columns are.
    parts: Vec<(Read, Vec<usize>)>,
}

static NAMED_ROWS: LazyLock<NamedRows> = LazyLock::new(|| {
    let parts = parts();
    let width = parts.iter().fold(Width::default(), |width, part| width.max(Width::of(part.types)));
    let selects: Vec<String> = (0..).zip(&parts).map(|(number, part)| select(number, part, width)).collect();
    let sql = format!("WITH {} {} ORDER BY 1, 2", named(), selects.join(" UNION ALL "));
    let parts = parts.into_iter().map(|part| (part.read, places(part.types, width))).collect();
    NamedRows { sql, parts }
});

/// Returns the place of each column of a part in the row.
fn places(types: &[Type], width: Width) -> Vec<usize> {
    let mut next =
        Width { bigint: FIRST, text: FIRST + width.bigint, bytea: FIRST + width.bigint + width.text };
    let place = |kind: &Type| {
        let next = match kind {
            Type::Bigint => &mut next.bigint,
            Type::Text => &mut next.text,
            Type::Bytea => &mut next.bytea,
        };
        *next += 1;
        *next - 1
    };
    types.iter().map(place).collect()
}

/// Returns the statement that reads the rows of a part.
fn select(number: i64, part: &Part, width: Width) -> String {
    let columns = names(part.columns);
    let of = |kind: Type, count: usize| {
        let own = columns.iter().zip(part.types).filter(move |(_, other)| **other == kind);
        let own = own.map(|(name, _)| (*name).to_owned());
        own.chain(std::iter::repeat_with(move || format!("NULL::{}", kind.name()))).take(count)
    };
    let all =
        of(Type::Bigint, width.bigint).chain(of(Type::Text, width.text)).chain(of(Type::Bytea, width.bytea));
    let all: Vec<String> = all.collect();
    format!("SELECT {number}::bigint, {}::bigint, {} FROM {}", part.order, all.join(", "), part.rows)
}

/// One row of a part.
struct PartRow<'r> {
    row: &'r dyn Row,
    places: &'r [usize],
}

impl Row for PartRow<'_> {
    fn value(&self, column: usize) -> Option<Value<'_>> {
        self.row.value(*self.places.get(column)?)
    }
}

fn read(loaded: &mut Loaded<'_>, row: &dyn Row) -> Result<(), MalformedRow> {
    let number = Columns::of(row, "parts").number("part")?;
    let part = usize::try_from(number).ok().and_then(|number| NAMED_ROWS.parts.get(number));
    let (read, places) = part.ok_or(MalformedRow { table: "parts", column: "part" })?;
    read(loaded, &PartRow { row, places })
}

/// Returns the statement for `names`.
pub(super) fn load(names: &QueryNames) -> Load {
    let parameters: Vec<Parameter> = vec![
        digests(&names.tickets),
        digests(&names.challenges),
        digests(&names.refresh_tokens),
        texts(names.sessions.iter().map(String::as_str)),
        texts(names.users.iter().map(String::as_str)),
        texts(names.clients.iter().map(|id| id.as_str())),
        texts(names.forms.iter().map(String::as_str)),
        texts(names.sessions_of.iter().map(|id| id.as_str())),
        texts(names.ticket_ids.iter().map(String::as_str)),
        texts(names.token_ids.iter().map(String::as_str)),
        digests(&names.assertions),
        Box::new(names.with_credentials),
    ];
    Load { sql: &NAMED_ROWS.sql, parameters, read }
}
