//! The changes that a flow asks a store to write. Every change is conditional: it names what must still hold. If that no longer
//! holds, nothing of the commit is written.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::records::challenge::{Answered, Challenge, ChallengeDigest};
use crate::records::client::{Client, UsedSecret};
use crate::records::client_assertion::UsedAssertion;
use crate::records::delivery::TicketDelivery;
use crate::records::factor::{BackupDigest, Lockout, LockoutOf, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SessionId, TicketId, UserId};
use crate::records::password::PasswordHash;
use crate::records::session::{RefreshDigest, RefreshToken, Rotation, Session};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::signing_key::StoredKey;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::User;
use crate::store::audit::Event;

/// One conditional change. A commit is a list of them, applied in order, all or none. A record that belongs to a user or a session
/// can be written only while that one exists.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Writes nothing. Holds while the state epoch is this one.
    RequireStateEpoch(u64),
    /// Writes nothing. Holds while the user is active and of this epoch.
    RequireUserEpoch {
        /// The user.
        id: UserId,
        /// The epoch as read.
        epoch: u64,
    },
    /// Writes nothing. Holds while the client is enabled and of this epoch.
    RequireClientEpoch {
        /// The client.
        id: ClientId,
        /// The epoch as read.
        epoch: u64,
    },
    /// Writes nothing. Holds while another active user than `besides` is an officer.
    RequireAnotherOfficer {
        /// The user who ceases to be one.
        besides: UserId,
    },
    /// Writes nothing. Holds while the session has not been ended.
    RequireLiveSession(SessionId),
    /// Inserts a ticket. Holds if neither its id nor its digest is taken.
    InsertTicket(Ticket),
    /// Spends the ticket. Holds while it is live.
    SpendTicket {
        /// The ticket.
        digest: TicketDigest,
        /// The time when it was presented.
        at: Time,
        /// The redemption, if it came with an `Idempotency-Key`.
        delivery: Option<Box<TicketDelivery>>,
    },
    /// Counts one more repetition of the answer to the ticket. Holds while the ticket was redeemed with an
    /// `Idempotency-Key`, and its answer was repeated before or not, as read.
    RepeatTicket {
        /// The ticket.
        digest: TicketDigest,
        /// True if the answer was not repeated before, as read.
        first: bool,
    },
    /// Revokes the ticket. Holds while it is live.
    RevokeTicket {
        /// The ticket.
        id: TicketId,
        /// The time.
        at: Time,
    },
    /// Inserts a session with its first refresh token. Holds if neither is taken and its user exists.
    InsertSession {
        /// The session.
        session: Session,
        /// Its first refresh token, if it can be refreshed.
        refresh: Option<RefreshToken>,
    },
    /// Uses the refresh token, and inserts its successor. Of the session's tokens that the successor leaves no room for
    /// ([`MAX_USED`](crate::records::session::MAX_USED)), the oldest are deleted, at most [`MAX_DELETED`](crate::records::session::MAX_DELETED).
    /// Holds while it is unused.
    RotateRefresh {
        /// The token.
        digest: RefreshDigest,
        /// The use.
        rotation: Rotation,
        /// The successor, in the same session. It counts what the token counts, and this use, less what is
        /// `recorded`.
        successor: RefreshToken,
        /// The refreshes that an audit row of the same commit counts.
        recorded: u32,
    },
    /// Counts one more refresh, of the token that was handed out once more. Always holds.
    CountRefresh(RefreshDigest),
    /// Writes nothing. Holds while the refresh token exists and is unused.
    RequireUnusedRefresh(RefreshDigest),
    /// Ends the session, and every token of it. Holds while it has not been ended.
    EndSession {
        /// The session.
        id: SessionId,
        /// The time.
        at: Time,
    },
    /// Ends every session of the user. Holds while the epoch is as read.
    RaiseEpoch {
        /// The user.
        id: UserId,
        /// The epoch as read.
        epoch: u64,
    },
    /// Revokes the access token. Always holds: to revoke it again changes nothing.
    RevokeToken {
        /// Its `jti`.
        token_id: String,
        /// The time when it expires. Afterwards it need not be remembered.
        expires_at: Time,
    },
    /// Inserts a challenge. Holds if its digest is free.
    InsertChallenge(Challenge),
    /// Counts one more wrong code. Holds while the challenge has as many as read, and was answered or not, as read.
    CountWrong {
        /// The challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// True if it was answered, as read.
        answered: bool,
    },
    /// Answers the challenge. Holds while it was not answered, and has as many wrong codes as read.
    AnswerChallenge {
        /// The challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// The answer.
        answered: Answered,
    },
    /// Counts one more repetition of the answer to the challenge. Holds while the challenge was answered with an
    /// `Idempotency-Key`, has as many wrong codes as read, and its answer was repeated before or not, as read.
    RepeatAnswer {
        /// The challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// True if the answer was not repeated before, as read.
        first: bool,
    },
    /// Writes nothing. Holds while the challenge exists, was not answered, and has room for one more wrong code.
    RequireOpenChallenge(ChallengeDigest),
    /// Inserts a device. Holds if its id is free, and its user has fewer than [`MAX_DEVICES`](crate::records::factor::MAX_DEVICES).
    InsertDevice(TotpDevice),
    /// Verifies the device by a code of `step`. Holds while it was not verified.
    VerifyDevice {
        /// The device.
        id: DeviceId,
        /// The session that showed the code; none for the command line.
        session: Option<SessionId>,
        /// The step of the code.
        step: u64,
        /// The time.
        at: Time,
    },
    /// Accepts a code of `step`. Holds while the device is verified, and the last accepted step is as read.
    UseStep {
        /// The device.
        id: DeviceId,
        /// The step of the code.
        step: u64,
        /// The last step as read. It is after `step` if a clock that was ahead accepted it.
        before: u64,
    },
    /// Deletes the device and, if it was never verified, the backup codes that came with it. Holds if it exists, and
    /// was verified or not, as read.
    DeleteDevice {
        /// The device.
        id: DeviceId,
        /// True if it was verified, as read.
        counts: bool,
    },
    /// Adds backup codes that come with a new device. Holds while no device of the user is verified.
    AddBackupCodes {
        /// The user.
        user: UserId,
        /// The device that they come with.
        device: DeviceId,
        /// Their digests.
        codes: Vec<BackupDigest>,
    },
    /// Keeps those of the user's backup codes that came with one device, the first to be verified. Codes that were told
    /// along with another device are deleted. Holds while no device of the user is verified.
    KeepBackupCodes {
        /// The user.
        user: UserId,
        /// The device that they come with.
        device: DeviceId,
    },
    /// Deletes every backup code of the user. Always holds.
    DropBackupCodes(UserId),
    /// Uses the backup code, and deletes it. Holds if it exists.
    UseBackupCode {
        /// The user.
        user: UserId,
        /// Its digest.
        code: BackupDigest,
    },
    /// Sets the lockout of the user's second factors. Holds while it is as read.
    SetLockout {
        /// The user.
        user: UserId,
        /// As read.
        before: Lockout,
        /// The new value.
        after: Lockout,
    },
    /// Remembers a sign-in: its device and network, in place of the one not seen for longest if
    /// there are [`MAX_PLACES`](crate::records::sign_in_history::MAX_PLACES), and its hour. Holds if the user exists.
    RecordSignIn {
        /// The user.
        user: UserId,
        /// The device and network.
        place: DeviceOnNetwork,
        /// The time.
        at: Time,
    },
    /// Remembers a failure; the latest [`MAX_FAILURES`](crate::records::sign_in_history::MAX_FAILURES) are kept. Holds if the user exists.
    CountFailure {
        /// The user.
        user: UserId,
        /// The time.
        at: Time,
    },
    /// Sets the user's password, without wrong guesses. Holds if the user exists. It comes with a change of the user's
    /// record, which names the revision as read.
    SetPassword {
        /// The user.
        user: UserId,
        /// The hash.
        hash: PasswordHash,
    },
    /// Replaces the hash of the user's password by another one of the same password. The wrong guesses stay. Holds while the hash is
    /// as read.
    ReplacePasswordHash {
        /// The user.
        user: UserId,
        /// The hash as read.
        before: PasswordHash,
        /// The new hash.
        after: PasswordHash,
    },
    /// Sets the lockout of the user's password. Holds while it is as read.
    SetPasswordLockout {
        /// The user.
        user: UserId,
        /// As read.
        before: Lockout,
        /// The new value.
        after: Lockout,
    },
    /// Sets the lockout of the user's password or second factors that one of the user's latest places has of its own
    /// ([`PLACES_WITH_LOCKOUTS`](crate::records::sign_in_history::PLACES_WITH_LOCKOUTS)). Holds while the place is one of them, and the lockout is
    /// as read.
    SetPlaceLockout {
        /// The user.
        user: UserId,
        /// The place.
        place: DeviceOnNetwork,
        /// The kind of credential.
        of: LockoutOf,
        /// As read.
        before: Lockout,
        /// The new value.
        after: Lockout,
    },
    /// Inserts a user. Holds if the id is free, no other user has an identifier of the same canonical form as one of the user's
    /// (see [`User::canonical_identifiers`]), and nothing is left of a deleted user of the id.
    InsertUser(User),
    /// Replaces the user's record, and raises its revision by one. Holds while the revision is as read, and no other user has an
    /// identifier that this one does not have yet, of whatever kind.
    UpdateUser(User),
    /// Deletes the user. Tickets, sessions and challenges stay until they are swept, and are good for nothing. Holds if
    /// the user exists.
    DeleteUser(UserId),
    /// Inserts a client. Holds if the id is free.
    InsertClient(Client),
    /// Replaces the client's record, and raises its revision by one. Holds while the revision is as read.
    UpdateClient(Client),
    /// Deletes the client. Holds if it exists.
    DeleteClient(ClientId),
    /// Remembers the use of a client's secret: the later of its last use and this one. The revision stays. Always holds: the
    /// secret may have been deleted since.
    RecordSecretUse(UsedSecret),
    /// Uses an assertion by which a client authenticates. It is remembered until it expires. Holds if it was not used before.
    UseAssertion(UsedAssertion),
    /// Writes nothing. Holds while a key of the algorithm signs.
    RequireSigningKey(Algorithm),
    /// Inserts a key. If it signs, it does as by [`ActivateKey`](Self::ActivateKey). Raises the generation of the keys by one. Holds
    /// while the generation is as read, and no key has the id.
    InsertKey {
        /// The key.
        key: Box<StoredKey>,
        /// The generation of the keys, as read.
        generation: u64,
        /// The time from which a key that stops signing by this may be retired.
        retire_from: Time,
    },
    /// Lets the key sign, and raises the generation of the keys by one. Another key of its algorithm that signed only verifies from now
    /// on. Where the key is to be the default, the former default key signs on beside it if a client chooses that one's
    /// algorithm, and only verifies otherwise. Where no other key is the default, this one is, whatever it is to be.
    /// Holds while the generation is as read, if the key exists.
    ActivateKey {
        /// The `kid`.
        id: String,
        /// The generation of the keys, as read.
        generation: u64,
        /// True if it is to sign for the clients alone that choose its algorithm.
        beside: bool,
        /// The time from which a key that stops signing by this may be retired.
        retire_from: Time,
    },
    /// Lets the key only verify. Raises the generation of the keys by one. Holds while the generation is as read, if the key signs beside
    /// the default key and no client chooses its algorithm.
    StopKey {
        /// The `kid`.
        id: String,
        /// The generation of the keys, as read.
        generation: u64,
        /// The time from which it may be retired.
        retire_from: Time,
    },
    /// Deletes the key. Raises the generation of the keys by one.
    /// Holds while the generation is as read, if the key exists and does not sign.
    RetireKey {
        /// The `kid`.
        id: String,
        /// The generation of the keys, as read.
        generation: u64,
    },
    /// Writes one row of the audit log.
    Audit(Event),
    /// Proves that the store can commit, and records nothing.
    Probe,
    /// Writes nothing, but takes as long as a write, so that an answer about nobody comes no sooner. Always holds.
    DummyWrite,
}

impl Change {
    /// Requires `user` as read.
    pub(crate) fn require_user(user: &User) -> Self {
        Self::RequireUserEpoch { id: user.id.clone(), epoch: user.epoch }
    }

    /// Requires `client` as read.
    pub(crate) fn require_client(client: &Client) -> Self {
        Self::RequireClientEpoch { id: client.id.clone(), epoch: client.epoch }
    }

    /// Returns true if the change ends, disables, revokes, deletes or counts something, spends a credential, or writes nothing: it
    /// is written even where the disk is nearly full. Whatever opens or adds something waits until there is room again.
    pub fn is_restrictive(&self) -> bool {
        match self {
            Self::RequireStateEpoch(_)
            | Self::RequireUserEpoch { .. }
            | Self::RequireClientEpoch { .. }
            | Self::RequireAnotherOfficer { .. }
            | Self::RequireOpenChallenge(_)
            | Self::RepeatTicket { .. }
            | Self::RepeatAnswer { .. }
            | Self::RequireLiveSession(_)
            | Self::SpendTicket { .. }
            | Self::RevokeTicket { .. }
            | Self::RequireUnusedRefresh(_)
            | Self::CountRefresh(_)
            | Self::EndSession { .. }
            | Self::RaiseEpoch { .. }
            | Self::RevokeToken { .. }
            | Self::CountWrong { .. }
            | Self::UseStep { .. }
            | Self::DeleteDevice { .. }
            | Self::DropBackupCodes(_)
            | Self::UseBackupCode { .. }
            | Self::SetLockout { .. }
            | Self::CountFailure { .. }
            | Self::SetPasswordLockout { .. }
            | Self::SetPlaceLockout { .. }
            | Self::DeleteUser(_)
            | Self::DeleteClient(_)
            | Self::RecordSecretUse(_)
            | Self::RequireSigningKey(_)
            | Self::StopKey { .. }
            | Self::UseAssertion(_)
            | Self::RetireKey { .. }
            | Self::Audit(_)
            | Self::Probe
            | Self::DummyWrite => true,
            // A record that is disabled now: that is what the change is for, or it opens nothing.
            Self::UpdateUser(user) => !user.is_active(),
            Self::UpdateClient(client) => !client.enabled,
            Self::InsertTicket(_)
            | Self::InsertSession { .. }
            | Self::RotateRefresh { .. }
            | Self::InsertChallenge(_)
            | Self::AnswerChallenge { .. }
            | Self::InsertDevice(_)
            | Self::VerifyDevice { .. }
            | Self::AddBackupCodes { .. }
            | Self::KeepBackupCodes { .. }
            | Self::RecordSignIn { .. }
            | Self::SetPassword { .. }
            | Self::ReplacePasswordHash { .. }
            | Self::InsertUser(_)
            | Self::InsertClient(_)
            | Self::InsertKey { .. }
            | Self::ActivateKey { .. } => false,
        }
    }
}

/// The outcome of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Applied,
    /// A condition no longer held. Nothing was written.
    Conflict,
    /// The store could not write, and is certain that nothing was written.
    NotApplied,
    /// It may or may not have been written.
    Unknown,
}
