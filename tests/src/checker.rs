//! A model checker: every state that a world can come to, breadth first, so that what it finds first is shortest.

use std::collections::HashSet;
use std::hash::Hash;

/// Something that can go on in several ways. Two states that are equal go on alike.
pub trait World {
    /// All that decides how it goes on.
    type State: Clone + Eq + Hash;

    /// Where it begins.
    fn begins(&mut self) -> Self::State;

    /// Every way on from `state`: what happens, and what comes of it, or the promise that it breaks.
    fn ways_on(&mut self, state: &Self::State) -> Vec<Way<Self::State>>;
}

/// What happens, and the state after it or the promise it breaks.
pub type Way<S> = (String, Result<S, String>);

/// How far a world was seen.
#[derive(Debug)]
pub struct Explored {
    /// States, each counted once.
    pub states: usize,
    /// Ways from one to another.
    pub transitions: usize,
    /// How many events the farthest state is away.
    pub depth: usize,
    /// How a promise was broken, if one was.
    pub broken: Option<Broken>,
}

/// A promise that does not hold, and the shortest way there.
#[derive(Debug)]
pub struct Broken {
    /// Which.
    pub promise: String,
    /// What happened, in order.
    pub events: Vec<String>,
}

/// A state's place in the order in which states were met, how it was met first, and how far away it is.
struct Met<S> {
    state: S,
    from: usize,
    event: String,
    depth: usize,
}

/// Sees every state of `world`, up to the first promise that is broken.
pub fn explore<W: World>(world: &mut W) -> Explored {
    let first = world.begins();
    let mut known = HashSet::from([first.clone()]);
    let mut met = vec![Met { state: first, from: 0, event: String::new(), depth: 0 }];
    let mut transitions = 0;
    let mut at = 0;
    while let Some(Met { state, depth, .. }) = met.get(at) {
        let depth = depth + 1;
        for (event, outcome) in world.ways_on(&state.clone()) {
            transitions += 1;
            match outcome {
                Err(promise) => {
                    let mut events = way_to(&met, at);
                    events.push(event);
                    let broken = Some(Broken { promise, events });
                    return Explored { states: met.len(), transitions, depth, broken };
                }
                Ok(next) => {
                    if known.insert(next.clone()) {
                        met.push(Met { state: next, from: at, event, depth });
                    }
                }
            }
        }
        at += 1;
    }
    let depth = met.last().map_or(0, |last| last.depth);
    Explored { states: met.len(), transitions, depth, broken: None }
}

fn way_to<S>(met: &[Met<S>], mut at: usize) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(Met { from, event, .. }) = met.get(at).filter(|_| at > 0) {
        events.push(event.clone());
        at = *from;
    }
    events.reverse();
    events
}
