//! The same thing at once: what one commit alone may do, and what no snapshot may show.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::records::client::Client;
use crate::records::factor::{Lockout, LockoutOf, MAX_DEVICES};
use crate::records::signing_key::KeyState;
use crate::records::user::User;
use crate::store::Store;
use crate::store::change::{Change, Outcome};
use crate::store::check::sample::{NOW, Sample};
use crate::store::check::{BrokenPromise, Report};
use crate::store::query::{BearerQuery, Found, PersonQuery, Query, Records};

/// Commits at once in one round.
const AT_ONCE: u64 = 8;

/// Rounds of each race: what goes wrong seldom goes wrong in one of them.
const ROUNDS: u64 = 24;

/// The first number of a race's sample, far from those of the other check.
const FIRST: u64 = 1_000_000;

/// One thread's part of a race.
pub type Job<'a> = &'a (dyn Fn() + Sync);

/// One race: what is written before, and the commits at once, of which exactly one is applied.
type Race = (&'static str, &'static str, fn(&Sample) -> (Vec<Change>, Vec<Vec<Change>>));

const RACES: &[Race] = &[
    ("SpendTicket", "one ticket is spent by several at once", |s| {
        (Vec::from([s.issue(1)]), (1..=AT_ONCE).map(|n| Vec::from([s.spend(1), s.begin(n)])).collect())
    }),
    ("RotateRefresh", "one refresh token is used by several at once", |s| {
        (Vec::from([s.begin(1)]), (2..2 + AT_ONCE).map(|n| Vec::from([s.rotate(1, n, 1, 1)])).collect())
    }),
    ("AnswerChallenge", "one challenge is answered by several at once", |s| {
        (Vec::from([s.ask(1)]), (1..=AT_ONCE).map(|n| Vec::from([s.answer(1, 0), s.begin(n)])).collect())
    }),
    ("UseBackupCode", "one backup code is used by several at once", |s| {
        let codes = Vec::from([s.enrol(1), s.add_codes(1, 1..=3), s.verify(1, 7)]);
        (codes, (1..=AT_ONCE).map(|n| Vec::from([s.use_code("alice", 1), s.begin(n)])).collect())
    }),
    ("UseStep", "one code is accepted of several at once", |s| {
        let device = Vec::from([s.enrol(1), s.verify(1, 7)]);
        (device, (1..=AT_ONCE).map(|n| Vec::from([s.use_step(1, 7, 8), s.begin(n)])).collect())
    }),
    ("SetPasswordLockout", "several guess at once", |s| {
        let (before, after) = (Lockout::default(), Lockout { wrong: 1, ..Lockout::default() });
        let guess = Change::SetPasswordLockout { user: s.user_id("alice"), before, after };
        (Vec::from([s.set_password(1)]), (0..AT_ONCE).map(|_| Vec::from([guess.clone()])).collect())
    }),
    ("ReplacePasswordHash", "one hash is replaced by several at once", |s| {
        let replace = |n| Vec::from([s.replace_hash(1, n)]);
        (Vec::from([s.set_password(1)]), (2..2 + AT_ONCE).map(replace).collect())
    }),
    ("SetPlaceLockout", "several guess from one place at once", |s| {
        let guess = s.guess_at(1, LockoutOf::Password, Lockout::NONE, Lockout { wrong: 1, ..Lockout::NONE });
        (Vec::from([s.learn(1, NOW)]), (0..AT_ONCE).map(|_| Vec::from([guess.clone()])).collect())
    }),
    ("UpdateUser", "one user is updated by several at once", |s| {
        let update = |n| Change::UpdateUser(User { updated_at: NOW.plus(n), ..s.user("alice") });
        (Vec::new(), (1..=AT_ONCE).map(|n| Vec::from([update(n)])).collect())
    }),
    ("InsertUser", "one user name is given to several at once", |s| {
        let username = || s.user("carol").username;
        let user = |n: u64| User { username: username(), ..s.user(&format!("carol{n}")) };
        (Vec::new(), (1..=AT_ONCE).map(|n| Vec::from([Change::InsertUser(user(n))])).collect())
    }),
    ("InsertDevice", "the last device that there is room for is inserted by several at once", |s| {
        let most = u64::try_from(MAX_DEVICES).unwrap_or_default();
        let devices = (1..most).map(|n| s.enrol(n)).collect();
        (devices, (0..AT_ONCE).map(|n| Vec::from([s.enrol(n + 100)])).collect())
    }),
    ("InsertKey", "several keys are added at once", |s| {
        (Vec::new(), (1..=AT_ONCE).map(|n| Vec::from([s.insert_key(n, KeyState::Signing, 0)])).collect())
    }),
    // Neither writes what the other one writes: a snapshot alone does not tell them apart.
    ("RequireLiveSession", "two sessions end each other at once", |s| {
        let live = |n| Change::RequireLiveSession(s.session_id(n));
        let ends = |by, other| Vec::from([live(by), s.end(other)]);
        (Vec::from([s.begin(1), s.begin(2)]), Vec::from([ends(1, 2), ends(2, 1)]))
    }),
    ("RequireUserEpoch", "two people disable each other at once", |s| {
        let is = |name| Change::RequireUserEpoch { id: s.user_id(name), epoch: 0 };
        let disabled = |name| {
            let mut user = s.user(name);
            user.disable();
            Change::UpdateUser(user)
        };
        let disables = |by, other| Vec::from([is(by), disabled(other)]);
        (Vec::new(), Vec::from([disables("alice", "bob"), disables("bob", "alice")]))
    }),
];

/// Does the same things at once, several times each. `run` runs all jobs it is given at the same time, each on a thread of its own, and
/// returns once all of them have:
///
/// ```
/// use gatepass_core::store::check::check_races;
/// # use gatepass_core::{Change, Found, Outcome, Query, Store, store::memory::Tables};
/// # struct Locked(std::sync::Mutex<Tables>);
/// # impl Store for Locked {
/// #     fn read(&self, query: &Query) -> Found { self.0.lock().unwrap().read(query) }
/// #     fn commit(&self, changes: &std::sync::Arc<[Change]>) -> Outcome { self.0.lock().unwrap().commit(changes) }
/// # }
/// # let store = Locked(Tables::default().into());
///
/// check_races(&store, |jobs| std::thread::scope(|scope| jobs.iter().for_each(|job| { scope.spawn(job); })))
///     .expect("a store whose commits do not mix");
/// ```
///
/// # Errors
/// [`BrokenPromise`] says what two commits did at once that one alone may do, or what a snapshot showed of half a commit.
pub fn check_races(store: &(impl Store + Sync), run: impl Fn(&[Job<'_>])) -> Result<Report, BrokenPromise> {
    let sample = |number| {
        let Found { state_epoch, generation, .. } = store.read(&Query::Generation);
        Sample { number, state_epoch, generation }
    };
    let mut report = Report::default();
    for (race, (subject, case, make)) in (0..).zip(RACES) {
        for round in 0..ROUNDS {
            let sample = sample(FIRST + race * ROUNDS + round);
            let (before, commits) = make(&sample);
            prepare(store, &sample, subject, case, &before)?;
            report.commits += commits.len();
            race_once(store, &run, commits).map_err(|found| broken(subject, case, found))?;
        }
        report.cases += 1;
    }
    report.reads = half_commits(store, &run, &sample(FIRST - 1))?;
    report.cases += 1;
    Ok(report)
}

fn broken(subject: &str, case: &'static str, found: String) -> BrokenPromise {
    BrokenPromise { subject: subject.into(), case, found }
}

fn prepare(
    store: &impl Store,
    sample: &Sample,
    subject: &str,
    case: &'static str,
    before: &[Change],
) -> Result<(), BrokenPromise> {
    let changes = sample.everybody().into_iter().chain(before.iter().cloned()).collect();
    match store.commit(&changes) {
        Outcome::Applied => Ok(()),
        other @ (Outcome::Conflict | Outcome::NotApplied | Outcome::Unknown) => {
            Err(broken(subject, case, format!("The store answers {other:?} to what is written before")))
        }
    }
}

/// Commits all at once, of which one has to be applied. A store may be unable to do what comes second.
fn race_once(
    store: &(impl Store + Sync),
    run: impl Fn(&[Job<'_>]),
    commits: Vec<Vec<Change>>,
) -> Result<(), String> {
    let [applied, unknown] = [const { AtomicU64::new(0) }; 2];
    let jobs: Vec<_> = commits
        .into_iter()
        .map(|changes| {
            let (applied, unknown) = (&applied, &unknown);
            let changes = changes.into();
            move || match store.commit(&changes) {
                Outcome::Applied => drop(applied.fetch_add(1, Ordering::SeqCst)),
                Outcome::Unknown => drop(unknown.fetch_add(1, Ordering::SeqCst)),
                Outcome::Conflict | Outcome::NotApplied => {}
            }
        })
        .collect();
    let mut all: Vec<Job<'_>> = Vec::with_capacity(jobs.len());
    for job in &jobs {
        all.push(job);
    }
    run(&all);
    match (applied.load(Ordering::SeqCst), unknown.load(Ordering::SeqCst)) {
        (1, 0) => Ok(()),
        (applied, 0) => {
            Err(format!("{applied} of {} commits were applied where exactly one holds", jobs.len()))
        }
        (_, unknown) => Err(format!("The outcome of {unknown} commits is unknown")),
    }
}

/// One job writes two records in each commit, the others read both in one snapshot. Returns how often.
fn half_commits(
    store: &(impl Store + Sync),
    run: impl Fn(&[Job<'_>]),
    sample: &Sample,
) -> Result<usize, BrokenPromise> {
    let case = "a user and a client are read while commits write both";
    prepare(store, sample, "UpdateUser", case, &[])?;
    let person = PersonQuery { user: sample.user_id("alice"), session: sample.session_id(1), actor: None };
    let bearer = BearerQuery {
        client: sample.client_id("portal"),
        token_id: sample.token_id(1),
        person: Some(person),
    };
    let query = Query::Bearer(bearer);
    let [torn, refused] = [const { AtomicU64::new(0) }; 2];
    let revisions = 4 * ROUNDS;
    let write = || {
        for revision in 0..revisions {
            let user = Change::UpdateUser(User { revision, ..sample.user("alice") });
            let client = Change::UpdateClient(Client { revision, ..sample.client("portal") });
            if store.commit(&Vec::from([user, client]).into()) != Outcome::Applied {
                refused.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    let read = || {
        for _ in 0..revisions {
            let Records::Bearer(found) = store.read(&query).records else { continue };
            let revisions =
                (found.user.map(|user| user.revision), found.client.map(|client| client.revision));
            if revisions.0 != revisions.1 {
                torn.fetch_add(1, Ordering::SeqCst);
            }
        }
    };
    run(&[&write, &read, &read]);
    match (refused.into_inner(), torn.into_inner()) {
        (0, 0) => Ok(usize::try_from(2 * revisions).unwrap_or_default()),
        (0, torn) => Err(broken("Query::Bearer", case, format!("{torn} snapshots show half a commit"))),
        (refused, _) => {
            Err(broken("UpdateUser", case, format!("{refused} commits of the only writer were not applied")))
        }
    }
}
