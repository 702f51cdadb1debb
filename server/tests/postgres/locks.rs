//! Nobody changes what a commit rests on between the moment when it is read and the moment when the commit is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::thread;

use gatepass_core::records::role::{Role, Roles};
use gatepass_core::records::user::{Status, User};
use gatepass_core::store::change::{Change, Outcome};
use gatepass_tests::fixtures;

use crate::cluster::Cluster;
use crate::fixture::{alice, ticket};
use crate::kit::{self, Tried};
use crate::records::{Process, redemption};
use crate::session::Session;
use crate::triggers::HeldWrites;

/// Returns the rows that a change rests on: the tables and the conditions by which they are found.
fn rests_on(change: &Change) -> Vec<(&'static str, String)> {
    let text = |column: &str, value: &str| format!("{column} = '{value}'");
    let digest = |digest: &[u8; 32]| {
        digest.iter().fold("digest = '\\x".to_owned(), |mut sql, byte| {
            write!(sql, "{byte:02x}").unwrap();
            sql
        }) + "'"
    };
    let meta = || ("meta", "true".to_owned());
    match change {
        Change::RequireStateEpoch(_)
        | Change::RequireSigningKey(_)
        | Change::InsertKey { .. }
        | Change::ActivateKey { .. }
        | Change::StopKey { .. }
        | Change::RetireKey { .. } => vec![meta()],
        Change::RequireUserEpoch { id, .. } | Change::RaiseEpoch { id, .. } | Change::DeleteUser(id) => {
            vec![("users", text("id", id.as_str()))]
        }
        Change::UpdateUser(user) => vec![("users", text("id", user.id.as_str()))],
        Change::RequireClientEpoch { id, .. } | Change::DeleteClient(id) => {
            vec![("clients", text("id", id.as_str()))]
        }
        Change::UpdateClient(client) => vec![("clients", text("id", client.id.as_str()))],
        Change::RecordSecretUse(used) => vec![("clients", text("id", used.client.as_str()))],
        Change::RequireAnotherOfficer { besides } => {
            let officers = Roles::of(&[Role::Officer]).bits();
            vec![("users", format!("roles & {officers} <> 0 AND status = 'active' AND id <> '{besides}'"))]
        }
        Change::RequireLiveSession(id) | Change::EndSession { id, .. } => {
            vec![("sessions", text("id", id.as_str()))]
        }
        Change::SpendTicket { digest: ticket, .. } | Change::RepeatTicket { digest: ticket, .. } => {
            vec![("tickets", digest(&ticket.0))]
        }
        Change::RevokeTicket { id, .. } => vec![("tickets", text("id", id.as_str()))],
        Change::InsertSession { session, .. } => vec![("users", text("id", session.user_id.as_str()))],
        Change::RotateRefresh { digest: token, successor, .. } => vec![
            ("refresh_tokens", digest(&token.0)),
            ("sessions", text("id", successor.session_id.as_str())),
        ],
        Change::CountRefresh(token) | Change::RequireUnusedRefresh(token) => {
            vec![("refresh_tokens", digest(&token.0))]
        }
        Change::InsertChallenge(challenge) => {
            vec![("users", text("id", challenge.sign_in.user_id.as_str()))]
        }
        Change::CountWrong { digest: challenge, .. }
        | Change::AnswerChallenge { digest: challenge, .. }
        | Change::RepeatAnswer { digest: challenge, .. }
        | Change::RequireOpenChallenge(challenge) => vec![("challenges", digest(&challenge.0))],
        Change::InsertDevice(device) => vec![
            ("users", text("id", device.user_id.as_str())),
            ("totp_devices", text("user_id", device.user_id.as_str())),
        ],
        Change::VerifyDevice { id, .. } | Change::UseStep { id, .. } | Change::DeleteDevice { id, .. } => {
            vec![("totp_devices", text("id", id.as_str()))]
        }
        Change::AddBackupCodes { user, .. } | Change::KeepBackupCodes { user, .. } => vec![
            ("users", text("id", user.as_str())),
            ("totp_devices", text("user_id", user.as_str())),
            ("backup_codes", text("user_id", user.as_str())),
        ],
        Change::DropBackupCodes(user) => vec![("backup_codes", text("user_id", user.as_str()))],
        Change::UseBackupCode { code, .. } => vec![("backup_codes", digest(&code.0))],
        Change::SetLockout { user, .. } => {
            vec![("users", text("id", user.as_str())), ("factor_guesses", text("user_id", user.as_str()))]
        }
        Change::RecordSignIn { user, .. } | Change::CountFailure { user, .. } => {
            vec![("users", text("id", user.as_str())), ("habits", text("user_id", user.as_str()))]
        }
        Change::SetPlaceLockout { user, .. } => vec![("habits", text("user_id", user.as_str()))],
        Change::SetPassword { user, .. } => {
            vec![("users", text("id", user.as_str())), ("passwords", text("user_id", user.as_str()))]
        }
        Change::ReplacePasswordHash { user, .. } | Change::SetPasswordLockout { user, .. } => {
            vec![("passwords", text("user_id", user.as_str()))]
        }
        Change::InsertTicket(_)
        | Change::RevokeToken { .. }
        | Change::InsertUser(_)
        | Change::InsertClient(_)
        | Change::UseAssertion(_)
        | Change::Audit(_)
        | Change::Probe
        | Change::DummyWrite => vec![],
    }
}

fn name(change: &Change) -> String {
    format!("{change:?}").split([' ', '(', '{']).next().unwrap().to_owned()
}

/// The number of kinds of change, each with a table that it rests on.
const LOCKS: usize = 54;

/// Adds two officers, and requires that there is another one than the first.
fn officers() -> [Tried; 2] {
    let officer = |name| User { roles: Roles::of(&[Role::Officer]), ..fixtures::user(name, Status::Active) };
    let added: Vec<_> = ["lea", "leo"].map(officer).map(Change::InsertUser).into();
    let another = Change::RequireAnotherOfficer { besides: fixtures::user_id("lea") };
    [added, vec![another]].map(|changes| Tried {
        changes: changes.into(),
        outcome: Outcome::Applied,
        is_new: true,
    })
}

#[test]
fn what_a_commit_rests_on_is_locked_until_it_is_there() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let (process, session, other) = (Process::command(&url), Session::open(&url), Session::open(&url));
    let writes = HeldWrites::install(&session);
    let (mut locked, mut open) = (BTreeSet::new(), BTreeSet::new());
    for tried in kit::commits().into_iter().chain(officers()) {
        let commit = || process.commit(tried.changes.iter().cloned());
        let mut rows = BTreeMap::new();
        for (change, (table, row)) in
            tried.changes.iter().flat_map(|c| rests_on(c).into_iter().map(move |r| (c, r)))
        {
            rows.insert(format!("{table} for {}", name(change)), (table, row));
        }
        // Each once; and what the commit itself inserts is nobody's yet.
        rows.retain(|lock, (table, row)| {
            let exists = format!("SELECT EXISTS (SELECT FROM {table} WHERE {row})");
            !locked.contains(lock) && session.value(&exists) == "t"
        });
        if tried.outcome != Outcome::Applied || rows.is_empty() {
            assert_eq!(commit(), tried.outcome, "{:?}", tried.changes);
            continue;
        }
        writes.close();
        thread::scope(|scope| {
            let applied = scope.spawn(commit);
            writes.wait_until_held();
            for (lock, (table, row)) in rows {
                // What an update locks that leaves the key as it is.
                let update = format!("SELECT FROM {table} WHERE {row} FOR NO KEY UPDATE NOWAIT");
                if other.run(&update).is_ok() {
                    open.insert(lock.clone());
                }
                locked.insert(lock);
            }
            writes.open();
            assert_eq!(applied.join().unwrap(), Outcome::Applied, "{:?}", tried.changes);
        });
    }
    assert_eq!(open, BTreeSet::new(), "of {locked:?}");
    assert_eq!(locked.len(), LOCKS, "{locked:?}");
}

#[test]
fn who_ends_the_sessions_of_a_user_waits_for_a_redemption_that_rests_on_them() {
    let cluster = Cluster::start();
    let url = cluster.url(&cluster.database());
    let (process, session, other) =
        (Process::command(&url).with_records(), Session::open(&url), Session::open(&url));
    assert_eq!(process.commit([Change::InsertTicket(ticket(1))]), Outcome::Applied);
    let writes = HeldWrites::install(&session);
    writes.close();
    thread::scope(|scope| {
        let redeemed = scope.spawn(|| process.commit(redemption(1, 1)));
        writes.wait_until_held();
        let pid = other.pid();
        let ended = scope.spawn(move || {
            let sql = format!("UPDATE users SET epoch = epoch + 1 WHERE id = '{}'", alice());
            other.run(&sql).unwrap();
            other.value("SELECT count(*) FROM sessions")
        });
        while session.value(&format!("SELECT cardinality(pg_blocking_pids({pid})) > 0")) != "t" {
            assert!(!ended.is_finished(), "the update does not wait");
        }
        writes.open();
        assert_eq!(redeemed.join().unwrap(), Outcome::Applied);
        assert_eq!(ended.join().unwrap(), "1");
    });
}
