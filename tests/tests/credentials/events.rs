//! Events between the issue of a credential and its use, and their expected effects.

use gatepass_core::records::client::Client;
use gatepass_core::records::user::User;

use crate::in_memory_server::InMemoryServer;
use crate::kinds::{Credential, CredentialKind};

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    UserDisabled,
    UserEnabledAgain,
    UserDeleted,
    UserAddedAnew,
    PasswordSet,
    FactorsReset,
    SignedOut,
    ActorDisabled,
    ActorEnabledAgain,
    ActorDeleted,
    ActorSignedOut,
    ClientDisabled,
    ClientEnabledAgain,
    ClientDeleted,
    ClientAddedAnew,
    ClientNarrowed,
    IssuerDisabled,
    IssuerEnabledAgain,
    IssuerDeleted,
    IssuerAddedAnew,
    IssuerNarrowed,
}

/// The subject of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Nobody,
    User,
    Actor,
    Client,
    Issuer,
}

impl Event {
    pub(crate) const ALL: [(Self, &'static str); 22] = [
        (Self::Nothing, "nothing happened"),
        (Self::UserDisabled, "user disabled"),
        (Self::UserEnabledAgain, "user disabled and enabled again"),
        (Self::UserDeleted, "user deleted"),
        (Self::UserAddedAnew, "user deleted, another of that name added"),
        (Self::PasswordSet, "password set"),
        (Self::FactorsReset, "second factor reset"),
        (Self::SignedOut, "user's sessions ended"),
        (Self::ActorDisabled, "actor disabled"),
        (Self::ActorEnabledAgain, "actor disabled and enabled again"),
        (Self::ActorDeleted, "actor deleted"),
        (Self::ActorSignedOut, "actor's sessions ended"),
        (Self::ClientDisabled, "client disabled"),
        (Self::ClientEnabledAgain, "client disabled and enabled again"),
        (Self::ClientDeleted, "client deleted"),
        (Self::ClientAddedAnew, "client deleted and added within one second"),
        (Self::ClientNarrowed, "client's scope narrowed"),
        (Self::IssuerDisabled, "issuer disabled"),
        (Self::IssuerEnabledAgain, "issuer disabled and enabled again"),
        (Self::IssuerDeleted, "issuer deleted"),
        (Self::IssuerAddedAnew, "issuer deleted and added within one second"),
        (Self::IssuerNarrowed, "issuer's scope narrowed"),
    ];

    const fn about(self) -> About {
        match self {
            Self::Nothing => About::Nobody,
            Self::UserDisabled
            | Self::UserEnabledAgain
            | Self::UserDeleted
            | Self::UserAddedAnew
            | Self::PasswordSet
            | Self::FactorsReset
            | Self::SignedOut => About::User,
            Self::ActorDisabled | Self::ActorEnabledAgain | Self::ActorDeleted | Self::ActorSignedOut => {
                About::Actor
            }
            Self::ClientDisabled
            | Self::ClientEnabledAgain
            | Self::ClientDeleted
            | Self::ClientAddedAnew
            | Self::ClientNarrowed => About::Client,
            Self::IssuerDisabled
            | Self::IssuerEnabledAgain
            | Self::IssuerDeleted
            | Self::IssuerAddedAnew
            | Self::IssuerNarrowed => About::Issuer,
        }
    }

    /// Returns true if the credential names the event's subject.
    pub(crate) fn concerns(self, credential: &Credential) -> bool {
        match self.about() {
            About::Nobody => true,
            About::User => credential.user.is_some(),
            About::Actor => credential.acts,
            About::Client => credential.client.is_some(),
            About::Issuer => credential.issuer.is_some(),
        }
    }

    /// Returns true if the event ends what was issued before, by the rules at the head of the page.
    pub(crate) fn ends(self, credential: &Credential) -> bool {
        let session = credential.sort == CredentialKind::Session;
        match self {
            Self::Nothing | Self::ClientNarrowed | Self::IssuerNarrowed => false,
            Self::UserDisabled | Self::UserDeleted | Self::UserAddedAnew => true,
            Self::ActorDisabled | Self::ActorDeleted => true,
            // A future sign-in by a ticket, a password or a code is not one of the sessions that end.
            Self::UserEnabledAgain | Self::ActorEnabledAgain | Self::SignedOut | Self::ActorSignedOut => {
                session
            }
            Self::PasswordSet => session || credential.sort == CredentialKind::Password,
            Self::FactorsReset => session || credential.sort == CredentialKind::Code,
            Self::ClientEnabledAgain => credential.sort != CredentialKind::ClientSecret,
            Self::ClientDisabled | Self::ClientDeleted | Self::ClientAddedAnew => true,
            Self::IssuerDisabled | Self::IssuerEnabledAgain | Self::IssuerDeleted | Self::IssuerAddedAnew => {
                true
            }
        }
    }

    pub(crate) fn happens(self, server: &InMemoryServer, credential: &Credential) {
        let user = credential.user.unwrap_or_default();
        let (client, issuer) = (credential.client.unwrap_or_default(), credential.issuer.unwrap_or_default());
        let anew = |user: &mut User| {
            user.disable();
            user.enable();
        };
        let renewed = |client: &mut Client| {
            client.disable();
            client.enable();
        };
        let keeps_secret = credential.sort != CredentialKind::ClientSecret;
        match self {
            Self::Nothing => {}
            Self::UserDisabled => server.edit_user(user, User::disable),
            Self::UserEnabledAgain => server.edit_user(user, anew),
            Self::UserDeleted => server.delete_user(user),
            Self::UserAddedAnew => server.add_user_anew(user),
            Self::PasswordSet => server.set_password(user),
            Self::FactorsReset => server.reset_factors(user),
            Self::SignedOut => server.end_sessions(user),
            Self::ActorDisabled => server.edit_user("boss", User::disable),
            Self::ActorEnabledAgain => server.edit_user("boss", anew),
            Self::ActorDeleted => server.delete_user("boss"),
            Self::ActorSignedOut => server.end_sessions("boss"),
            Self::ClientDisabled => server.edit_client(client, Client::disable),
            Self::ClientEnabledAgain => server.edit_client(client, renewed),
            Self::ClientDeleted => server.delete_client(client),
            Self::ClientAddedAnew => server.add_client_anew(client, keeps_secret),
            Self::ClientNarrowed => server.narrow(client),
            Self::IssuerDisabled => server.edit_client(issuer, Client::disable),
            Self::IssuerEnabledAgain => server.edit_client(issuer, renewed),
            Self::IssuerDeleted => server.delete_client(issuer),
            Self::IssuerAddedAnew => server.add_client_anew(issuer, true),
            Self::IssuerNarrowed => server.narrow(issuer),
        }
    }
}
