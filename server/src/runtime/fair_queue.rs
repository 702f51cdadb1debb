//! A queue of bounded length that is fair between the addresses and the accounts that its jobs are for.
//!
//! Jobs wait in two lanes: those of addresses that succeeded lately, and the others. Each lane is sure of half of the
//! places, and may use the other's while they are free. The lanes take turns; in a lane its networks do, and in a network its
//! accounts. So whoever sends much waits for itself.
//!
//! If there is no place, a newcomer takes one from whoever has most: from the other lane if that has more than its
//! half, or else the last place of the network, or of the account, that has the most jobs waiting. If nobody has more than
//! the newcomer would, the newcomer is refused.

use std::collections::VecDeque;
use std::net::IpAddr;

/// The source of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<A> {
    /// The network that the job is for.
    pub(super) network: IpAddr,
    /// The account that it is for.
    pub(super) account: A,
    /// True if the address succeeded lately.
    pub(super) known: bool,
}

/// The queue of jobs `J` for accounts `A`.
#[derive(Debug)]
pub(super) struct FairQueue<A, J> {
    places: usize,
    known: Lane<A, J>,
    unknown: Lane<A, J>,
    /// True if the lane of unknown addresses has its turn.
    unknown_next: bool,
}

/// Networks with waiting jobs, in the order of their turns; none is empty.
type Lane<A, J> = Turns<IpAddr, Turns<A, VecDeque<J>>>;

impl<A: Copy + PartialEq, J> FairQueue<A, J> {
    pub(super) const fn new(places: usize) -> Self {
        Self { places, known: Turns::new(), unknown: Turns::new(), unknown_next: false }
    }

    /// Queues `job`. Returns the job that has no place: another's, or itself.
    pub(super) fn push(&mut self, source: Source<A>, job: J) -> Option<J> {
        let out = if self.known.len() + self.unknown.len() < self.places {
            None
        } else {
            match self.make_room(source) {
                Some(out) => Some(out),
                None => return Some(job),
            }
        };
        self.lane(source.known).add(source.network, |accounts| {
            accounts.add(source.account, |jobs| jobs.push_back(job));
        });
        out
    }

    /// Takes the job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<J> {
        let first = !self.unknown_next;
        let (known, job) =
            [first, !first].into_iter().find_map(|known| Some((known, self.lane(known).pop()?)))?;
        self.unknown_next = known;
        Some(job)
    }

    /// Takes out the job that makes room for one more of `source`.
    fn make_room(&mut self, source: Source<A>) -> Option<J> {
        // Half of the places, rounded up for the known ones: a single place is theirs.
        let share = if source.known { self.places.div_ceil(2) } else { self.places / 2 };
        if self.lane(source.known).len() < share {
            return self.lane(!source.known).pop_last_of_most();
        }
        let lane = self.lane(source.known);
        if lane.most() > lane.len_of(source.network) + 1 {
            return lane.pop_last_of_most();
        }
        let accounts = lane.find(source.network)?;
        if accounts.most() > accounts.len_of(source.account) + 1 { accounts.pop_last_of_most() } else { None }
    }

    const fn lane(&mut self, known: bool) -> &mut Lane<A, J> {
        if known { &mut self.known } else { &mut self.unknown }
    }
}

/// Things that wait in order.
trait Waiting: Default {
    type Job;

    fn len(&self) -> usize;

    fn pop(&mut self) -> Option<Self::Job>;

    /// Takes out the last job of the part that has the most.
    fn pop_last_of_most(&mut self) -> Option<Self::Job>;
}

impl<J> Waiting for VecDeque<J> {
    type Job = J;

    fn len(&self) -> usize {
        self.len()
    }

    fn pop(&mut self) -> Option<J> {
        self.pop_front()
    }

    fn pop_last_of_most(&mut self) -> Option<J> {
        self.pop_back()
    }
}

/// Parts that take turns. A part is there while it is not empty.
#[derive(Debug)]
struct Turns<K, T>(VecDeque<(K, T)>);

impl<K, T> Turns<K, T> {
    const fn new() -> Self {
        Self(VecDeque::new())
    }
}

impl<K, T> Default for Turns<K, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + PartialEq, T: Waiting> Turns<K, T> {
    fn find(&mut self, key: K) -> Option<&mut T> {
        self.0.iter_mut().find(|(of, _)| *of == key).map(|(_, part)| part)
    }

    fn len_of(&self, key: K) -> usize {
        self.0.iter().find(|(of, _)| *of == key).map_or(0, |(_, part)| part.len())
    }

    /// Returns the most jobs that a part has.
    fn most(&self) -> usize {
        self.0.iter().map(|(_, part)| part.len()).max().unwrap_or_default()
    }

    /// Adds to the part of `key`. A new one has its turn last.
    fn add(&mut self, key: K, add: impl FnOnce(&mut T)) {
        if let Some(part) = self.find(key) {
            return add(part);
        }
        let mut part = T::default();
        add(&mut part);
        self.0.push_back((key, part));
    }
}

impl<K: Copy + PartialEq, T: Waiting> Waiting for Turns<K, T> {
    type Job = T::Job;

    fn len(&self) -> usize {
        self.0.iter().map(|(_, part)| part.len()).sum()
    }

    fn pop(&mut self) -> Option<T::Job> {
        let (key, mut part) = self.0.pop_front()?;
        let job = part.pop();
        if part.len() > 0 {
            self.0.push_back((key, part));
        }
        job
    }

    fn pop_last_of_most(&mut self) -> Option<T::Job> {
        let most = self.most();
        let index = self.0.iter().rposition(|(_, part)| part.len() == most)?;
        let (_, part) = self.0.get_mut(index)?;
        let job = part.pop_last_of_most();
        if part.len() == 0 {
            self.0.remove(index);
        }
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A job of an address, with its account, its lane and its number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Job(u32, char, bool, usize);

    fn push(queue: &mut FairQueue<char, Job>, job: Job) -> Option<Job> {
        let source = Source { network: IpAddr::from(job.0.to_be_bytes()), account: job.1, known: job.2 };
        queue.push(source, job)
    }

    /// Pushes jobs, written as `address account` with `+` for an address that succeeded lately.
    fn push_all(queue: &mut FairQueue<char, Job>, jobs: &str) -> String {
        let mut out = Vec::new();
        for (number, text) in jobs.split_whitespace().enumerate() {
            let known = text.ends_with('+');
            let mut letters = text.chars();
            let (address, account) = (letters.next().unwrap(), letters.next().unwrap());
            out.extend(push(queue, Job(u32::from(address), account, known, number)));
        }
        shown(out)
    }

    fn shown(jobs: impl IntoIterator<Item = Job>) -> String {
        let one = |Job(address, account, known, _)| {
            format!("{}{account}{}", char::from_u32(address).unwrap(), if known { "+" } else { "" })
        };
        jobs.into_iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn drained(queue: &mut FairQueue<char, Job>) -> String {
        shown(std::iter::from_fn(|| queue.pop()))
    }

    #[test]
    fn who_has_turns_and_who_is_put_out() {
        for (places, pushed, out, order) in [
            // Turns of addresses, and in an address of accounts.
            (8, "Ax Ax Ax Bx Cx", "", "Ax Bx Cx Ax Ax"),
            (8, "Ax Ax Ay Az Bx", "", "Ax Bx Ay Az Ax"),
            // Turns of the lanes.
            (8, "Ax Bx Cx Dx+ Ex+", "", "Dx+ Ax Ex+ Bx Cx"),
            // Two connections that post unknown names do not fill it.
            (4, "Ax Ay Bx Cx", "", "Ax Bx Cx Ay"),
            (4, "Ax Ay Bx Cx Dx", "Ay", "Ax Bx Cx Dx"),
            // A user with three connections makes room for everybody else.
            (3, "Ax Ax Ax Bx Cx", "Ax Ax", "Ax Bx Cx"),
            (3, "Ax Ax Ax Ay", "Ax", "Ax Ay Ax"),
            // Nobody has more than the newcomer would.
            (3, "Ax Bx Cx Dx", "Dx", "Ax Bx Cx"),
            (4, "Ax Ax Bx Bx Ax", "Ax", "Ax Bx Ax Bx"),
            (4, "Ax Ay Bx By Az", "Az", "Ax Bx Ay By"),
            // Addresses that succeeded lately have half of the places, and each lane uses what is free.
            (4, "Ax Bx Cx Dx Ex+ Fx+ Gx+", "Dx Cx Gx+", "Ex+ Ax Fx+ Bx"),
            (4, "Ax+ Bx+ Cx+ Dx+ Ex Fx Gx", "Dx+ Cx+ Gx", "Ax+ Ex Bx+ Fx"),
            (4, "Ax+ Ax+ Ax+ Ax+ Bx+ Cx+", "Ax+ Ax+", "Ax+ Bx+ Cx+ Ax+"),
            (1, "Ax Bx+ Cx", "Ax Cx", "Bx+"),
            (0, "Ax+ Bx", "Ax+ Bx", ""),
        ] {
            let mut queue = FairQueue::new(places);
            assert_eq!(push_all(&mut queue, pushed), out, "{places} {pushed}");
            assert_eq!(drained(&mut queue), order, "{places} {pushed}");
        }
    }

    #[test]
    fn a_thousand_fresh_addresses_shut_no_known_one_out() {
        let mut queue = FairQueue::new(32);
        for number in 0..1000 {
            push(&mut queue, Job(number, 'x', false, 0));
        }
        for number in 0..16 {
            let out = push(&mut queue, Job(number, 'x', true, 0));
            assert!(matches!(out, Some(Job(_, _, false, _))), "{number}");
        }
        // With a job of each lane at a time, the last known one waits for as many others.
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order.len(), 32);
        assert!(order.iter().step_by(2).all(|job| job.2));
    }

    proptest! {
        /// No job is lost or doubled, the places are never exceeded, and jobs of one account stay in order.
        #[test]
        fn every_job_comes_out_once(
            places in 0_usize..9,
            deeds in prop::collection::vec((prop::bool::weighted(0.7), 0_u32..4, 0_usize..3, any::<bool>()), 0..80),
        ) {
            let mut queue = FairQueue::new(places);
            let (mut waiting, mut pushed) = (Vec::new(), 0);
            for (pushes, address, account, known) in deeds {
                if pushes {
                    let job = Job(address, ['x', 'y', 'z'][account], known, pushed);
                    pushed += 1;
                    waiting.push(job);
                    let full = waiting.len() > places;
                    let out = push(&mut queue, job);
                    prop_assert_eq!(out.is_some(), full, "a place is used while there is one");
                    waiting.retain(|job| Some(*job) != out);
                } else {
                    let job = queue.pop();
                    prop_assert_eq!(job.is_some(), !waiting.is_empty());
                    if let Some(job) = job {
                        let same = |other: &&Job| (other.0, other.1, other.2) == (job.0, job.1, job.2);
                        prop_assert_eq!(waiting.iter().find(same), Some(&job));
                    }
                    waiting.retain(|other| Some(*other) != job);
                }
            }
            let left: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            prop_assert_eq!(left.len(), waiting.len());
            prop_assert!(left.iter().all(|job| waiting.contains(job)));
        }
    }
}
