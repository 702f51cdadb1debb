//! Turns at hashing passwords: so many at once, each in memory that is kept, so many waiting, and the rest are refused.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use gatepass_core::model::password::Workspace;

/// The turns that there are.
#[derive(Debug)]
pub struct Turns {
    waiting: usize,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug)]
struct State {
    /// The memory of the turns that nobody has.
    free: Vec<Workspace>,
    waiting: usize,
    /// Whether it was told that somebody was refused, since there was last room.
    told: bool,
}

impl Turns {
    /// `at_once` turns, at least one, and as many as `waiting` who wait for theirs.
    pub fn new(at_once: usize, waiting: usize) -> Self {
        let free = (0..at_once.max(1)).map(|_| Workspace::default()).collect();
        Self { waiting, state: Mutex::new(State { free, waiting: 0, told: false }), ended: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` in a turn, waited for if need be.
    ///
    /// # Errors
    /// Gives `work` back where too many wait already.
    pub fn take<W, T>(&self, work: W, run: impl FnOnce(W, &mut Workspace) -> T) -> Result<T, W> {
        match self.workspace() {
            None => Err(work),
            Some(workspace) => {
                let mut turn = Turn { turns: self, workspace };
                Ok(run(work, &mut turn.workspace))
            }
        }
    }

    fn workspace(&self) -> Option<Workspace> {
        let mut state = self.state();
        if state.free.is_empty() {
            if state.waiting >= self.waiting {
                if !state.told {
                    tracing::warn!("too many sign-ins by password wait, the next are answered 503");
                    state.told = true;
                }
                return None;
            }
            state.waiting += 1;
            let none_free = |state: &mut State| state.free.is_empty();
            state = self.ended.wait_while(state, none_free).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
            state.told &= state.waiting > 0;
        }
        state.free.pop()
    }
}

/// A turn: its memory is given back whatever becomes of the work.
struct Turn<'a> {
    turns: &'a Turns,
    workspace: Workspace,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.state().free.push(std::mem::take(&mut self.workspace));
        self.turns.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::thread;

    #[test]
    fn so_many_at_once_so_many_waiting_and_no_more() {
        let turns = Turns::new(1, 1);
        let (begin, begun) = channel();
        let (end, ended) = channel();
        let turns = &turns;
        thread::scope(|scope| {
            let take = |(begin, ended): (Sender<()>, Receiver<()>)| {
                let work = |(begin, ended): (Sender<()>, Receiver<()>), _: &mut Workspace| {
                    begin.send(()).unwrap();
                    ended.recv().unwrap();
                };
                turns.take((begin, ended), work).is_ok()
            };
            let first = scope.spawn(move || take((begin, ended)));
            begun.recv().unwrap();
            let second = scope.spawn(|| turns.take((), |(), _| ()).is_ok());
            while turns.state().waiting == 0 {
                thread::yield_now();
            }
            assert!(turns.take((), |(), _| ()).is_err(), "one more than may wait");
            end.send(()).unwrap();
            assert!(first.join().unwrap() && second.join().unwrap());
        });
        assert!(turns.take((), |(), _| ()).is_ok());
    }

    #[test]
    fn a_turn_ends_where_its_work_panics() {
        let turns = Turns::new(1, 0);
        let panicked =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turns.take((), |(), _| panic!("work"))));
        assert!(panicked.is_err() && turns.take((), |(), _| ()).is_ok());
    }
}
