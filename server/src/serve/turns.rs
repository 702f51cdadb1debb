//! Turns at something that takes much memory: so many at once, so many waiting, and the rest are refused.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The turns that there are.
#[derive(Debug)]
pub struct Turns {
    at_once: usize,
    waiting: usize,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    waiting: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the turn"]
pub struct Turn<'a>(&'a Turns);

impl Turns {
    /// `at_once` turns, at least one, and as many as `waiting` who wait for theirs.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        Self { at_once: at_once.max(1), waiting, state: Mutex::default(), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A turn, waited for if need be; none where too many wait already.
    pub fn take(&self) -> Option<Turn<'_>> {
        let mut state = self.state();
        if state.taken >= self.at_once {
            if state.waiting >= self.waiting {
                return None;
            }
            state.waiting += 1;
            let full = |state: &mut State| state.taken >= self.at_once;
            state = self.ended.wait_while(state, full).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.taken += 1;
        Some(Turn(self))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state().taken -= 1;
        self.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread;

    #[test]
    fn so_many_at_once_so_many_waiting_and_no_more() {
        let turns = Turns::new(2, 1);
        let first = turns.take().unwrap();
        let second = turns.take().unwrap();
        let (tell, told) = channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let third = turns.take();
                tell.send(third.is_some()).unwrap();
                drop(third);
            });
            while turns.state().waiting == 0 {
                thread::yield_now();
            }
            assert!(turns.take().is_none(), "one more than may wait");
            assert!(told.try_recv().is_err(), "the third waits");
            drop(first);
            assert!(told.recv().unwrap());
        });
        drop(second);
        assert!(turns.take().is_some());
    }
}
