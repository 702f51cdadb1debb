//! Operations on the public keys of clients.

use alloc::string::String;

use super::clients::{edit, found};
use super::error::{AdminError, Field, Invalid, Item, Obstacle};
use super::step::{Decision, Operation, OperationInputs};
use crate::records::client::Client;
use crate::records::client_key::ClientKey;
use crate::records::id::ClientId;
use crate::store::audit::Kind;
use crate::store::query::{Query, Records};

/// Adds a public key to those of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddClientKey {
    client: ClientId,
    key: ClientKey,
}

impl AddClientKey {
    /// Adds the JWK to the keys of `client`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is a private key or a shared secret, or cannot be used.
    pub fn new(client: ClientId, jwk: &[u8]) -> Result<Self, AdminError> {
        let key = ClientKey::read_one(jwk);
        let key =
            key.map_err(|error| AdminError::Invalid { field: Field::Keys, reason: Invalid::Keys(error) })?;
        Ok(Self { client, key })
    }
}

/// Removes one of the public keys of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndClientKey {
    /// The client.
    pub client: ClientId,
    /// The `kid`.
    pub key: String,
}

impl Operation for AddClientKey {
    type Output = (Client, ClientKey);

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<(Client, ClientKey)>, AdminError> {
        let found = found(&self.client, records)?;
        let decision = edit(inputs, Kind::ClientChanged, found, |client| {
            if client.keys.iter().any(|key| key.id() == self.key.id()) {
                return Err(AdminError::AlreadyExists(Item::Key(self.key.id().into())));
            }
            if client.keys.len() >= ClientKey::MAX {
                return Err(AdminError::Refused(Obstacle::TooManyKeys));
            }
            client.keys.push(self.key.clone());
            Ok(())
        })?;
        Ok(decision.map(|client| (client, self.key.clone())))
    }
}

impl Operation for EndClientKey {
    type Output = Client;

    fn query(&self) -> Query {
        Query::Client(self.client.clone())
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Client>, AdminError> {
        edit(inputs, Kind::ClientChanged, found(&self.client, records)?, |client| {
            let before = client.keys.len();
            client.keys.retain(|key| key.id() != self.key);
            if client.keys.len() == before {
                return Err(AdminError::NotFound(Item::Key(self.key.clone())));
            }
            Ok(())
        })
    }
}
