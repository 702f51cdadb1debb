//! The honest users: they sign in at a modest rate, whatever the others do.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use gatepass_tests::http::TestRequest;
use serde_json::json;

use crate::place::{Place, USERS, login, ticket_signin};

/// The ways in which honest users come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// By password, from an address that lately succeeded.
    Known,
    /// By password, from a fresh address.
    Fresh,
    /// By a ticket that a backend issues for them, from a fresh address.
    Ticket,
}

impl Group {
    pub(crate) const ALL: [Self; 3] = [Self::Known, Self::Fresh, Self::Ticket];

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Known => "known addresses",
            Self::Fresh => "fresh addresses",
            Self::Ticket => "by ticket",
        }
    }

    /// Signs in once, and returns the status; 0 is none.
    fn sign_in(self, place: &Place, number: u32, issuing: &str) -> u16 {
        let user = number as usize % USERS;
        let fresh = Ipv4Addr::from_bits(0x6440_0000 | (number << 2 | self as u32)).to_string();
        let status = |request: &TestRequest| place.ask(request).map_or(0, |answer| answer.status);
        match self {
            Self::Known => status(&known(user)),
            Self::Fresh => status(&login(&format!("fresh{user}"), &fresh)),
            Self::Ticket => {
                let body = json!({"user_id": format!("ticket{user}")});
                let issue = TestRequest::json("/auth/generate-ticket", &body).bearer(issuing);
                match place.ask(&issue) {
                    Some(answer) if answer.status == 200 => {
                        status(&ticket_signin(&answer.text("ticket"), &fresh))
                    }
                    Some(answer) => answer.status,
                    None => 0,
                }
            }
        }
    }
}

/// Each known user has an address of their own, in a network of its own.
fn known(user: usize) -> TestRequest {
    login(&format!("known{user}"), &format!("192.0.{user}.1"))
}

/// Has every known user sign in before anything begins.
pub(crate) fn settle(place: &Place) {
    for user in 0..USERS {
        assert_eq!(place.ask(&known(user)).map(|answer| answer.status), Some(200));
    }
}

/// The fate of a group.
pub(crate) struct Fate {
    statuses: BTreeMap<u16, usize>,
    /// Of those who got in, in milliseconds, sorted.
    latencies: Vec<f64>,
}

/// Has each group sign in `rate` times a second for `time`, in turns, whether or not earlier ones have their answers.
pub(crate) fn sign_in_for(place: &Place, time: Duration, rate: u32) -> Vec<Fate> {
    let issuing = place.issuing_token();
    let begin = Instant::now();
    let total = rate.saturating_mul(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
    thread::scope(|scope| {
        let mut running: Vec<Vec<_>> = Group::ALL.map(|_| Vec::new()).into();
        for number in 0..total {
            for (turn, (group, running)) in (0..).zip(Group::ALL.into_iter().zip(&mut running)) {
                let due = Duration::from_secs(1) * number / rate + Duration::from_secs(1) * turn / (rate * 3);
                thread::sleep((begin + due).saturating_duration_since(Instant::now()));
                let issuing = issuing.as_str();
                running.push(scope.spawn(move || {
                    let since = Instant::now();
                    let status = group.sign_in(place, number, issuing);
                    (status, since.elapsed())
                }));
            }
        }
        running.into_iter().map(Fate::of).collect()
    })
}

impl Fate {
    fn of(running: Vec<thread::ScopedJoinHandle<'_, (u16, Duration)>>) -> Self {
        let (mut statuses, mut latencies) = (BTreeMap::new(), Vec::new());
        for one in running {
            let (status, took) = one.join().expect("an honest user");
            *statuses.entry(status).or_default() += 1;
            if status == 200 {
                latencies.push(took.as_secs_f64() * 1000.0);
            }
        }
        latencies.sort_unstable_by(f64::total_cmp);
        Self { statuses, latencies }
    }

    fn percentile(&self, share: f64) -> f64 {
        let at = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(at.min(self.latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.statuses.values().sum();
        let share = 100.0 * self.latencies.len() as f64 / all.max(1) as f64;
        write!(f, "{share:.1} % ({:.0} / {:.0} ms", self.percentile(0.5), self.percentile(0.99))?;
        for (status, count) in self.statuses.iter().filter(|(status, _)| **status != 200) {
            match status {
                0 => write!(f, "; none × {count}")?,
                status => write!(f, "; {status} × {count}")?,
            }
        }
        f.write_str(")")
    }
}
