//! The id of a transaction, by which it is found out whether it was committed if the answer to COMMIT is lost.

use super::connection::DatabaseError;
use super::connector::Connector;
use super::load::Statement;
use super::writer::BEGIN;
use crate::secrets::random::random;

/// The time to find out what became of a commit, as a multiple of the longest commit.
const LONGEST: u32 = 3;

/// Returns the statement that inserts the id of a transaction: one that has written something, or one that takes the id so that no other
/// can.
pub(super) fn insert(id: &[u8; 16], written: bool) -> Statement {
    let sql = "INSERT INTO commits (id, written, at) VALUES ($1, $2, extract(epoch FROM now())::bigint)";
    (sql, vec![Box::new(id.to_vec()), Box::new(i64::from(written))])
}

/// Finds out whether the transaction `id` was committed. None if that cannot be found out in time.
pub(super) async fn find_out(connector: &Connector, id: &[u8; 16]) -> Option<bool> {
    let found_out = async {
        let mut pause = connector.longest_connect / 500;
        loop {
            // A connection may fall silent here, too.
            let asked = tokio::time::timeout(connector.longest_commit, ask(connector, id)).await;
            if let Ok(Ok(Some(written))) = asked {
                return written;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(connector.longest_connect / 10);
        }
    };
    tokio::time::timeout(connector.longest_commit * LONGEST, found_out).await.ok()
}

/// Asks once: the id is written anew, which waits for a transaction that is still under way.
async fn ask(connector: &Connector, id: &[u8; 16]) -> Result<Option<bool>, DatabaseError> {
    let connection = connector.connect().await?;
    match connection.pipeline(BEGIN, vec![insert(id, false)], "COMMIT").await {
        // It never was committed, and never will be.
        Ok(_) => return Ok(Some(false)),
        Err(error) if error.is_taken() => {}
        Err(error) => return Err(error),
    }
    let Ok(own) = random::<16>() else { return Ok(None) };
    connection.run("ROLLBACK").await?;
    // An earlier attempt to ask may have written it, and lost the answer.
    let written: Statement = ("SELECT written FROM commits WHERE id = $1", vec![Box::new(id.to_vec())]);
    let rows = connection.pipeline(BEGIN, vec![written, insert(&own, false)], "COMMIT").await?;
    let written = rows.first().and_then(|rows| rows.first()).map(|row| row.get::<_, i64>(0) == 1);
    // The commit just now is durable only with everything before it.
    Ok(written.filter(|_| !connection.was_not_replicated()))
}
