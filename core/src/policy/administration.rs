//! The scope of administration: who may have it, and for whom it counts.

use crate::records::client::Client;
use crate::records::role::Roles;
use crate::records::scope::Scope;
use crate::records::session::{Purpose, Session};
use crate::records::user::User;
use crate::settings::Settings;

/// The longest life of a client's access token that administers, in seconds.
pub(crate) const CLIENT_LIFETIME: u32 = 900;
/// The life of a person's session that administers, in seconds.
pub(crate) const SESSION_LIFETIME: u32 = 3600;

/// Returns the roles of `held` that count. Of several none does where roles have to be separate: they are from when they had not.
pub const fn roles_that_count(held: Roles, settings: &Settings) -> Roles {
    if settings.separate_roles && held.len() > 1 { Roles::NONE } else { held }
}

/// Returns the part of `scope` that counts in a token of `client` itself: what the client may have, and administration while it has a
/// role.
pub(crate) fn scope_of_client(scope: &Scope, client: &Client, settings: &Settings) -> Scope {
    scope.filtered(|token| match token {
        Scope::ADMIN => !roles_that_count(client.roles, settings).is_empty(),
        token => client.scope.contains(token),
    })
}

/// Returns the part of `scope` that counts in a token of `session`: not administration, unless `user` has a role, and signed in alone,
/// for this server and with a second factor.
pub(crate) fn scope_of_person(scope: Scope, user: &User, session: &Session, settings: &Settings) -> Scope {
    let counts = || {
        session.scope.contains(Scope::ADMIN)
            && session.purpose == Purpose::Anything
            && session.actor.is_none()
            && session.client_epoch.is_none()
            && session.issuer.is_none()
            && session.methods.iter().any(|method| method == "pwd")
            && session.methods.iter().any(|method| method == "mfa")
            && !roles_that_count(user.roles, settings).is_empty()
    };
    if !scope.contains(Scope::ADMIN) || counts() {
        scope
    } else {
        scope.filtered(|token| token != Scope::ADMIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Clocks, Time};
    use crate::policy::ticket_redemption::tests::user;
    use crate::records::challenge::SignIn;
    use crate::records::client::tests::client;
    use crate::records::id::SessionId;
    use crate::records::role::Role;
    use crate::records::session::Actor;
    use crate::records::sign_in_history::DeviceOnNetwork;
    use crate::settings::Issuer;
    use alloc::vec;

    const OFFICER: Roles = Roles::of(&[Role::Officer]);
    const TWO: Roles = Roles::of(&[Role::Officer, Role::Auditor]);

    fn settings() -> Settings {
        Settings::new(Issuer::parse("http://gate.example").unwrap())
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn several_roles_count_only_where_they_need_not_be_separate() {
        let together = Settings { separate_roles: false, ..settings() };
        for (held, apart) in [(Roles::NONE, Roles::NONE), (OFFICER, OFFICER), (TWO, Roles::NONE)] {
            assert_eq!(roles_that_count(held, &settings()), apart);
            assert_eq!(roles_that_count(held, &together), held);
        }
    }

    #[test]
    fn a_client_administers_while_it_has_a_role() {
        let mut backend = client("backend", "a", "s");
        let asked = scope("a gatepass:admin b");
        for (roles, counts) in [(Roles::NONE, "a"), (OFFICER, "a gatepass:admin"), (TWO, "a")] {
            backend.roles = roles;
            assert_eq!(scope_of_client(&asked, &backend, &settings()).as_str(), counts);
        }
    }

    #[test]
    fn a_session_administers_that_was_opened_for_it_and_while_its_user_has_a_role() {
        let now = Time::from_unix(1_000);
        let officer = User { roles: OFFICER, ..user("alice") };
        let place = DeviceOnNetwork::of("", b"", [192, 0, 2, 1].into()).unwrap();
        let mut sign_in =
            SignIn::by_password(officer.id.clone(), None, scope("profile gatepass:admin"), place);
        sign_in.methods.push("mfa".into());
        let clocks = Clocks { now, wall: now };
        let id = SessionId::parse("ses_1").unwrap();
        let whole = sign_in.session(id, (&officer, None), Purpose::Anything, 3600, 0, clocks);
        let counts = |user: &User, session: &Session| {
            scope_of_person(scope("profile gatepass:admin"), user, session, &settings())
        };
        assert_eq!(counts(&officer, &whole).as_str(), "profile gatepass:admin");
        let boss = Actor { id: user("boss").id, epoch: 0 };
        let backend = client("backend", "", "s").reference();
        for other in [
            Session { actor: Some(boss), ..whole.clone() },
            Session { client_epoch: Some(0), ..whole.clone() },
            Session { issuer: Some(backend), ..whole.clone() },
            Session { methods: vec!["pwd".into()], ..whole.clone() },
            Session { methods: vec!["ticket".into(), "mfa".into()], ..whole.clone() },
            Session { scope: scope("profile"), ..whole.clone() },
            Session { purpose: Purpose::ChangePassword, ..whole.clone() },
        ] {
            assert_eq!(counts(&officer, &other).as_str(), "profile", "{other:?}");
        }
        for roles in [Roles::NONE, TWO] {
            assert_eq!(counts(&User { roles, ..officer.clone() }, &whole).as_str(), "profile");
        }
    }
}
