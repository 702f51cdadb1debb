//! Events between the issue of a credential and its use, and their expected effects.

use gatepass_core::records::client::Client;
use gatepass_core::records::user::User;

use gatepass_tests::in_memory_server::InMemoryServer;

use crate::actions;
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
            Self::UserDisabled => actions::edit_user(server, user, User::disable),
            Self::UserEnabledAgain => actions::edit_user(server, user, anew),
            Self::UserDeleted => actions::delete_user(server, user),
            Self::UserAddedAnew => actions::add_user_anew(server, user),
            Self::PasswordSet => actions::set_password(server, user),
            Self::FactorsReset => actions::reset_factors(server, user),
            Self::SignedOut => actions::end_sessions(server, user),
            Self::ActorDisabled => actions::edit_user(server, "boss", User::disable),
            Self::ActorEnabledAgain => actions::edit_user(server, "boss", anew),
            Self::ActorDeleted => actions::delete_user(server, "boss"),
            Self::ActorSignedOut => actions::end_sessions(server, "boss"),
            Self::ClientDisabled => server.edit_client(client, Client::disable),
            Self::ClientEnabledAgain => server.edit_client(client, renewed),
            Self::ClientDeleted => server.delete_client(client),
            Self::ClientAddedAnew => actions::add_client_anew(server, client, keeps_secret),
            Self::ClientNarrowed => actions::narrow(server, client),
            Self::IssuerDisabled => server.edit_client(issuer, Client::disable),
            Self::IssuerEnabledAgain => server.edit_client(issuer, renewed),
            Self::IssuerDeleted => server.delete_client(issuer),
            Self::IssuerAddedAnew => actions::add_client_anew(server, issuer, true),
            Self::IssuerNarrowed => actions::narrow(server, issuer),
        }
    }
}
