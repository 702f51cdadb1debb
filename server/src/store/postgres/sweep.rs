//! Deletes useless rows, a small batch at a time. Rows that another process has locked are left to it, so that several of them sweep at once.

use std::time::Instant;

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};
use tokio_postgres::Row;

use super::beside::Transaction;
use super::connection::Connection;
use super::load::Parameter;
use super::store::PostgresStore;
use super::trouble::Trouble;
use crate::store::backend::{KEEP_EXPIRED, Swept};
use crate::store::error::StoreError;
use crate::store::rows::{self, Columns, stamp};

/// The most refresh tokens deleted in one transaction.
const MOST_TOKENS: i64 = 512;
/// The time for which the id of a transaction is kept, in seconds: nobody asks for an older one.
const KEEP_COMMITS: i64 = 24 * 3600;

/// Returns true if there is anything to delete. So a server without requests writes nothing.
const HAS_EXPIRED: &str = "SELECT EXISTS (SELECT 1 FROM tickets WHERE expires_at < $1) \
     OR EXISTS (SELECT 1 FROM sessions WHERE expires_at < $1) \
     OR EXISTS (SELECT 1 FROM challenges WHERE expires_at < $1) \
     OR EXISTS (SELECT 1 FROM revoked_tokens WHERE expires_at < $1) \
     OR EXISTS (SELECT 1 FROM used_assertions WHERE expires_at < $1) \
     OR EXISTS (SELECT 1 FROM commits WHERE at < least($2, extract(epoch FROM now())::bigint - $3)) \
     OR EXISTS (SELECT 1 FROM deleted_users)";

/// Deletes at most `$2` rows of a table that expired before `$1`.
macro_rules! delete_expired {
    ($table:literal, $key:literal) => {
        concat!(
            "WITH old AS (SELECT ",
            $key,
            " AS key FROM ",
            $table,
            " WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED) DELETE FROM ",
            $table,
            " USING old WHERE ",
            $key,
            " = old.key"
        )
    };
}

/// The columns of a row that was deleted: what its audit row says, if its answer was repeated.
const TICKETS: &str = concat!(
    delete_expired!("tickets", "digest"),
    " RETURNING user_id, actor, client_id, id, delivery_session, greatest(repeated - 1, 0)"
);
const CHALLENGES: &str = concat!(
    delete_expired!("challenges", "digest"),
    " RETURNING user_id, actor, client_id, ticket, delivery_session, greatest(repeated - 1, 0)"
);
const REVOKED: &str = concat!(delete_expired!("revoked_tokens", "token_id"), " RETURNING 1");
const ASSERTIONS: &str = concat!(delete_expired!("used_assertions", "digest"), " RETURNING 1");
const COMMITS: &str = "WITH old AS (SELECT id AS key FROM commits WHERE at < least($1, extract(epoch FROM now())::bigint - $2) \
     ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED) DELETE FROM commits USING old WHERE id = old.key RETURNING 1";

const EXPIRED_SESSIONS: &str =
    "SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED";
const DELETED_USER: &str =
    "SELECT user_id FROM deleted_users ORDER BY user_id LIMIT 1 FOR UPDATE SKIP LOCKED";
const SESSIONS_OF: &str = "SELECT id FROM sessions WHERE user_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED";
const TOKENS: &str = "WITH old AS (SELECT digest AS key FROM refresh_tokens WHERE session = ANY($1) ORDER BY session, number LIMIT $2 \
     FOR UPDATE SKIP LOCKED) DELETE FROM refresh_tokens USING old WHERE digest = old.key RETURNING 1";
/// A token that was left keeps its session.
const SESSIONS: &str = "DELETE FROM sessions WHERE id = ANY($1) \
     AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE session = sessions.id) RETURNING 1";
const CHALLENGES_OF: &str = "WITH old AS (SELECT digest AS key FROM challenges WHERE user_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED) \
     DELETE FROM challenges USING old WHERE digest = old.key RETURNING 1";
const FORGET_USER: &str = "DELETE FROM deleted_users WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM sessions WHERE user_id = $1) \
     AND NOT EXISTS (SELECT 1 FROM challenges WHERE user_id = $1) RETURNING 1";

/// The rows to sweep.
struct Sweep {
    now: Time,
    /// The time before which a row must have expired.
    before: i64,
    batch: usize,
}

impl PostgresStore {
    /// Deletes nothing while this machine's clock and the database's differ: it is not known which of them is right.
    pub(super) fn sweep_step(&self, now: Time, batch: usize) -> Result<Swept, StoreError> {
        if self.state().clock.is_too_far() {
            return Ok(Swept::default());
        }
        let before = stamp(Time::from_unix(now.unix().saturating_sub(KEEP_EXPIRED)));
        let sweep = Sweep { now, before, batch };
        if !self.read_with(async |connection| sweep.has_something(connection).await)? {
            return Ok(Swept::default());
        }
        self.write_with(&[], async |transaction| sweep.run(transaction).await)
    }
}

impl Sweep {
    /// The time before which a transaction must have been committed for its id to go. A clock of the database that is ahead deletes none.
    fn commits_before(&self) -> i64 {
        stamp(self.now).saturating_sub(KEEP_COMMITS)
    }

    async fn has_something(&self, connection: &Connection) -> Result<bool, Trouble> {
        let parameters: [Parameter; 3] =
            [Box::new(self.before), Box::new(self.commits_before()), Box::new(KEEP_COMMITS)];
        let rows = connection.query(HAS_EXPIRED, &parameters).await?;
        Ok(rows.first().is_some_and(|row| row.get(0)))
    }

    async fn run(&self, transaction: &mut Transaction<'_>) -> Result<Swept, Trouble> {
        let begin = Instant::now();
        let limit = i64::try_from(self.batch).unwrap_or(i64::MAX);
        let old = || -> [Parameter; 2] { [Box::new(self.before), Box::new(limit)] };
        let tickets = transaction.query(TICKETS, &old()).await?;
        let challenges = transaction.query(CHALLENGES, &old()).await?;
        self.record_repetitions(transaction, Kind::TicketRepeated, &tickets)?;
        self.record_repetitions(transaction, Kind::ChallengeRepeated, &challenges)?;
        let mut swept = Swept { tickets: tickets.len(), challenges: challenges.len(), ..Swept::default() };
        swept.revoked = transaction.query(REVOKED, &old()).await?.len();
        swept.assertions = transaction.query(ASSERTIONS, &old()).await?.len();
        let commits: [Parameter; 3] =
            [Box::new(self.commits_before()), Box::new(KEEP_COMMITS), Box::new(limit)];
        let commits = transaction.query(COMMITS, &commits).await?.len();
        let mut sessions = texts(&transaction.query(EXPIRED_SESSIONS, &old()).await?);
        let counts =
            [swept.tickets, sessions.len(), swept.challenges, swept.revoked, swept.assertions, commits];
        swept.more = counts.iter().any(|taken| *taken >= self.batch);
        let deleted = texts(&transaction.query(DELETED_USER, &[]).await?).pop();
        if let Some(user) = &deleted {
            let parameters: [Parameter; 2] = [Box::new(user.clone()), Box::new(limit)];
            sessions.extend(texts(&transaction.query(SESSIONS_OF, &parameters).await?));
        }
        take_sessions(transaction, sessions, &mut swept).await?;
        if let Some(user) = deleted {
            let parameters: [Parameter; 2] = [Box::new(user.clone()), Box::new(limit)];
            let challenges = transaction.query(CHALLENGES_OF, &parameters).await?.len();
            let forgotten = transaction.query(FORGET_USER, &[Box::new(user)]).await?.len();
            swept.challenges += challenges;
            // Another user may follow. What somebody holds is left for the next round.
            swept.more |= swept.sessions + swept.refresh_tokens + challenges + forgotten > 0;
        }
        swept.took = begin.elapsed();
        Ok(swept)
    }

    /// Writes how often the answers to tickets and challenges that were deleted had been repeated after the first time, which has a row of
    /// its own: one row each.
    fn record_repetitions(
        &self,
        transaction: &mut Transaction<'_>,
        kind: Kind,
        deleted: &[Row],
    ) -> Result<(), Trouble> {
        for row in deleted {
            let mut c = Columns::of(row, if kind == Kind::TicketRepeated { "tickets" } else { "challenges" });
            let event = Event {
                subject: c.maybe("user_id", rows::user_id)?,
                actor: c.maybe("actor", rows::user_id)?,
                client: c.maybe("client_id", rows::client_id)?,
                ticket: c.maybe("ticket", rows::ticket_id)?,
                session: c.maybe("delivery_session", rows::session_id)?,
                count: c.small("repeated")?,
                ..Event::new(kind, self.now)
            };
            if event.count > 0 {
                transaction.append(event);
            }
        }
        Ok(())
    }
}

/// Deletes `sessions` with their refresh tokens, as many as one transaction takes.
async fn take_sessions(
    transaction: &Transaction<'_>,
    sessions: Vec<String>,
    swept: &mut Swept,
) -> Result<(), Trouble> {
    if sessions.is_empty() {
        return Ok(());
    }
    let tokens: [Parameter; 2] = [Box::new(sessions.clone()), Box::new(MOST_TOKENS)];
    swept.refresh_tokens = transaction.query(TOKENS, &tokens).await?.len();
    swept.sessions = transaction.query(SESSIONS, &[Box::new(sessions)]).await?.len();
    swept.more |= i64::try_from(swept.refresh_tokens).is_ok_and(|tokens| tokens >= MOST_TOKENS);
    Ok(())
}

fn texts(rows: &[Row]) -> Vec<String> {
    rows.iter().map(|row| row.get(0)).collect()
}
