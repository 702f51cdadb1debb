//! The values that a change overwrites, so that a commit that fails half-way leaves no trace and needs no copy of the
//! tables.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use crate::records::challenge::{Challenge, ChallengeDigest};
use crate::records::client::Client;
use crate::records::client_assertion::AssertionDigest;
use crate::records::factor::{BackupDigest, Lockout, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SessionId, UserId};
use crate::records::password::Password;
use crate::records::session::{RefreshDigest, RefreshToken, Session};
use crate::records::sign_in_history::SignInHistory;
use crate::records::signing_key::StoredKey;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::User;
use crate::store::change::Change;

use crate::store::memory::Tables;

/// The records that one change may write, as they were.
pub(crate) enum Before {
    Nothing,
    User(UserId, Option<User>),
    Client(ClientId, Option<Client>),
    Ticket(TicketDigest, Option<Ticket>),
    Session(SessionId, Option<Session>, Option<(RefreshDigest, Option<RefreshToken>)>),
    Tokens(Vec<(RefreshDigest, Option<RefreshToken>)>),
    Revoked(String, bool),
    Assertion(AssertionDigest, bool),
    Challenge(ChallengeDigest, Option<Challenge>),
    Factors(Vec<TotpDevice>, BTreeMap<(UserId, BackupDigest), DeviceId>),
    Lockout(UserId, Option<Lockout>),
    SignInHistory(UserId, Option<SignInHistory>),
    Password(UserId, Option<Password>),
    Keys(Vec<StoredKey>, u64),
    Audit(usize),
    Everything(Box<Tables>),
}

fn put<K: Ord, V>(table: &mut BTreeMap<K, V>, key: K, before: Option<V>) {
    match before {
        Some(value) => drop(table.insert(key, value)),
        None => drop(table.remove(&key)),
    }
}

impl Before {
    pub(crate) fn of(tables: &Tables, change: &Change) -> Self {
        let user = |id: &UserId| Self::User(id.clone(), tables.users.get(id).cloned());
        let client = |id: &ClientId| Self::Client(id.clone(), tables.clients.get(id).cloned());
        let ticket = |digest: &TicketDigest| Self::Ticket(*digest, tables.tickets.get(digest).cloned());
        let token = |digest: &RefreshDigest| (*digest, tables.refresh_tokens.get(digest).cloned());
        let session = |id: &SessionId, refresh: Option<&RefreshToken>| {
            let refresh = refresh.map(|refresh| token(&refresh.digest));
            Self::Session(id.clone(), tables.sessions.get(id).cloned(), refresh)
        };
        let challenge =
            |digest: &ChallengeDigest| Self::Challenge(*digest, tables.challenges.get(digest).cloned());
        let history = |id: &UserId| Self::SignInHistory(id.clone(), tables.histories.get(id).cloned());
        let password = |id: &UserId| Self::Password(id.clone(), tables.passwords.get(id).cloned());
        match change {
            Change::RequireStateEpoch(_)
            | Change::RequireSigningKey(_)
            | Change::RequireUserEpoch { .. }
            | Change::RequireClientEpoch { .. }
            | Change::RequireAnotherOfficer { .. }
            | Change::RequireLiveSession(_)
            | Change::RequireUnusedRefresh(_)
            | Change::RequireOpenChallenge(_)
            | Change::Probe
            | Change::DummyWrite => Self::Nothing,
            Change::InsertTicket(new) => ticket(&new.digest),
            Change::SpendTicket { digest, .. } | Change::RepeatTicket { digest, .. } => ticket(digest),
            Change::RevokeTicket { id, .. } => {
                tables.tickets.values().find(|t| t.id == *id).map_or(Self::Nothing, |t| ticket(&t.digest))
            }
            Change::InsertSession { session: new, refresh } => session(&new.id, refresh.as_ref()),
            Change::RotateRefresh { digest, successor, .. } => {
                let old = tables.crowded_out(successor);
                let written = [*digest, successor.digest].into_iter().chain(old);
                Self::Tokens(written.map(|digest| token(&digest)).collect())
            }
            Change::CountRefresh(digest) => Self::Tokens(alloc::vec![token(digest)]),
            Change::EndSession { id, .. } => session(id, None),
            Change::RaiseEpoch { id, .. } => user(id),
            Change::RevokeToken { token_id, .. } => {
                Self::Revoked(token_id.clone(), tables.revoked.contains(token_id))
            }
            Change::InsertChallenge(new) => challenge(&new.digest),
            Change::CountWrong { digest, .. }
            | Change::AnswerChallenge { digest, .. }
            | Change::RepeatAnswer { digest, .. } => challenge(digest),
            Change::InsertDevice(_)
            | Change::VerifyDevice { .. }
            | Change::UseStep { .. }
            | Change::DeleteDevice { .. }
            | Change::AddBackupCodes { .. }
            | Change::KeepBackupCodes { .. }
            | Change::DropBackupCodes(_)
            | Change::UseBackupCode { .. } => {
                Self::Factors(tables.devices.clone(), tables.backup_codes.clone())
            }
            Change::SetLockout { user, .. } => Self::Lockout(user.clone(), tables.lockout.get(user).copied()),
            Change::RecordSignIn { user, .. }
            | Change::CountFailure { user, .. }
            | Change::SetPlaceLockout { user, .. } => history(user),
            Change::SetPassword { user, .. }
            | Change::ReplacePasswordHash { user, .. }
            | Change::SetPasswordLockout { user, .. } => password(user),
            Change::InsertUser(new) | Change::UpdateUser(new) => user(&new.id),
            Change::DeleteUser(_) => Self::Everything(Box::new(tables.clone())),
            Change::InsertClient(new) | Change::UpdateClient(new) => client(&new.id),
            Change::DeleteClient(id) => client(id),
            Change::RecordSecretUse(used) => client(&used.client),
            Change::UseAssertion(used) => {
                Self::Assertion(used.digest, tables.used_assertions.contains(&used.digest))
            }
            Change::InsertKey { .. }
            | Change::ActivateKey { .. }
            | Change::StopKey { .. }
            | Change::RetireKey { .. } => Self::Keys(tables.keys.clone(), tables.generation),
            Change::Audit(_) => Self::Audit(tables.audit.len()),
        }
    }

    pub(crate) fn put_back(self, tables: &mut Tables) {
        match self {
            Self::Nothing => {}
            Self::User(id, before) => put(&mut tables.users, id, before),
            Self::Client(id, before) => put(&mut tables.clients, id, before),
            Self::Ticket(digest, before) => put(&mut tables.tickets, digest, before),
            Self::Session(id, before, refresh) => {
                put(&mut tables.sessions, id, before);
                if let Some((digest, before)) = refresh {
                    put(&mut tables.refresh_tokens, digest, before);
                }
            }
            Self::Tokens(tokens) => {
                for (digest, before) in tokens {
                    put(&mut tables.refresh_tokens, digest, before);
                }
            }
            Self::Revoked(_, true) | Self::Assertion(_, true) => {}
            Self::Assertion(digest, false) => drop(tables.used_assertions.remove(&digest)),
            Self::Revoked(token_id, false) => drop(tables.revoked.remove(&token_id)),
            Self::Challenge(digest, before) => put(&mut tables.challenges, digest, before),
            Self::Factors(devices, codes) => (tables.devices, tables.backup_codes) = (devices, codes),
            Self::Lockout(id, before) => put(&mut tables.lockout, id, before),
            Self::SignInHistory(id, before) => put(&mut tables.histories, id, before),
            Self::Password(id, before) => put(&mut tables.passwords, id, before),
            Self::Keys(keys, generation) => (tables.keys, tables.generation) = (keys, generation),
            Self::Audit(length) => tables.audit.truncate(length),
            Self::Everything(before) => *tables = *before,
        }
    }
}
