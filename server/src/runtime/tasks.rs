//! The tasks of administrators: what only the server can do or knows. Each runs on a thread of its own, so that no request waits for
//! one, and few at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatepass_core::admin::{AdminError, Obstacle};
use gatepass_core::api::task::{TaskAnswer, TaskRequest};

use super::metrics;
use super::service::Service;
use super::status;
use crate::secrets::key_generation;
use crate::store::StoreError;
use crate::threads::named;

/// The most tasks at once: a long one takes a processor for seconds.
const AT_ONCE: usize = 2;

/// The tasks that run now.
#[derive(Debug, Default)]
pub struct Tasks {
    running: Arc<AtomicUsize>,
}

/// A task that runs. It is over when this is dropped, also by a panic.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Tasks {
    /// Runs `work` on a thread of its own, makes room for another task, and then calls `then` with the result. Where there is no room,
    /// `then` gets none at once.
    pub fn start<T>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
        then: impl FnOnce(Option<T>) + Send + 'static,
    ) {
        let has_room = self.running.fetch_add(1, Ordering::AcqRel) < AT_ONCE;
        let running = Running(Arc::clone(&self.running));
        if !has_room {
            drop(running);
            return then(None);
        }
        let run = move || {
            let result = work();
            drop(running);
            then(Some(result));
        };
        // A task whose thread cannot start is dropped, and its request with it: that is answered 500.
        if let Err(error) = named("task").spawn(run) {
            tracing::error!(%error, "an administrator's task has no thread");
        }
    }
}

/// Does what an administrator asks for.
pub fn answer(service: &Service, request: &TaskRequest) -> TaskAnswer {
    match request {
        TaskRequest::MakeKey(algorithm) => match key_generation::generate(*algorithm) {
            Ok(key) => TaskAnswer::Key(Box::new(key)),
            Err(failure) => {
                tracing::error!(%failure, "a key that an administrator asked for could not be made");
                TaskAnswer::Failed(AdminError::KeyNotMade)
            }
        },
        TaskRequest::Metrics => match metrics::text(service) {
            Ok(text) => TaskAnswer::Metrics(text),
            Err(failure) => {
                tracing::error!(%failure, "the metrics could not be made");
                TaskAnswer::Failed(AdminError::Unreadable)
            }
        },
        TaskRequest::Status => {
            answered(status::status(service), |status| TaskAnswer::Status(Box::new(status)))
        }
        TaskRequest::Settings => TaskAnswer::Settings(service.settings()),
        TaskRequest::Audit(search) => answered(status::audit_page(service, search), TaskAnswer::Audit),
        TaskRequest::VerifyAudit => answered(status::verify_audit(service), TaskAnswer::AuditVerified),
        TaskRequest::ArchiveAudit(archive) => match status::archive_audit(service, archive) {
            Ok(archived) => TaskAnswer::AuditArchived(archived),
            Err(error) => TaskAnswer::Failed(not_archived(&error)),
        },
        _ => TaskAnswer::Failed(AdminError::Internal),
    }
}

/// Returns the answer with what was read.
fn answered<T>(read: Result<T, StoreError>, answer: impl FnOnce(T) -> TaskAnswer) -> TaskAnswer {
    match read {
        Ok(read) => answer(read),
        Err(error) => {
            tracing::error!(%error, "what an administrator asked for could not be read");
            TaskAnswer::Failed(AdminError::Unreadable)
        }
    }
}

/// Returns the reason for an administrator why no row was archived. The log names the file.
fn not_archived(error: &StoreError) -> AdminError {
    if *error == StoreError::NothingToArchive {
        return AdminError::Refused(Obstacle::NothingToArchive);
    }
    if matches!(error, StoreError::Conflict(_) | StoreError::FileExists(_)) {
        return AdminError::Refused(Obstacle::ArchivedMeanwhile);
    }
    tracing::error!(%error, "the audit rows that an administrator asked for were not archived");
    if matches!(error, StoreError::ChainBroken(_)) {
        AdminError::Refused(Obstacle::AuditBroken)
    } else if matches!(error, StoreError::Unknown(_)) {
        AdminError::Unknown
    } else {
        AdminError::NotApplied
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn few_tasks_run_at_once_and_a_panic_makes_room() {
        let tasks = Tasks::default();
        let (begins, begun) = mpsc::channel();
        let (ends, ended) = mpsc::channel();
        let holds: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (hold, wait) = mpsc::channel::<()>();
                let begins = begins.clone();
                let work = move || {
                    begins.send(()).unwrap();
                    wait.recv().expect("this panics once nothing holds it");
                };
                tasks.start(work, |_| ());
                hold
            })
            .collect();
        assert_eq!([begun.recv(), begun.recv()], [Ok(()), Ok(())]);
        let then = |ends: &mpsc::Sender<Option<u32>>| {
            let ends = ends.clone();
            move |result| ends.send(result).unwrap()
        };
        tasks.start(|| 1, then(&ends));
        assert_eq!(ended.recv(), Ok(None));
        drop(holds);
        while tasks.running.load(Ordering::Acquire) > 0 {
            std::thread::yield_now();
        }
        tasks.start(|| 2, then(&ends));
        assert_eq!(ended.recv(), Ok(Some(2)));
    }

    #[test]
    fn a_task_makes_room_before_its_result_is_known() {
        let tasks = Tasks::default();
        let (ends, ended) = mpsc::channel();
        for _ in 0..100 {
            for number in 0..AT_ONCE {
                let ends = ends.clone();
                tasks.start(move || number, move |result| ends.send(result.is_some()).unwrap());
            }
            assert_eq!([ended.recv(), ended.recv()], [Ok(true), Ok(true)]);
        }
    }
}
