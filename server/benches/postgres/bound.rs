//! The bound: the same rows, read and written by a bare loop over one connection, 64 sign-ins in each transaction.

use futures_util::future::join_all;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Config, NoTls, Statement};

use crate::fixture::digest;

/// The reads of sign-ins, each by the digests `$1` of the tickets.
const READS: [&str; 8] = [
    "SELECT generation, state_epoch, numbering_plan FROM meta WHERE $1::bytea[] IS NOT NULL",
    "SELECT * FROM tickets WHERE digest = ANY($1)",
    "SELECT * FROM users WHERE id IN (SELECT user_id FROM tickets WHERE digest = ANY($1))",
    "SELECT * FROM clients WHERE id IN (SELECT client_id FROM tickets WHERE digest = ANY($1))",
    "SELECT * FROM client_secrets WHERE client_id IN (SELECT client_id FROM tickets WHERE digest = ANY($1))",
    "SELECT * FROM totp_devices WHERE user_id IN (SELECT user_id FROM tickets WHERE digest = ANY($1))",
    "SELECT * FROM backup_codes WHERE user_id IN (SELECT user_id FROM tickets WHERE digest = ANY($1))",
    "SELECT * FROM habits WHERE user_id IN (SELECT user_id FROM tickets WHERE digest = ANY($1))",
];

/// The rows that they lock.
const LOCKS: [&str; 5] = [
    "SELECT generation, state_epoch FROM meta WHERE $1::bytea[] IS NOT NULL FOR SHARE",
    "SELECT * FROM users WHERE id = 'usr_alice' AND $1::bytea[] IS NOT NULL FOR SHARE",
    "SELECT * FROM clients WHERE id = 'portal' AND $1::bytea[] IS NOT NULL FOR SHARE",
    "SELECT * FROM tickets WHERE digest = ANY($1) ORDER BY digest FOR UPDATE",
    "SELECT * FROM audit_slots WHERE slot = 0 AND $1::bytea[] IS NOT NULL FOR UPDATE",
];

/// The writes, each for every digest of `$1`.
const WRITES: [&str; 6] = [
    "UPDATE tickets SET spent_at = 1 FROM unnest($1::bytea[]) AS row(digest) WHERE tickets.digest = row.digest",
    "INSERT INTO sessions (id, user_id, user_epoch, client_id, bind, for_audience, purpose, scope, auth_time, methods, expires_at, \
     state_epoch, client_epoch, signed_in_at) SELECT encode(digest, 'hex'), 'usr_alice', 0, 'portal', 0, 0, 'anything', 'profile', 1, \
     '[\"ticket\"]', 2, 0, 0, 1 FROM unnest($1::bytea[]) AS row(digest)",
    "INSERT INTO refresh_tokens (digest, session, issued_at, expires_at, number, refreshes) \
     SELECT digest, encode(digest, 'hex'), 1, 2, 0, 0 FROM unnest($1::bytea[]) AS row(digest)",
    "INSERT INTO audit (slot, seq, at, kind, subject, ticket, count, mac) SELECT 0, \
     (SELECT coalesce(max(seq), 0) FROM audit WHERE slot = 0) + row_number() OVER (), 1, 'ticket.redeemed', 'usr_alice', \
     encode(digest, 'hex'), 1, digest FROM unnest($1::bytea[]) AS row(digest)",
    "UPDATE audit_slots SET seq = seq + cardinality($1::bytea[]) WHERE slot = 0",
    "INSERT INTO commits (id, written, at) SELECT substring(digest FOR 16), 1, 1 FROM unnest($1::bytea[]) AS row(digest) LIMIT 1",
];

pub(crate) struct Bound {
    runtime: Runtime,
    client: Client,
    reads: Vec<Statement>,
    locks: Vec<Statement>,
    writes: Vec<Statement>,
}

impl Bound {
    pub(crate) fn open(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config: Config = url.parse().unwrap();
        let (client, [reads, locks, writes]) = runtime.block_on(async {
            let (client, connection) = config.connect(NoTls).await.unwrap();
            tokio::spawn(connection);
            client
                .batch_execute(
                    "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off",
                )
                .await
                .unwrap();
            let mut prepared = [const { Vec::new() }; 3];
            for (all, statements) in prepared.iter_mut().zip([&READS[..], &LOCKS, &WRITES]) {
                for sql in statements {
                    all.push(client.prepare(sql).await.unwrap());
                }
            }
            (client, prepared)
        });
        Self { runtime, client, reads, locks, writes }
    }

    /// Signs in by the tickets from `from` on, `together` at once. Where it is not pipelined, each statement waits for the answer to the
    /// one before.
    pub(crate) fn sign_in(&mut self, from: u64, sign_ins: u64, together: u64, pipelined: bool) {
        let all: Vec<Vec<u8>> = (from..from + sign_ins).map(|number| digest(number).to_vec()).collect();
        let client = &self.client;
        let pipeline = async |begin: &str, statements: &[Statement], end: &str, digests: &Vec<Vec<u8>>| {
            let parameters: [&(dyn ToSql + Sync); 1] = [digests];
            if !pipelined {
                client.batch_execute(begin).await.unwrap();
                for statement in statements {
                    drop(client.query(statement, &parameters).await.unwrap());
                }
                return client.batch_execute(end).await.unwrap();
            }
            let each = statements.iter().map(|statement| client.query(statement, &parameters));
            let ended = async { if end.is_empty() { Ok(()) } else { client.batch_execute(end).await } };
            let begun = async { if begin.is_empty() { Ok(()) } else { client.batch_execute(begin).await } };
            let (begun, each, ended) = tokio::join!(biased; begun, join_all(each), ended);
            begun.unwrap();
            each.into_iter().for_each(|rows| drop(rows.unwrap()));
            ended.unwrap();
        };
        self.runtime.block_on(async {
            for digests in all.chunks(usize::try_from(together).unwrap()) {
                let digests = digests.to_vec();
                pipeline("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", &self.reads, "COMMIT", &digests)
                    .await;
                pipeline("BEGIN; SET LOCAL synchronous_commit = on", &self.locks, "", &digests).await;
                pipeline("", &self.writes, "COMMIT", &digests).await;
            }
        });
    }
}
