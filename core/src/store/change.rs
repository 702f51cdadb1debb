//! What a flow writes. Every change is conditional: it names what must still hold, and where that no longer
//! does, nothing of the commit is written.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::base::time::Time;
use crate::records::challenge::{Answered, Challenge, ChallengeDigest};
use crate::records::client::Client;
use crate::records::delivery::TicketDelivery;
use crate::records::factor::{BackupDigest, Lockout, TotpDevice};
use crate::records::id::{ClientId, DeviceId, SessionId, TicketId, UserId};
use crate::records::password::PasswordHash;
use crate::records::session::{RefreshDigest, RefreshToken, Rotation, Session};
use crate::records::sign_in_history::DeviceOnNetwork;
use crate::records::ticket::{Ticket, TicketDigest};
use crate::records::user::User;
use crate::store::audit::Event;

/// One conditional change. A commit is a list of them, applied in order, all or none. Whatever is written for somebody
/// holds only where they are there, too.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Writes nothing: holds while the state epoch is as read.
    RequireStateEpoch(u64),
    /// Writes nothing: holds while the user is active and of this epoch.
    RequireUserEpoch {
        /// Which user.
        id: UserId,
        /// The epoch as read.
        epoch: u64,
    },
    /// Writes nothing: holds while the client is enabled and of this epoch.
    RequireClientEpoch {
        /// Which client.
        id: ClientId,
        /// The epoch as read.
        epoch: u64,
    },
    /// Writes nothing: holds while the session has not been ended.
    RequireLiveSession(SessionId),
    /// A new ticket. Holds where neither its id nor its digest is taken.
    InsertTicket(Ticket),
    /// The ticket becomes spent. Holds while it is live.
    SpendTicket {
        /// Which ticket.
        digest: TicketDigest,
        /// When it was presented.
        at: Time,
        /// How it was redeemed, where it was with an `Idempotency-Key`.
        delivery: Option<Box<TicketDelivery>>,
    },
    /// The answer to the ticket is given again, once more than before. Holds while the ticket was redeemed with an
    /// `Idempotency-Key`, and its answer was repeated before or not, as read.
    RepeatTicket {
        /// Which ticket.
        digest: TicketDigest,
        /// Whether the answer was not repeated before, as read.
        first: bool,
    },
    /// The ticket becomes revoked. Holds while it is live.
    RevokeTicket {
        /// Which ticket.
        id: TicketId,
        /// When.
        at: Time,
    },
    /// A new session with its first refresh token. Holds where neither is taken and its user is there.
    InsertSession {
        /// The session.
        session: Session,
        /// Its first refresh token, where it can be refreshed.
        refresh: Option<RefreshToken>,
    },
    /// The refresh token becomes used, and its successor is there. Of the session's tokens that the successor leaves no room for
    /// ([`MAX_USED`](crate::records::session::MAX_USED)), the oldest are deleted, at most [`MAX_DELETED`](crate::records::session::MAX_DELETED).
    /// Holds while it is unused.
    RotateRefresh {
        /// Which token.
        digest: RefreshDigest,
        /// How it was used.
        rotation: Rotation,
        /// Its successor, in the same session. What it counts is what the token counts then, this use included, less what is
        /// `recorded`.
        successor: RefreshToken,
        /// The refreshes that an audit row of the same commit tells of.
        recorded: u32,
    },
    /// One refresh of the session more is counted, of the token that was handed out once more. Holds always.
    CountRefresh(RefreshDigest),
    /// Writes nothing: holds while the refresh token is there and unused.
    RequireUnusedRefresh(RefreshDigest),
    /// The session is over, and every token of it. Holds while it has not been ended.
    EndSession {
        /// Which session.
        id: SessionId,
        /// When.
        at: Time,
    },
    /// Every session of the user is over. Holds while the epoch is as read.
    RaiseEpoch {
        /// Which user.
        id: UserId,
        /// The epoch as read.
        epoch: u64,
    },
    /// The access token is refused from now on. Holds always: once revoked is revoked.
    RevokeToken {
        /// Its `jti`.
        token_id: String,
        /// When it expires, after which it need not be remembered.
        expires_at: Time,
    },
    /// A new challenge. Holds where its digest is free.
    InsertChallenge(Challenge),
    /// The challenge has one wrong code more. Holds while it has as many as read, and was answered or not, as read.
    CountWrong {
        /// Which challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// Whether it was answered, as read.
        answered: bool,
    },
    /// The challenge is answered. Holds while it was not, and has as many wrong codes as read.
    AnswerChallenge {
        /// Which challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// How it is answered.
        answered: Answered,
    },
    /// The answer to the challenge is given again, once more than before. Holds while the challenge was answered with an
    /// `Idempotency-Key`, has as many wrong codes as read, and its answer was repeated before or not, as read.
    RepeatAnswer {
        /// Which challenge.
        digest: ChallengeDigest,
        /// Wrong codes as read.
        wrong: u32,
        /// Whether the answer was not repeated before, as read.
        first: bool,
    },
    /// Writes nothing: holds while the challenge is there, was not answered, and bears one more wrong code.
    RequireOpenChallenge(ChallengeDigest),
    /// A new device. Holds where its id is free, and its user has fewer than [`MAX_DEVICES`](crate::records::factor::MAX_DEVICES).
    InsertDevice(TotpDevice),
    /// The device counts from now on, a code of `step` having been verified. Holds while it did not.
    VerifyDevice {
        /// Which device.
        id: DeviceId,
        /// The session that shows the code; none for the command line.
        session: Option<SessionId>,
        /// The step of the code.
        step: u64,
        /// When.
        at: Time,
    },
    /// A code of `step` is accepted. Holds while the device counts and the last step that was accepted is as read.
    UseStep {
        /// Which device.
        id: DeviceId,
        /// The step of the code.
        step: u64,
        /// The last step as read. It is after `step` where it was accepted by a clock that was ahead.
        before: u64,
    },
    /// The device is gone, and the backup codes that came with it where it never counted. Holds where there is one, and
    /// it counts or does not, as read.
    DeleteDevice {
        /// Which device.
        id: DeviceId,
        /// Whether it counts, as read.
        counts: bool,
    },
    /// Backup codes come with a device that is set up. Holds while no device of the user counts.
    AddBackupCodes {
        /// Whose.
        user: UserId,
        /// With which device.
        device: DeviceId,
        /// Their digests.
        codes: Vec<BackupDigest>,
    },
    /// Of the user's backup codes those that came with one device stay, which is their first to count: those that were told
    /// along with another, to whomever, never will. Holds while no device of the user counts.
    KeepBackupCodes {
        /// Whose.
        user: UserId,
        /// With which device.
        device: DeviceId,
    },
    /// The user has no backup code any more.
    DropBackupCodes(UserId),
    /// The backup code is used. Holds where it is there, which it is not any more.
    UseBackupCode {
        /// Whose.
        user: UserId,
        /// Its digest.
        code: BackupDigest,
    },
    /// The user's factors have been guessed at so often. Holds while it is as read.
    SetLockout {
        /// Whose.
        user: UserId,
        /// As read.
        before: Lockout,
        /// As it is now.
        after: Lockout,
    },
    /// The person has signed in from there: the place is remembered, in the stead of the one not seen for longest where
    /// there are [`MAX_PLACES`](crate::records::sign_in_history::MAX_PLACES), and so is the hour. Holds where there is such a user.
    RecordSignIn {
        /// Who.
        user: UserId,
        /// From where.
        place: DeviceOnNetwork,
        /// When.
        at: Time,
    },
    /// The person was refused: the latest [`MAX_FAILURES`](crate::records::sign_in_history::MAX_FAILURES) are remembered. Holds where there is such a user.
    CountFailure {
        /// Who.
        user: UserId,
        /// When.
        at: Time,
    },
    /// The user's password is this one, never guessed at. Holds where there is such a user; it goes with a change of their
    /// record, which names the revision as read.
    SetPassword {
        /// Whose.
        user: UserId,
        /// What it hashes to.
        hash: PasswordHash,
    },
    /// The user's password has been guessed at so often. Holds while it is as read.
    SetPasswordLockout {
        /// Whose.
        user: UserId,
        /// As read.
        before: Lockout,
        /// As it is now.
        after: Lockout,
    },
    /// A new user. Holds where neither id nor user name is taken, and nothing of a deleted user of the id is left.
    InsertUser(User),
    /// The user's record becomes this one, its revision raised by one. Holds while the revision is as read, and no
    /// other user has the name.
    UpdateUser(User),
    /// The user is gone. Their tickets, sessions and challenges stay until they are swept, and are good for nothing. Holds where
    /// there is one.
    DeleteUser(UserId),
    /// A new client. Holds where the id is free.
    InsertClient(Client),
    /// The client's record becomes this one, its revision raised by one. Holds while the revision is as read.
    UpdateClient(Client),
    /// The client is gone. Holds where there is one.
    DeleteClient(ClientId),
    /// One more row of the audit chain, linked by whoever holds the write lock.
    Audit(Event),
    /// Proves that the store can commit, and records nothing.
    Probe,
    /// Writes nothing and takes as long as what does, so that an answer about nobody comes no sooner. Holds always.
    DummyWrite,
}

impl Change {
    /// Returns true if the change ends, disables, revokes, deletes or counts something, spends a credential, or writes nothing: it
    /// is written even where the disk is nearly full. Whatever opens or adds something waits until there is room again.
    pub fn is_restrictive(&self) -> bool {
        match self {
            Self::RequireStateEpoch(_)
            | Self::RequireUserEpoch { .. }
            | Self::RequireClientEpoch { .. }
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
            | Self::DeleteUser(_)
            | Self::DeleteClient(_)
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
            | Self::InsertUser(_)
            | Self::InsertClient(_) => false,
        }
    }
}

/// How a commit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All of it is durable.
    Applied,
    /// Something named no longer held; nothing was written.
    Conflict,
    /// The store could not; nothing was written.
    NotApplied,
    /// It may or may not have been written.
    Unknown,
}
