//! Guards against panics: the thread of the store is the only one that reads and writes, and a panic harms nobody else.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::store::backend::Then;

/// Runs `work`; returns none if it panics.
pub(super) async fn guarded<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(made)) => Poll::Ready(Some(made)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// Calls `then`, which may panic.
pub(super) fn tell<T>(then: Then<T>, told: T) {
    if catch_unwind(AssertUnwindSafe(|| then(told))).is_err() {
        tracing::error!("what waited for the store panicked");
    }
}
