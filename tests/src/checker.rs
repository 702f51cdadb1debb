//! A model checker: visits every state of a space, breadth first, so that the first violation found is the shortest.

use std::collections::HashSet;
use std::hash::Hash;

/// A system that can go on in several ways. Equal states go on in the same ways.
pub trait StateSpace {
    /// Everything that decides how it goes on.
    type State: Clone + Eq + Hash;

    /// Returns the initial state.
    fn initial_state(&mut self) -> Self::State;

    /// Returns every way on from `state`: the event, and the next state or the promise that it breaks.
    fn edges(&mut self, state: &Self::State) -> Vec<Edge<Self::State>>;
}

/// An event, and the state after it or the promise it breaks.
pub type Edge<S> = (String, Result<S, String>);

/// The result of an exploration.
#[derive(Debug)]
pub struct Explored {
    /// The number of distinct states.
    pub states: usize,
    /// The number of transitions between them.
    pub transitions: usize,
    /// The number of events to the farthest state.
    pub depth: usize,
    /// The promise that was broken, if one was.
    pub broken: Option<Broken>,
}

/// A promise that does not hold, and the shortest way there.
#[derive(Debug)]
pub struct Broken {
    /// The promise.
    pub promise: String,
    /// The events in order.
    pub events: Vec<String>,
}

/// A visited state: the one it was first reached from, by which event, and its distance.
struct Visited<S> {
    state: S,
    from: usize,
    event: String,
    depth: usize,
}

/// Visits every state of `space`, up to the first promise that is broken.
pub fn explore<W: StateSpace>(space: &mut W) -> Explored {
    let first = space.initial_state();
    let mut known = HashSet::from([first.clone()]);
    let mut met = vec![Visited { state: first, from: 0, event: String::new(), depth: 0 }];
    let mut transitions = 0;
    let mut at = 0;
    while let Some(Visited { state, depth, .. }) = met.get(at) {
        let depth = depth + 1;
        for (event, outcome) in space.edges(&state.clone()) {
            transitions += 1;
            match outcome {
                Err(promise) => {
                    let mut events = path_to(&met, at);
                    events.push(event);
                    let broken = Some(Broken { promise, events });
                    return Explored { states: met.len(), transitions, depth, broken };
                }
                Ok(next) => {
                    if known.insert(next.clone()) {
                        met.push(Visited { state: next, from: at, event, depth });
                    }
                }
            }
        }
        at += 1;
    }
    let depth = met.last().map_or(0, |last| last.depth);
    Explored { states: met.len(), transitions, depth, broken: None }
}

fn path_to<S>(met: &[Visited<S>], mut at: usize) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(Visited { from, event, .. }) = met.get(at).filter(|_| at > 0) {
        events.push(event.clone());
        at = *from;
    }
    events.reverse();
    events
}
