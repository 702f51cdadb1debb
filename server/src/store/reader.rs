//! Connections for reading: a few, borrowed for one snapshot each.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::connect::{Connector, Role};
use super::error::{StoreError, Trouble};

/// The readers of one file.
pub(super) struct Readers {
    connector: Connector,
    most: usize,
    shelf: Mutex<Shelf>,
    returned: Condvar,
}

#[derive(Default)]
struct Shelf {
    idle: Vec<Connection>,
    open: usize,
}

impl Readers {
    /// At most `most` connections, each made when it is first needed.
    pub(super) fn new(connector: Connector, most: usize) -> Self {
        Self { connector, most: most.max(1), shelf: Mutex::default(), returned: Condvar::new() }
    }

    /// What `look` sees of one consistent snapshot.
    pub(super) fn snapshot<T>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let path = &self.connector.path;
        let mut loan = self.borrow()?;
        let Some(db) = &loan.connection else { return Err(Trouble::Conflict.at(path)) };
        let seen = begin_look_end(db, look);
        if matches!(seen, Err(Trouble::Sql(_))) {
            // Whatever it was, the next read begins with a new connection.
            loan.connection = None;
        }
        seen.map_err(|trouble| trouble.at(path))
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn borrow(&self) -> Result<Loan<'_>, StoreError> {
        let mut shelf = self.shelf();
        loop {
            if let Some(connection) = shelf.idle.pop() {
                return Ok(Loan { readers: self, connection: Some(connection) });
            }
            if shelf.open < self.most {
                shelf.open += 1;
                break;
            }
            shelf = self.returned.wait(shelf).unwrap_or_else(PoisonError::into_inner);
        }
        drop(shelf);
        let mut loan = Loan { readers: self, connection: None };
        loan.connection = Some(self.connector.connect(Role::Reader)?);
        Ok(loan)
    }
}

fn begin_look_end<T>(
    db: &Connection,
    look: impl FnOnce(&Connection) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    db.prepare_cached("BEGIN")?.execute([])?;
    let seen = look(db);
    // Nothing was written, so how it ends makes no difference to what was seen.
    db.prepare_cached("COMMIT")?.execute([])?;
    seen
}

/// A connection on loan; it goes back unless it was taken out or is in the middle of something.
struct Loan<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        let mut shelf = self.readers.shelf();
        match self.connection.take() {
            Some(connection) if connection.is_autocommit() => shelf.idle.push(connection),
            _ => shelf.open = shelf.open.saturating_sub(1),
        }
        drop(shelf);
        self.readers.returned.notify_one();
    }
}
