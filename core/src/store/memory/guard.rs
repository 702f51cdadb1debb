//! The conditions of every change, one guard each: the store in memory checks this list, and a test may switch any one
//! off to see what it is for.

use alloc::vec;
use alloc::vec::Vec;

use crate::records::challenge::{Challenge, ChallengeDigest, MAX_WRONG};
use crate::records::factor::{Lockout, MAX_DEVICES, TotpDevice};
use crate::records::id::{DeviceId, UserId};
use crate::records::identifier::CanonicalIdentifier;
use crate::records::session::RefreshDigest;
use crate::records::signing_key::{KeyState, StoredKey};
use crate::records::ticket::{Ticket, TicketState};
use crate::records::user::User;
use crate::store::change::Change;

use crate::store::memory::Tables;

macro_rules! guards {
    ($(#[doc = $meaning:literal] $name:ident,)+) => {
        /// One thing that must hold for one kind of change.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Guard { $(#[doc = $meaning] $name,)+ }

        impl Guard {
            /// Every guard.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Of which changes it is one, and what must hold.
            pub fn meaning(self) -> (&'static str, &'static str) {
                let meaning = match self { $(Self::$name => $meaning),+ };
                meaning.trim().split_once(": ").unwrap_or((meaning, ""))
            }
        }
    };
}

guards! {
    /// `RequireStateEpoch`: no older state was put back since.
    StateEpochIsAsRead,
    /// `RequireUserEpoch`: there is such a user, who is active.
    UserIsActive,
    /// `RequireUserEpoch`: nobody has ended the user's sessions since.
    UserIsOfEpoch,
    /// `RequireClientEpoch`: there is such a client, and it is enabled.
    ClientIsEnabled,
    /// `RequireClientEpoch`: it was neither disabled nor deleted and added anew since.
    ClientIsOfEpoch,
    /// `RequireAnotherOfficer`: another active user is an officer.
    RequireAnotherOfficer,
    /// `RequireLiveSession`: there is such a session, and it was not ended.
    RequireLiveSession,
    /// `InsertTicket`: no other ticket has its id.
    TicketIdIsFree,
    /// `InsertTicket`: no other ticket has its digest.
    TicketDigestIsFree,
    /// `SpendTicket`: the ticket was neither spent nor revoked.
    SpentTicketWasLive,
    /// `RepeatTicket`: the ticket was redeemed with a key, and its answer was repeated before or not, as read.
    RepeatedTicketIsAsRead,
    /// `RevokeTicket`: the ticket was neither spent nor revoked.
    RevokedTicketWasLive,
    /// `InsertSession`: no other session has its id.
    SessionIdIsFree,
    /// `InsertSession`: no other refresh token has the digest.
    FirstRefreshIsFree,
    /// `RotateRefresh`: the token was not used.
    RotatedRefreshWasUnused,
    /// `RotateRefresh`: no other refresh token has the successor's digest.
    SuccessorIsFree,
    /// `RequireUnusedRefresh`: the token is there and was not used.
    RequireUnusedRefresh,
    /// `EndSession`: the session is there and was not ended.
    EndedSessionWasLive,
    /// `RaiseEpoch`: nobody has ended the user's sessions since.
    RaisedEpochIsAsRead,
    /// `InsertChallenge`: no other challenge has its digest.
    ChallengeIsFree,
    /// `CountWrong`: nobody has counted since.
    CountedWrongIsAsRead,
    /// `CountWrong`: the challenge was answered or not, as read.
    CountedChallengeIsAsRead,
    /// `AnswerChallenge`: no wrong code was counted since.
    AnsweredWrongIsAsRead,
    /// `AnswerChallenge`: the challenge was not answered.
    AnsweredChallengeWasUnanswered,
    /// `RepeatAnswer`: no wrong code was counted since.
    RepeatedWrongIsAsRead,
    /// `RepeatAnswer`: the challenge was answered with a key, and its answer was repeated before or not, as read.
    RepeatedAnswerIsAsRead,
    /// `RequireOpenChallenge`: the challenge is there, was not answered, and bears one more wrong code.
    RequireOpenChallenge,
    /// `InsertDevice`: no other device has its id.
    DeviceIdIsFree,
    /// `InsertDevice`: the user has room for one more.
    ThereIsRoomForADevice,
    /// `VerifyDevice`: the device is there and did not count.
    VerifiedDeviceWasWaiting,
    /// `UseStep`: the device is there and counts.
    UsedDeviceCounts,
    /// `UseStep`: no code was accepted since.
    LastStepIsAsRead,
    /// `DeleteDevice`: the device is there.
    DeletedDeviceWasThere,
    /// `DeleteDevice`: nobody has verified it since.
    DeletedDeviceIsAsRead,
    /// `AddBackupCodes`: no device of the user counts.
    AddedCodesComeBeforeADevice,
    /// `AddBackupCodes`: the user has none of the codes.
    AddedCodesAreFree,
    /// `KeepBackupCodes`: no device of the user counts.
    KeptCodesComeBeforeADevice,
    /// `UseBackupCode`: the code is there.
    UsedBackupCodeWasThere,
    /// `SetLockout`: nobody has counted since.
    GuessesAreAsRead,
    /// `ReplacePasswordHash`: the user has the password as read.
    ReplacedHashIsAsRead,
    /// `SetPasswordLockout`: nobody has counted since.
    PasswordGuessesAreAsRead,
    /// `SetPlaceLockout`: nobody has counted since, and the place is one of the latest.
    PlaceGuessesAreAsRead,
    /// `InsertUser`: no other user has the id.
    UserIdIsFree,
    /// `InsertUser`: no other user has one of the identifiers.
    IdentifiersAreFree,
    /// `InsertUser`: nothing of a deleted user of the id is left.
    NothingIsLeftOfTheId,
    /// `UpdateUser`: the user is there, and nobody has changed the record since.
    UserRevisionIsAsRead,
    /// `UpdateUser`: no other user has an identifier that the user gets.
    NewIdentifiersAreFree,
    /// `DeleteUser`: the user is there.
    DeletedUserWasThere,
    /// `InsertClient`: no other client has the id.
    ClientIdIsFree,
    /// `UpdateClient`: the client is there, and nobody has changed the record since.
    ClientRevisionIsAsRead,
    /// `DeleteClient`: the client is there.
    DeletedClientWasThere,
    /// `UseAssertion`: the assertion was not used.
    UsedAssertionIsNew,
    /// `RequireSigningKey`: a key of the algorithm signs.
    AKeyOfTheAlgorithmSigns,
    /// `InsertKey`: no key was changed since, and no other key has the id.
    KeyIdIsFree,
    /// `ActivateKey`: no key was changed since, and the key is there.
    ActivatedKeyIsAsRead,
    /// `StopKey`: no key was changed since, and the key signs beside the default key and for no client.
    StoppedKeyIsAsRead,
    /// `RetireKey`: no key was changed since, and the key is there and does not sign.
    RetiredKeyIsAsRead,
    /// `InsertSession`, `RotateRefresh`, `InsertChallenge`, `InsertDevice`, `AddBackupCodes`, `SetLockout`, `RecordSignIn`, `CountFailure`, `SetPassword`: whom it belongs to is there.
    OwnerIsThere,
}

impl Tables {
    /// The guards of `change`, and whether each of them holds. Nothing else decides whether it is applied.
    pub fn guards(&self, change: &Change) -> Vec<(Guard, bool)> {
        let owner = self.owner_is_there(change).map(|there| (Guard::OwnerIsThere, there));
        self.own_guards(change).into_iter().chain(owner).collect()
    }

    /// Returns true if the user or session that `change` writes something for exists; none if there is no such one. In SQLite, foreign keys
    /// see to it, and of a session the statement.
    fn owner_is_there(&self, change: &Change) -> Option<bool> {
        let user = match change {
            Change::InsertSession { session, .. } => &session.user_id,
            Change::InsertChallenge(challenge) => &challenge.sign_in.user_id,
            Change::InsertDevice(device) => &device.user_id,
            Change::AddBackupCodes { user, codes, .. } if !codes.is_empty() => user,
            Change::SetLockout { user, after, .. } if *after != Lockout::default() => user,
            Change::RecordSignIn { user, .. }
            | Change::CountFailure { user, .. }
            | Change::SetPassword { user, .. } => user,
            Change::RotateRefresh { successor, .. } => {
                return Some(self.sessions.contains_key(&successor.session_id));
            }
            Change::RequireStateEpoch(_)
            | Change::RequireUserEpoch { .. }
            | Change::RequireClientEpoch { .. }
            | Change::RequireAnotherOfficer { .. }
            | Change::RequireLiveSession(_)
            | Change::InsertTicket(_)
            | Change::SpendTicket { .. }
            | Change::RepeatTicket { .. }
            | Change::RevokeTicket { .. }
            | Change::RequireUnusedRefresh(_)
            | Change::CountRefresh(_)
            | Change::EndSession { .. }
            | Change::RaiseEpoch { .. }
            | Change::RevokeToken { .. }
            | Change::CountWrong { .. }
            | Change::AnswerChallenge { .. }
            | Change::RepeatAnswer { .. }
            | Change::RequireOpenChallenge(_)
            | Change::VerifyDevice { .. }
            | Change::UseStep { .. }
            | Change::DeleteDevice { .. }
            | Change::AddBackupCodes { .. }
            | Change::KeepBackupCodes { .. }
            | Change::DropBackupCodes(_)
            | Change::UseBackupCode { .. }
            | Change::SetLockout { .. }
            | Change::ReplacePasswordHash { .. }
            | Change::SetPasswordLockout { .. }
            | Change::SetPlaceLockout { .. }
            | Change::InsertUser(_)
            | Change::UpdateUser(_)
            | Change::DeleteUser(_)
            | Change::InsertClient(_)
            | Change::UpdateClient(_)
            | Change::DeleteClient(_)
            | Change::RecordSecretUse(_)
            | Change::UseAssertion(_)
            | Change::RequireSigningKey(_)
            | Change::InsertKey { .. }
            | Change::StopKey { .. }
            | Change::ActivateKey { .. }
            | Change::RetireKey { .. }
            | Change::Audit(_)
            | Change::Probe
            | Change::DummyWrite => return None,
        };
        Some(self.users.contains_key(user))
    }

    fn own_guards(&self, change: &Change) -> Vec<(Guard, bool)> {
        match change {
            Change::RequireStateEpoch(epoch) => {
                vec![(Guard::StateEpochIsAsRead, self.state_epoch == *epoch)]
            }
            Change::RequireUserEpoch { id, epoch } => {
                let user = self.users.get(id);
                vec![
                    (Guard::UserIsActive, user.is_some_and(User::is_active)),
                    (Guard::UserIsOfEpoch, user.is_none_or(|user| user.epoch == *epoch)),
                ]
            }
            Change::RequireClientEpoch { id, epoch } => {
                let client = self.clients.get(id);
                vec![
                    (Guard::ClientIsEnabled, client.is_some_and(|client| client.enabled)),
                    (Guard::ClientIsOfEpoch, client.is_none_or(|client| client.epoch == *epoch)),
                ]
            }
            Change::RequireAnotherOfficer { besides } => {
                vec![(Guard::RequireAnotherOfficer, self.has_officer_besides(besides))]
            }
            Change::RequireLiveSession(id) => {
                vec![(Guard::RequireLiveSession, self.sessions.get(id).is_some_and(|s| s.ended_at.is_none()))]
            }
            Change::InsertTicket(ticket) => vec![
                (Guard::TicketIdIsFree, self.tickets.values().all(|other| other.id != ticket.id)),
                (Guard::TicketDigestIsFree, !self.tickets.contains_key(&ticket.digest)),
            ],
            Change::SpendTicket { digest, .. } => {
                vec![(Guard::SpentTicketWasLive, self.tickets.get(digest).is_some_and(is_live))]
            }
            Change::RepeatTicket { digest, first } => {
                let delivery = self.tickets.get(digest).and_then(|ticket| match &ticket.state {
                    TicketState::Spent { delivery, .. } => delivery.as_ref(),
                    TicketState::Live | TicketState::Revoked(_) => None,
                });
                let same = delivery.is_some_and(|delivery| (delivery.repeated == 0) == *first);
                vec![(Guard::RepeatedTicketIsAsRead, same)]
            }
            Change::RevokeTicket { id, .. } => {
                let ticket = self.tickets.values().find(|ticket| ticket.id == *id);
                vec![(Guard::RevokedTicketWasLive, ticket.is_some_and(is_live))]
            }
            Change::InsertSession { session, refresh } => vec![
                (Guard::SessionIdIsFree, !self.sessions.contains_key(&session.id)),
                (
                    Guard::FirstRefreshIsFree,
                    !refresh.as_ref().is_some_and(|token| self.refresh_tokens.contains_key(&token.digest)),
                ),
            ],
            Change::RotateRefresh { digest, successor, .. } => vec![
                (Guard::RotatedRefreshWasUnused, self.is_unused(digest)),
                (Guard::SuccessorIsFree, !self.refresh_tokens.contains_key(&successor.digest)),
            ],
            Change::RequireUnusedRefresh(digest) => {
                vec![(Guard::RequireUnusedRefresh, self.is_unused(digest))]
            }
            Change::EndSession { id, .. } => {
                let live = self.sessions.get(id).is_some_and(|session| session.ended_at.is_none());
                vec![(Guard::EndedSessionWasLive, live)]
            }
            Change::RaiseEpoch { id, epoch } => {
                let same = self.users.get(id).is_some_and(|user| user.epoch == *epoch);
                vec![(Guard::RaisedEpochIsAsRead, same)]
            }
            Change::InsertChallenge(challenge) => {
                vec![(Guard::ChallengeIsFree, !self.challenges.contains_key(&challenge.digest))]
            }
            Change::CountWrong { digest, wrong, answered } => vec![
                (Guard::CountedWrongIsAsRead, self.challenge_is(digest, |c| c.wrong == *wrong)),
                (
                    Guard::CountedChallengeIsAsRead,
                    self.challenge_is(digest, |c| c.answered.is_some() == *answered),
                ),
            ],
            Change::AnswerChallenge { digest, wrong, .. } => vec![
                (Guard::AnsweredWrongIsAsRead, self.challenge_is(digest, |c| c.wrong == *wrong)),
                (Guard::AnsweredChallengeWasUnanswered, self.challenge_is(digest, |c| c.answered.is_none())),
            ],
            Change::RepeatAnswer { digest, wrong, first } => {
                let delivery = |c: &Challenge| c.answered.as_ref()?.delivery.clone();
                let is_as_read = |c: &Challenge| delivery(c).is_some_and(|d| (d.repeated == 0) == *first);
                vec![
                    (Guard::RepeatedWrongIsAsRead, self.challenge_is(digest, |c| c.wrong == *wrong)),
                    (Guard::RepeatedAnswerIsAsRead, self.challenge_is(digest, is_as_read)),
                ]
            }
            Change::RequireOpenChallenge(digest) => {
                let open = |c: &Challenge| c.answered.is_none() && c.wrong < MAX_WRONG;
                vec![(Guard::RequireOpenChallenge, self.challenge_is(digest, open))]
            }
            Change::InsertDevice(device) => {
                let has = self.devices.iter().filter(|other| other.user_id == device.user_id).count();
                vec![
                    (Guard::DeviceIdIsFree, self.device(&device.id).is_none()),
                    (Guard::ThereIsRoomForADevice, has < MAX_DEVICES),
                ]
            }
            Change::VerifyDevice { id, .. } => {
                let waiting = self.device(id).is_some_and(|device| device.verified_at.is_none());
                vec![(Guard::VerifiedDeviceWasWaiting, waiting)]
            }
            Change::UseStep { id, before, .. } => {
                let device = self.device(id);
                vec![
                    (Guard::UsedDeviceCounts, device.is_some_and(|device| device.verified_at.is_some())),
                    (Guard::LastStepIsAsRead, device.is_none_or(|device| device.last_step == *before)),
                ]
            }
            Change::DeleteDevice { id, counts } => {
                let device = self.device(id);
                let same = device.is_none_or(|device| device.verified_at.is_some() == *counts);
                vec![(Guard::DeletedDeviceWasThere, device.is_some()), (Guard::DeletedDeviceIsAsRead, same)]
            }
            Change::AddBackupCodes { user, codes, .. } => {
                let free = codes.iter().all(|code| !self.backup_codes.contains_key(&(user.clone(), *code)));
                vec![
                    (Guard::AddedCodesComeBeforeADevice, !self.has_a_factor(user)),
                    (Guard::AddedCodesAreFree, free),
                ]
            }
            Change::KeepBackupCodes { user, .. } => {
                vec![(Guard::KeptCodesComeBeforeADevice, !self.has_a_factor(user))]
            }
            Change::UseBackupCode { user, code } => {
                let there = self.backup_codes.contains_key(&(user.clone(), *code));
                vec![(Guard::UsedBackupCodeWasThere, there)]
            }
            Change::SetLockout { user, before, .. } => {
                let same = self.lockout.get(user).copied().unwrap_or_default() == *before;
                vec![(Guard::GuessesAreAsRead, same)]
            }
            Change::ReplacePasswordHash { user, before, .. } => {
                let same = self.passwords.get(user).is_some_and(|password| password.hash == *before);
                vec![(Guard::ReplacedHashIsAsRead, same)]
            }
            Change::SetPasswordLockout { user, before, .. } => {
                let same = self.passwords.get(user).is_some_and(|password| password.lockout == *before);
                vec![(Guard::PasswordGuessesAreAsRead, same)]
            }
            Change::SetPlaceLockout { user, place, of, before, .. } => {
                let history = self.histories.get(user);
                let lockout = history.and_then(|history| history.lockout(*of, place));
                vec![(Guard::PlaceGuessesAreAsRead, lockout == Some(*before))]
            }
            Change::InsertUser(user) => vec![
                (Guard::UserIdIsFree, !self.users.contains_key(&user.id)),
                (Guard::IdentifiersAreFree, self.gets_free_identifiers(user)),
                (Guard::NothingIsLeftOfTheId, !self.deleted.contains(&user.id)),
            ],
            Change::UpdateUser(user) => {
                let same = self.users.get(&user.id).is_some_and(|before| before.revision == user.revision);
                vec![
                    (Guard::UserRevisionIsAsRead, same),
                    (Guard::NewIdentifiersAreFree, self.gets_free_identifiers(user)),
                ]
            }
            Change::DeleteUser(id) => vec![(Guard::DeletedUserWasThere, self.users.contains_key(id))],
            Change::InsertClient(client) => {
                vec![(Guard::ClientIdIsFree, !self.clients.contains_key(&client.id))]
            }
            Change::UpdateClient(client) => {
                let before = self.clients.get(&client.id);
                let same = before.is_some_and(|before| before.revision == client.revision);
                vec![(Guard::ClientRevisionIsAsRead, same)]
            }
            Change::DeleteClient(id) => vec![(Guard::DeletedClientWasThere, self.clients.contains_key(id))],
            Change::UseAssertion(used) => {
                vec![(Guard::UsedAssertionIsNew, !self.used_assertions.contains(&used.digest))]
            }
            Change::InsertKey { key, generation, .. } => {
                let free = self.key(&key.record.id).is_none();
                vec![(Guard::KeyIdIsFree, self.generation == *generation && free)]
            }
            Change::ActivateKey { id, generation, .. } => {
                let there = self.key(id).is_some();
                vec![(Guard::ActivatedKeyIsAsRead, self.generation == *generation && there)]
            }
            Change::RequireSigningKey(algorithm) => {
                let signs = |key: &StoredKey| {
                    key.record.state == KeyState::Signing && key.record.algorithm == *algorithm
                };
                vec![(Guard::AKeyOfTheAlgorithmSigns, self.keys.iter().any(signs))]
            }
            Change::StopKey { id, generation, .. } => {
                let idle = self.key(id).map(|key| &key.record).is_some_and(|key| {
                    key.state == KeyState::Signing && key.beside && !self.is_chosen(key.algorithm)
                });
                vec![(Guard::StoppedKeyIsAsRead, self.generation == *generation && idle)]
            }
            Change::RetireKey { id, generation } => {
                let waits = self.key(id).is_some_and(|key| key.record.state != KeyState::Signing);
                vec![(Guard::RetiredKeyIsAsRead, self.generation == *generation && waits)]
            }
            Change::RevokeToken { .. }
            | Change::CountRefresh(_)
            | Change::DropBackupCodes(_)
            | Change::RecordSignIn { .. }
            | Change::CountFailure { .. }
            | Change::SetPassword { .. }
            | Change::RecordSecretUse(_)
            | Change::Audit(_)
            | Change::Probe
            | Change::DummyWrite => vec![],
        }
    }

    fn is_unused(&self, digest: &RefreshDigest) -> bool {
        self.refresh_tokens.get(digest).is_some_and(|token| token.rotation.is_none())
    }

    fn challenge_is(&self, digest: &ChallengeDigest, so: impl Fn(&Challenge) -> bool) -> bool {
        self.challenges.get(digest).is_some_and(so)
    }

    fn device(&self, id: &DeviceId) -> Option<&TotpDevice> {
        self.devices.iter().find(|device| device.id == *id)
    }

    fn key(&self, id: &str) -> Option<&StoredKey> {
        self.keys.iter().find(|key| key.record.id == id)
    }

    fn has_a_factor(&self, user: &UserId) -> bool {
        self.devices.iter().any(|device| device.user_id == *user && device.verified_at.is_some())
    }

    /// Returns true if nobody else has an identifier that `user` does not have yet. What two users have since before this was compared
    /// stays until one of them gets another.
    fn gets_free_identifiers(&self, user: &User) -> bool {
        let plan = self.numbering_plan.as_ref();
        let before = self.users.get(&user.id);
        let had = |form: &CanonicalIdentifier| {
            before.is_some_and(|before| before.canonical_identifiers(plan).any(|(_, other)| other == *form))
        };
        let mut forms = user.canonical_identifiers(plan);
        forms.all(|(_, form)| had(&form) || self.owner(&form, Some(&user.id)).is_none())
    }
}

fn is_live(ticket: &Ticket) -> bool {
    ticket.state == TicketState::Live
}
