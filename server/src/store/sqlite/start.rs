//! The decisions of a start: are the files the newest that were served, is a copy taken into use, was the state handed
//! over?

use std::io;

use gatepass_core::base::time::Time;
use gatepass_core::store::audit::{Event, Kind};
use rusqlite::Connection;

use super::audit::Tail;
use super::batch;
use super::generation::{self, Generation, Standing};
use super::installation::Installation;
use super::read::first;
use super::transaction_error::TransactionError;
use super::witness::Witness;
use crate::clock::wall;
use crate::secrets::files::{Files, directory_of};
use crate::secrets::master_key::MasterKey;
use crate::store::audit_chain::Chain;
use crate::store::backend::Access;
use crate::store::error::StoreError;
use crate::store::notice::Notice;
use crate::store::rows::{self, Columns, NO_META};

/// The origin of a file, from its own row.
struct Origin {
    installation: [u8; 16],
    commit_id: [u8; 16],
    handover: Option<String>,
    copied_at: Option<Time>,
}

fn origin(db: &Connection) -> Result<Origin, TransactionError> {
    let read = |row: &rusqlite::Row<'_>| {
        let mut c = Columns::of(row, "meta");
        Ok(Origin {
            installation: c.bytes("installation")?,
            commit_id: c.bytes("commit_id")?,
            handover: c.maybe("handover", rows::owned)?,
            copied_at: c.maybe_time("copied_at")?,
        })
    };
    let sql = "SELECT installation, commit_id, handover, copied_at FROM meta";
    first(db, sql, [], read)?.ok_or(NO_META.into())
}

/// The decision of a start: are the files the newest that were served?
pub(super) struct Start<'a> {
    pub(super) installation: &'a Installation,
    pub(super) db: &'a Connection,
    pub(super) chain: &'a Chain,
    pub(super) master: &'a MasterKey,
    pub(super) access: Access,
    pub(super) alone: bool,
}

impl Start<'_> {
    pub(super) fn settle(&self, first_start: bool, notices: &mut Vec<Notice>) -> Result<(), StoreError> {
        let at = |trouble: TransactionError| trouble.at(&self.installation.database());
        let origin = origin(self.db).map_err(at)?;
        let witness = match Witness::read(&*self.installation.files, &self.installation.witness()) {
            Ok(witness) => witness,
            Err(error) if self.may_go_on_without() && origin.copied_at.is_none() => {
                notices.push(Notice::WitnessNotAsked(error));
                return self.require_held(&origin);
            }
            Err(error) => return Err(error),
        };
        if let Some(copied_at) = origin.copied_at {
            return self.take_copy(&origin, copied_at, witness, notices);
        }
        self.require_held(&origin)?;
        self.forget_taken()?;
        // A file of an earlier schema has just got its id: with a witness beside it, it is an old one.
        let has_generation = generation::newest(self.db).map_err(at)?.is_some();
        if has_generation && witness.is_some_and(|witness| witness.installation != origin.installation) {
            return Err(StoreError::WitnessForeign(self.installation.witness()));
        }
        match generation::compare(self.db, witness.as_ref(), first_start).map_err(at)? {
            Standing::Confirmed if self.access != Access::Serve => Ok(()),
            Standing::Confirmed => self.go_on(&origin, witness, &[], None),
            Standing::First => {
                make_marker(self.installation)?;
                self.go_on(&origin, witness, &[], None)
            }
            Standing::Unconfirmed => {
                let newest = generation::newest(self.db).map_err(at)?;
                if let Some(generation) = newest {
                    match write_witness(self.installation, origin.installation, generation) {
                        Err(error) if self.may_go_on_without() => {
                            notices.push(Notice::WitnessNotAsked(error))
                        }
                        written => written?,
                    }
                }
                if self.access == Access::Serve { self.go_on(&origin, witness, &[], None) } else { Ok(()) }
            }
            // The server that has the file open knows that it is the newest: this command reads another witness.
            Standing::Older if self.may_go_on_without() => {
                notices.push(Notice::WitnessNotAsked(StoreError::WitnessUnreadable {
                    path: self.installation.witness(),
                    cause: "it does not hold the state that is served; the server has another".into(),
                }));
                Ok(())
            }
            Standing::Older => {
                let since = generation::newest(self.db).map_err(at)?.map(|newest| newest.made_at);
                let date = since.map_or_else(|| "an earlier version".into(), Time::rfc3339);
                let event =
                    Event { reason: Some(format!("files of {date}")), ..self.event(Kind::StateSuperseded)? };
                self.go_on(&origin, witness, &[RAISE_EPOCH], Some(event))?;
                notices.push(Notice::StateSuperseded { since });
                Ok(())
            }
        }
    }

    /// Returns true for a command beside a server, which has read the witness already.
    fn may_go_on_without(&self) -> bool {
        !self.alone && self.access != Access::Serve
    }

    /// Removes the id of a handover that was taken: the removal was interrupted.
    fn forget_taken(&self) -> Result<(), StoreError> {
        let (files, accept) = (&*self.installation.files, self.installation.accept());
        let is_bound = files.read(&accept, 1024).is_ok_and(|text| text.contains(&b' '));
        if is_bound { remove_if_there(files, &accept) } else { Ok(()) }
    }

    fn require_held(&self, origin: &Origin) -> Result<(), StoreError> {
        match &origin.handover {
            Some(id) if self.access != Access::WriteHandedOver => Err(StoreError::HandedOver(id.clone())),
            _ => Ok(()),
        }
    }

    /// Takes a copy of `backup` into use: a handover's, if this directory has accepted it and has served nothing newer;
    /// any other with a new epoch.
    fn take_copy(
        &self,
        origin: &Origin,
        copied_at: Time,
        witness: Option<Witness>,
        notices: &mut Vec<Notice>,
    ) -> Result<(), StoreError> {
        let files = &*self.installation.files;
        let accept = self.installation.accept();
        let at = |trouble: TransactionError| trouble.at(&self.installation.database());
        let newest = generation::newest(self.db).map_err(at)?.map_or(0, |newest| newest.number);
        let newer_was_served = witness
            .filter(|witness| witness.installation == origin.installation)
            .is_some_and(|witness| witness.generation.number > newest);
        let accepted = match &origin.handover {
            Some(id) if !newer_was_served => {
                let bound = super::restore::bound(id, &origin.commit_id);
                files.read(&accept, 1024).is_ok_and(|text| **text == *bound.as_bytes()).then(|| id.clone())
            }
            _ => None,
        };
        let clear = "UPDATE meta SET handover = NULL, copied_at = NULL";
        let (kind, reason, statements, notice) = match accepted {
            Some(id) => {
                (Kind::HandoverTaken, format!("handover {id}"), &[clear][..], Notice::HandoverTaken(id))
            }
            None => (
                Kind::StateRestored,
                format!("copy of {}", copied_at.rfc3339()),
                &[clear, RAISE_EPOCH][..],
                Notice::StateRestored { since: copied_at },
            ),
        };
        let event = Event { reason: Some(reason), ..self.event(kind)? };
        if !newer_was_served {
            // Until the witness holds the next generation, there is none. The witness that was here is of another state.
            make_marker(self.installation)?;
            remove_if_there(files, &self.installation.witness())?;
        }
        self.go_on(origin, witness, statements, Some(event))?;
        // The id was valid once. From here on the file does not name it any more.
        remove_if_there(files, &accept)?;
        notices.push(notice);
        Ok(())
    }

    fn event(&self, kind: Kind) -> Result<Event, StoreError> {
        let mark = super::mark::clock_mark_of(self.db)
            .map_err(|trouble| trouble.at(&self.installation.database()))?;
        Ok(Event::new(kind, mark.max(wall())))
    }

    /// Makes the next generation, together with other changes; then writes it to the witness.
    fn go_on(
        &self,
        origin: &Origin,
        witness: Option<Witness>,
        statements: &[&str],
        event: Option<Event>,
    ) -> Result<(), StoreError> {
        let at = |trouble: TransactionError| trouble.at(&self.installation.database());
        let newest = generation::newest(self.db).map_err(at)?.map_or(0, |newest| newest.number);
        let witnessed = witness.map_or(0, |witness| witness.generation.number);
        let next = Generation::new(newest.max(witnessed).saturating_add(1), wall())?;
        let held =
            if self.access == Access::WriteHandedOver { batch::Held::Allow } else { batch::Held::Refuse };
        let witness_file = self.installation.witness_file.as_ref().map(|path| path.to_string_lossy());
        batch::directly(self.db, self.chain, self.master, held, |db: &Connection, tail: &Tail<'_>| {
            for statement in statements {
                db.execute(statement, [])?;
            }
            if self.access == Access::Serve {
                db.execute("UPDATE meta SET witness_file = ?1", [&witness_file])?;
            }
            generation::insert(db, &next)?;
            event.iter().try_for_each(|event| tail.append(db, event))
        })
        .map_err(at)?;
        write_witness(self.installation, origin.installation, next)
    }
}

/// Marks that a start has begun that will write the first witness. If it is interrupted, a missing witness is no sign
/// of old files.
pub(super) fn make_marker(installation: &Installation) -> Result<(), StoreError> {
    let (files, marker) = (&*installation.files, installation.starting());
    match files.write_new(&marker, b"") {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(|e| StoreError::file(&marker, "create", &e))?,
    }
    files.sync_directory(&installation.dir).map_err(|e| StoreError::file(&marker, "create", &e))
}

pub(super) fn remove_marker(installation: &Installation) -> Result<(), StoreError> {
    remove_if_there(&*installation.files, &installation.starting())
}

/// Removes a file, durably, if it exists.
pub(super) fn remove_if_there(files: &dyn Files, path: &std::path::Path) -> Result<(), StoreError> {
    let failed = |e: &io::Error| StoreError::file(path, "remove", e);
    match files.remove(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => {
            removed.map_err(|e| failed(&e))?;
            files.sync_directory(directory_of(path)).map_err(|e| failed(&e))
        }
    }
}

/// Every epoch differs from every other by chance, in every copy of the file.
pub(super) const RAISE_EPOCH: &str =
    "UPDATE meta SET state_epoch = state_epoch + 1 + (random() & 0xffffffff)";

/// Writes the witness.
pub(super) fn write_witness(
    installation: &Installation,
    id: [u8; 16],
    generation: Generation,
) -> Result<(), StoreError> {
    let path = installation.witness();
    let witness = Witness { installation: id, generation };
    witness
        .write(&*installation.files, &path)
        .map_err(|e| StoreError::WitnessNotWritten { path, cause: e.to_string() })
}
