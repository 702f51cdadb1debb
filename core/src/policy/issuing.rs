//! The clients that something rests on: whether they stand, what may be granted, and what a commit requires of them.

use crate::records::client::Client;
use crate::records::named_clients::NamedClients;
use crate::records::scope::Scope;
use crate::settings::Settings;
use crate::store::audit::Refusal;
use crate::store::change::Change;

impl NamedClients<'_> {
    /// Checks that all of them are enabled, and the very clients that are named: `client` was read by the first name, `other` by that of
    /// [`other_issuer`](Self::other_issuer).
    pub(crate) fn stand<'r>(
        self,
        client: Option<&'r Client>,
        other: Option<&'r Client>,
    ) -> Result<Issuing<'r>, Refusal> {
        let found = self.epoch().is_none_or(|epoch| {
            client.is_some_and(|client| client.enabled && client.id == *self.id() && client.epoch == epoch)
        });
        if !found {
            return Err(Refusal::ClientInactive);
        }
        let Some(named) = self.issuer() else { return Ok(Issuing(None)) };
        let record = if named.id == *self.id() { client } else { other };
        match record.filter(|record| record.is(named)) {
            Some(record) => Ok(Issuing(Some(record))),
            None => Err(Refusal::ClientInactive),
        }
    }

    /// Returns what must still hold of them when something is written that rests on them.
    pub(crate) fn conditions(self) -> impl Iterator<Item = Change> {
        let client = self.epoch().map(|epoch| (self.id(), epoch));
        let issuer =
            self.issuer().map(|issuer| (&issuer.id, issuer.epoch)).filter(|issuer| Some(*issuer) != client);
        let named = client.into_iter().chain(issuer);
        named.map(|(id, epoch)| Change::RequireClientEpoch { id: id.clone(), epoch })
    }
}

/// The issuer of something, which stands: it decides what may be granted now. Nobody does for the command line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issuing<'a>(Option<&'a Client>);

impl Issuing<'_> {
    /// Returns the part of `scope` that may be granted now: what its issuer may have, and the configured user scope, which every
    /// issuer may grant.
    pub(crate) fn grantable(self, scope: &Scope, settings: &Settings) -> Scope {
        match self.0 {
            None => scope.clone(),
            // Most sessions have the configured scope, which is then not taken apart.
            Some(_) if *scope == settings.user_scope => scope.clone(),
            Some(issuer) => {
                scope.filtered(|token| settings.user_scope.contains(token) || issuer.scope.contains(token))
            }
        }
    }

    /// Returns true if all of `scope` may be granted now.
    pub(crate) fn may_grant(self, scope: &Scope, settings: &Settings) -> bool {
        self.grantable(scope, settings) == *scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::client::ClientRef;
    use crate::records::client::tests::client;
    use crate::records::id::ClientId;
    use crate::settings::Issuer;
    use alloc::vec::Vec;

    fn conditions(named: NamedClients<'_>) -> Vec<(ClientId, u64)> {
        let pair = |change| {
            let Change::RequireClientEpoch { id, epoch } = change else { panic!("{change:?}") };
            (id, epoch)
        };
        named.conditions().map(pair).collect()
    }

    #[test]
    fn each_client_is_named_once_and_has_to_stand() {
        let (portal, backend) = (client("portal", "", "s"), client("backend", "email", "s"));
        let (for_portal, by_backend) = (portal.reference(), backend.reference());
        let named = |epoch, issuer| NamedClients::new(&portal.id, epoch, issuer);
        let alone = named(None, None);
        assert!(alone.stand(None, None).is_ok() && conditions(alone).is_empty());
        let own = named(Some(0), Some(&for_portal));
        assert_eq!((own.other_issuer(), conditions(own)), (None, [(portal.id.clone(), 0)].into()));
        assert!(own.stand(Some(&portal), None).is_ok());
        let both = named(Some(0), Some(&by_backend));
        assert_eq!(both.other_issuer(), Some(&backend.id));
        assert_eq!(conditions(both), [(portal.id.clone(), 0), (backend.id.clone(), 0)]);
        assert!(both.stand(Some(&portal), Some(&backend)).is_ok());
        let anew = |of: &Client| Client { epoch: 9, ..of.clone() };
        let off = |of: &Client| Client { enabled: false, ..of.clone() };
        for (client, other) in [
            (None, Some(backend.clone())),
            (Some(portal.clone()), None),
            (Some(anew(&portal)), Some(backend.clone())),
            (Some(off(&portal)), Some(backend.clone())),
            (Some(portal.clone()), Some(anew(&backend))),
            (Some(portal.clone()), Some(off(&backend))),
            // Whoever was read by another name.
            (Some(backend.clone()), Some(portal.clone())),
        ] {
            assert_eq!(both.stand(client.as_ref(), other.as_ref()).err(), Some(Refusal::ClientInactive));
        }
        let forged = ClientRef { epoch: 1, ..for_portal.clone() };
        assert!(named(Some(0), Some(&forged)).stand(Some(&portal), None).is_err());
    }

    #[test]
    fn an_issuer_grants_what_it_may_have_and_the_user_scope() {
        let settings = Settings::new(Issuer::parse("http://gate.example").unwrap());
        let backend = client("backend", "email", "s");
        let scope = |text| Scope::parse(text).unwrap();
        let all = scope("email phone profile");
        let issuing = Issuing(Some(&backend));
        assert_eq!(issuing.grantable(&all, &settings), scope("email profile"));
        assert!(!issuing.may_grant(&all, &settings) && issuing.may_grant(&scope("profile"), &settings));
        assert!(Issuing(None).may_grant(&all, &settings));
    }
}
