//! What happens between the issue of a credential and its use, and what must come of it.

use gatepass_core::records::client::Client;
use gatepass_core::records::user::User;

use crate::kinds::{Credential, Sort};
use crate::site::Site;

/// What happens.
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

/// Whom an event is about.
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

    /// Whether it is about somebody whom the credential names.
    pub(crate) fn concerns(self, credential: &Credential) -> bool {
        match self.about() {
            About::Nobody => true,
            About::User => credential.user.is_some(),
            About::Actor => credential.acts,
            About::Client => credential.client.is_some(),
            About::Issuer => credential.issuer.is_some(),
        }
    }

    /// Whether what was issued before is over, as the rules of the page's head say.
    pub(crate) fn ends(self, credential: &Credential) -> bool {
        let session = credential.sort == Sort::Session;
        match self {
            Self::Nothing | Self::ClientNarrowed | Self::IssuerNarrowed => false,
            Self::UserDisabled | Self::UserDeleted | Self::UserAddedAnew => true,
            Self::ActorDisabled | Self::ActorDeleted => true,
            // A sign-in that is yet to come, by a ticket, a password or a code, is not one of the sessions that end.
            Self::UserEnabledAgain | Self::ActorEnabledAgain | Self::SignedOut | Self::ActorSignedOut => {
                session
            }
            Self::PasswordSet => session || credential.sort == Sort::Password,
            Self::FactorsReset => session || credential.sort == Sort::Code,
            Self::ClientEnabledAgain => credential.sort != Sort::ClientSecret,
            Self::ClientDisabled | Self::ClientDeleted | Self::ClientAddedAnew => true,
            Self::IssuerDisabled | Self::IssuerEnabledAgain | Self::IssuerDeleted | Self::IssuerAddedAnew => {
                true
            }
        }
    }

    pub(crate) fn happens(self, site: &Site, credential: &Credential) {
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
        let keeps_secret = credential.sort != Sort::ClientSecret;
        match self {
            Self::Nothing => {}
            Self::UserDisabled => site.edit_user(user, User::disable),
            Self::UserEnabledAgain => site.edit_user(user, anew),
            Self::UserDeleted => site.delete_user(user),
            Self::UserAddedAnew => site.add_user_anew(user),
            Self::PasswordSet => site.set_password(user),
            Self::FactorsReset => site.reset_factors(user),
            Self::SignedOut => site.end_sessions(user),
            Self::ActorDisabled => site.edit_user("boss", User::disable),
            Self::ActorEnabledAgain => site.edit_user("boss", anew),
            Self::ActorDeleted => site.delete_user("boss"),
            Self::ActorSignedOut => site.end_sessions("boss"),
            Self::ClientDisabled => site.edit_client(client, Client::disable),
            Self::ClientEnabledAgain => site.edit_client(client, renewed),
            Self::ClientDeleted => site.delete_client(client),
            Self::ClientAddedAnew => site.add_client_anew(client, keeps_secret),
            Self::ClientNarrowed => site.narrow(client),
            Self::IssuerDisabled => site.edit_client(issuer, Client::disable),
            Self::IssuerEnabledAgain => site.edit_client(issuer, renewed),
            Self::IssuerDeleted => site.delete_client(issuer),
            Self::IssuerAddedAnew => site.add_client_anew(issuer, true),
            Self::IssuerNarrowed => site.narrow(issuer),
        }
    }
}
