//! The events of the audit log. Their words never reach the wire.

use alloc::string::String;
use core::net::IpAddr;

use crate::base::codes::codes;
use crate::base::time::Time;
use crate::records::client::ClientRefusal;
use crate::records::id::{ClientId, SessionId, TicketId, UserId};
use crate::records::request_id::RequestId;
use crate::records::risk::Assessment;
use crate::records::role::Roles;

/// One security event: a row of the same transaction as what it records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The time.
    pub at: Time,
    /// The kind of event.
    pub kind: Kind,
    /// The user it is about.
    pub subject: Option<UserId>,
    /// The user who acted as the subject.
    pub actor: Option<UserId>,
    /// The client involved.
    pub client: Option<ClientId>,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// The session it began or ended.
    pub session: Option<SessionId>,
    /// The `kid` of the key it is about.
    pub key: Option<String>,
    /// The address that the request came from, or that `stated_by` stated; none for the command line.
    pub address: Option<IpAddr>,
    /// The reason of a refusal.
    pub refusal: Option<Refusal>,
    /// The reason that a person gave.
    pub reason: Option<String>,
    /// The risk of a sign-in: every signal and its weight.
    pub risk: Option<Assessment>,
    /// The number of events that the row stands for.
    pub count: u32,
    /// The client that issued the ticket.
    pub issuer: Option<ClientId>,
    /// The user whose token the issuer used.
    pub issuer_user: Option<UserId>,
    /// The id of the request.
    pub request: Option<RequestId>,
    /// The id that the caller gave to the request.
    pub sent_request: Option<RequestId>,
    /// The user of the operating system who ran the command.
    pub operator: Option<String>,
    /// The client that stated the address of the person before it.
    pub stated_by: Option<ClientId>,
    /// The address that the request of that client came from.
    pub peer: Option<IpAddr>,
    /// The user who did it over HTTP, as an administrator.
    pub by_user: Option<UserId>,
    /// The client that did it over HTTP, as an administrator.
    pub by_client: Option<ClientId>,
    /// The roles that the subject, or else the client, has from now on.
    pub roles: Option<Roles>,
}

impl Event {
    /// Makes an event of `kind` at `at`, about nobody yet.
    pub const fn new(kind: Kind, at: Time) -> Self {
        Self {
            at,
            kind,
            subject: None,
            actor: None,
            client: None,
            ticket: None,
            session: None,
            key: None,
            address: None,
            refusal: None,
            reason: None,
            risk: None,
            count: 1,
            issuer: None,
            issuer_user: None,
            request: None,
            sent_request: None,
            operator: None,
            stated_by: None,
            peer: None,
            by_user: None,
            by_client: None,
            roles: None,
        }
    }
}

codes! {
    /// The kind of event.
    #[non_exhaustive]
    Kind {
        /// A ticket was issued.
        TicketIssued = "ticket.issued",
        /// A ticket was redeemed: somebody is signed in.
        TicketRedeemed = "ticket.redeemed",
        /// The answer to a redeemed ticket was given again to whoever sent the same request again.
        TicketRepeated = "ticket.repeated",
        /// A ticket was presented and refused.
        TicketRefused = "ticket.refused",
        /// A ticket was withdrawn by a command.
        TicketRevoked = "ticket.revoked",
        /// A session got fresh tokens.
        SessionRefreshed = "session.refreshed",
        /// A refresh token was presented and refused.
        RefreshRefused = "session.refresh-refused",
        /// A used refresh token was presented again: its family is ended.
        RefreshReused = "session.refresh-reused",
        /// A session was ended.
        SessionEnded = "session.ended",
        /// Every session of a user was ended.
        SessionsEnded = "user.sessions-ended",
        /// An access token was revoked.
        TokenRevoked = "token.revoked",
        /// A password was right: somebody is signed in.
        PasswordAccepted = "password.accepted",
        /// A password was wrong, or came too early or too late.
        PasswordRefused = "password.refused",
        /// A person changed their password.
        PasswordChanged = "password.changed",
        /// A password or a second factor was guessed at too often: nothing is accepted for a while.
        Locked = "user.locked",
        /// A lock was lifted by a command.
        Unlocked = "user.unlocked",
        /// A password was set by a command.
        PasswordSet = "user.password-set",
        /// A person has to change their password, by a command.
        PasswordChangeRequired = "user.password-change-required",
        /// A second factor was asked for.
        ChallengeIssued = "challenge.issued",
        /// A challenge was answered: somebody is signed in.
        ChallengeAnswered = "challenge.answered",
        /// The answer to an answered challenge was given again to whoever sent the same request again.
        ChallengeRepeated = "challenge.repeated",
        /// A challenge was answered wrongly, or too late.
        ChallengeRefused = "challenge.refused",
        /// A device was set up; it does not count yet.
        DeviceAdded = "factor.added",
        /// A device's first code was verified.
        DeviceVerified = "factor.verified",
        /// A device was removed.
        DeviceRemoved = "factor.removed",
        /// A code for changing one's factors was wrong.
        FactorRefused = "factor.refused",
        /// Every factor of a user was removed by a command.
        FactorsReset = "user.factors-reset",
        /// A request for a ticket was refused.
        IssueRefused = "ticket.issue-refused",
        /// Refusals of one address within one minute, counted.
        Refusals = "refusals",
        /// A user was added.
        UserAdded = "user.added",
        /// A user was changed.
        UserChanged = "user.changed",
        /// A user was disabled.
        UserDisabled = "user.disabled",
        /// A user was enabled.
        UserEnabled = "user.enabled",
        /// A user has other roles of administration.
        UserRolesChanged = "user.roles-changed",
        /// A user was deleted.
        UserDeleted = "user.deleted",
        /// A client was added.
        ClientAdded = "client.added",
        /// A client was changed.
        ClientChanged = "client.changed",
        /// A client was disabled.
        ClientDisabled = "client.disabled",
        /// A client was enabled.
        ClientEnabled = "client.enabled",
        /// A client has other roles of administration.
        ClientRolesChanged = "client.roles-changed",
        /// A client was deleted.
        ClientDeleted = "client.deleted",
        /// A client's secret was added.
        SecretRotated = "client.secret-rotated",
        /// The former secrets of a client were ended, at once or after an overlap.
        SecretsEnded = "client.secrets-ended",
        /// A key was added.
        KeyAdded = "key.added",
        /// A key began to sign.
        KeyActivated = "key.activated",
        /// A key signs no more, and only verifies.
        KeyStopped = "key.stopped",
        /// A key is gone.
        KeyRetired = "key.retired",
        /// The clock's mark was set by a command.
        ClockReset = "clock.reset",
        /// A lock, or the last code of a device, was dated ahead: it was written by a clock that was wrong, and did not count.
        DateIgnored = "clock.date-ignored",
        /// Older state was put back: everything issued before is refused.
        StateSuperseded = "state.superseded",
        /// A copy was restored: everything issued before is refused.
        StateRestored = "state.restored",
        /// This installation was handed over to another box.
        StateHandedOver = "state.handed-over",
        /// The installation of another box was taken over.
        HandoverTaken = "state.handover-taken",
        /// A handover was undone: everything issued before is refused.
        HandoverCancelled = "state.handover-cancelled",
        /// The master key was replaced.
        MasterKeyRotated = "master-key.rotated",
        /// Rows of the audit table were written to a file, and may be deleted later.
        AuditArchived = "audit.archived",
        /// The chains of several slots became one when the store was copied.
        AuditJoined = "audit.joined",
        /// Archived rows of the audit table were deleted.
        AuditCut = "audit.cut",
    }
}

codes! {
    /// The reason why a credential or a request was refused.
    #[non_exhaustive]
    Refusal {
        /// The request was malformed.
        Malformed = "malformed",
        /// No ticket has this digest.
        TicketUnknown = "ticket-unknown",
        /// The ticket was presented before.
        TicketSpent = "ticket-spent",
        /// The ticket's time was over.
        TicketExpired = "ticket-expired",
        /// The ticket was withdrawn.
        TicketRevoked = "ticket-revoked",
        /// It was issued before older state was put back.
        StateSuperseded = "state-superseded",
        /// It was issued by a clock that was ahead: its date has not come yet.
        DatedAhead = "dated-ahead",
        /// The ticket was bound, or the redeemer claimed to be a client, and did not prove it.
        RedeemerUnproven = "redeemer-unproven",
        /// The redeemer is another client than the ticket is for.
        AudienceMismatch = "audience-mismatch",
        /// The redeemer's address is not the one the issuer named.
        AddressMismatch = "address-mismatch",
        /// The client is not trusted to state the context of the person before it.
        ContextUntrusted = "context-untrusted",
        /// No refresh token has this digest.
        RefreshUnknown = "refresh-unknown",
        /// The refresh token's time was over.
        RefreshExpired = "refresh-expired",
        /// The refresh token was used before.
        RefreshReused = "refresh-reused",
        /// No challenge has this digest.
        ChallengeUnknown = "challenge-unknown",
        /// The challenge was answered before, or too often wrongly, or its time was over.
        ChallengeClosed = "challenge-closed",
        /// The code is wrong, or was accepted before.
        CodeWrong = "code-wrong",
        /// The factors are locked for a while.
        FactorsLocked = "factors-locked",
        /// Nobody is called so.
        IdentityUnknown = "identity-unknown",
        /// Several users have the identifier, from a time when its forms were not compared.
        IdentityAmbiguous = "identity-ambiguous",
        /// The user has no password.
        PasswordMissing = "password-missing",
        /// The password is wrong.
        PasswordWrong = "password-wrong",
        /// Too many wrong passwords: every one is refused for a while.
        PasswordLocked = "password-locked",
        /// The password will not do as a new one.
        PasswordUnfit = "password-unfit",
        /// The password has to be changed first.
        PasswordExpired = "password-expired",
        /// A second factor is called for, and there is none.
        FactorNotEnrolled = "factor-not-enrolled",
        /// The session is good for one thing, and this is another.
        SessionRestricted = "session-restricted",
        /// The user is gone or disabled.
        UserInactive = "user-inactive",
        /// The actor is gone or disabled.
        ActorInactive = "actor-inactive",
        /// The client is gone or disabled.
        ClientInactive = "client-inactive",
        /// No such client.
        ClientUnknown = "client-unknown",
        /// A wrong or expired client secret.
        ClientSecretWrong = "client-secret-wrong",
        /// A client's assertion whose claims are no good.
        AssertionRefused = "assertion-refused",
        /// A client's assertion that none of its keys verifies.
        AssertionWrong = "assertion-wrong",
        /// A client's assertion that was used before.
        AssertionReused = "assertion-reused",
        /// The bearer token is not one of ours, or expired.
        TokenInvalid = "token-invalid",
        /// The bearer token was revoked.
        TokenRevoked = "token-revoked",
        /// The bearer token's session is over.
        SessionOver = "session-over",
        /// The bearer token does not allow it.
        ScopeMissing = "scope-missing",
        /// The bearer token's holder has none of the roles that this takes.
        RoleMissing = "role-missing",
        /// An impersonated session asked for what it may not.
        Impersonated = "impersonated",
        /// The session has not shown the second factor that its user has.
        SecondFactorMissing = "second-factor-missing",
        /// The actor named is not who asks.
        ActorForged = "actor-forged",
        /// The request asks for something that cannot be granted.
        NotGrantable = "not-grantable",
    }
}

impl Refusal {
    /// Returns true if something was compared and is wrong: a password, a code, or a client's secret.
    pub(crate) const fn is_wrong_guess(self) -> bool {
        matches!(
            self,
            Self::PasswordWrong
                | Self::CodeWrong
                | Self::ClientUnknown
                | Self::ClientSecretWrong
                | Self::RedeemerUnproven
        )
    }
}

impl From<ClientRefusal> for Refusal {
    fn from(refusal: ClientRefusal) -> Self {
        match refusal {
            ClientRefusal::Unknown => Self::ClientUnknown,
            ClientRefusal::Disabled => Self::ClientInactive,
            ClientRefusal::WrongSecret => Self::ClientSecretWrong,
            ClientRefusal::WrongAssertion => Self::AssertionWrong,
            ClientRefusal::UsedAssertion => Self::AssertionReused,
        }
    }
}
