//! Ends what is dated ahead: it was issued while own time was later, and must not become valid when its date arrives.

use gatepass_core::base::time::{LEEWAY, Time};
use tokio_postgres::types::{FromSql, ToSql};

use super::load::Parameter;
use super::store::PostgresStore;
use crate::store::backend::EndedAhead;
use crate::store::error::StoreError;
use crate::store::rows::stamp;

/// The most rows changed in one transaction.
const BATCH: usize = 500;

/// A dated kind of record, and how it is ended for good. It also expires, so that it is swept soon and not when its date has passed.
struct Dated {
    /// Returns true if one of the newest 1,000 rows is open and dated after `$1`. Ids begin with the time when they were made.
    newest: &'static str,
    /// Reads the keys of 20,000 rows after the key `$1`: the last of them, and those of the open rows that are dated after `$2`.
    find: &'static str,
    /// Ends the rows with the keys `$1` at the time `$2`, if they are open and dated after `$3`.
    end: &'static str,
}

macro_rules! dated {
    ($table:literal, $key:literal, $newest:literal, $issued_at:literal, $is_open:literal, $end:literal) => {
        Dated {
            newest: concat!(
                "SELECT EXISTS (SELECT 1 FROM (SELECT * FROM ",
                $table,
                " ORDER BY ",
                $newest,
                " DESC LIMIT 1000) newest WHERE ",
                $issued_at,
                " > $1 AND ",
                $is_open,
                ")"
            ),
            find: concat!(
                "WITH page AS MATERIALIZED (SELECT * FROM ",
                $table,
                " WHERE ",
                $key,
                " > $1 ORDER BY ",
                $key,
                " LIMIT 20000) SELECT (SELECT ",
                $key,
                " FROM page ORDER BY ",
                $key,
                " DESC LIMIT 1), ARRAY(SELECT ",
                $key,
                " FROM page WHERE ",
                $issued_at,
                " > $2 AND ",
                $is_open,
                " ORDER BY ",
                $key,
                ")"
            ),
            end: concat!(
                "UPDATE ",
                $table,
                " SET ",
                $end,
                ", expires_at = least(expires_at, $2) WHERE ",
                $key,
                " IN (SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $key,
                " = ANY($1) AND ",
                $is_open,
                " AND ",
                $issued_at,
                " > $3 ORDER BY ",
                $key,
                " FOR UPDATE) RETURNING 1"
            ),
        }
    };
}

const SESSIONS: Dated = dated!("sessions", "id", "id", "signed_in_at", "ended_at IS NULL", "ended_at = $2");
const TICKETS: Dated = dated!(
    "tickets",
    "digest",
    "id",
    "issued_at",
    "spent_at IS NULL AND revoked_at IS NULL",
    "revoked_at = $2"
);
/// All of them live about as long, so that the last to expire are the newest.
const CHALLENGES: Dated = dated!(
    "challenges",
    "digest",
    "expires_at",
    "issued_at",
    "answered = 0",
    "answered = 1, answered_at = $2"
);

impl PostgresStore {
    pub(super) fn end_rows_ahead(&self, now: Time) -> Result<EndedAhead, StoreError> {
        Ok(EndedAhead {
            sessions: self.end_all_of::<String>(&SESSIONS, now)?,
            tickets: self.end_all_of::<Vec<u8>>(&TICKETS, now)?,
            challenges: self.end_all_of::<Vec<u8>>(&CHALLENGES, now)?,
        })
    }

    pub(super) fn newest_are_ahead(&self, now: Time) -> Result<bool, StoreError> {
        let limit = stamp(now.plus(LEEWAY));
        for Dated { newest, .. } in [SESSIONS, TICKETS, CHALLENGES] {
            let found = self.read_with(async |connection| {
                let rows = connection.query(newest, &[Box::new(limit)]).await?;
                Ok(rows.first().is_some_and(|row| row.get(0)))
            })?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn end_all_of<K: Key>(&self, kind: &Dated, now: Time) -> Result<u64, StoreError> {
        let (limit, now) = (stamp(now.plus(LEEWAY)), stamp(now));
        let (mut after, mut ended) = (K::default(), 0);
        loop {
            let (last, ahead): (Option<K>, Vec<K>) = self.read_with(async |connection| {
                let parameters: [Parameter; 2] = [Box::new(after.clone()), Box::new(limit)];
                let rows = connection.query(kind.find, &parameters).await?;
                Ok(rows.first().map(|row| (row.get(0), row.get(1))).unwrap_or_default())
            })?;
            for keys in ahead.chunks(BATCH) {
                let rows = self.write_with(&[], async |transaction| {
                    let parameters: [Parameter; 3] =
                        [Box::new(keys.to_vec()), Box::new(now), Box::new(limit)];
                    transaction.query(kind.end, &parameters).await
                })?;
                ended += u64::try_from(rows.len()).unwrap_or(u64::MAX);
            }
            match last {
                Some(last) => after = last,
                None => return Ok(ended),
            }
        }
    }
}

/// The key of a table. The default comes before every one.
trait Key: Clone + Default + for<'r> FromSql<'r> + ToSql + Send + Sync + 'static {}
impl<K: Clone + Default + for<'r> FromSql<'r> + ToSql + Send + Sync + 'static> Key for K {}
