//! A client's credentials as it presents them.

use alloc::vec::Vec;

use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::records::client::{AuthenticatedClient, Client, ClientRefusal};
use crate::records::id::ClientId;

/// A client id with a secret that has not been compared yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client id.
    pub id: ClientId,
    /// The secret, in each way that it can be read.
    pub readings: Vec<SecretText>,
}

impl ClientCredentials {
    /// Returns the credentials of the client called `name`; none where no client can have that name.
    pub fn read(name: &str, readings: Vec<SecretText>) -> Option<Self> {
        Some(Self { id: ClientId::parse(name).ok()?, readings })
    }

    /// Compares them with `record`, which was looked up by their id.
    ///
    /// # Errors
    /// [`ClientRefusal`], for the audit table alone.
    pub fn authenticate<'a>(
        &self,
        record: Option<&'a Client>,
        now: Time,
    ) -> Result<AuthenticatedClient<'a>, ClientRefusal> {
        Client::authenticate(record.filter(|client| client.id == self.id), &self.readings, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn no_client_has_an_illegible_name() {
        assert!(ClientCredentials::read("svc", vec![]).is_some());
        assert!(["", "a b", "\0"].iter().all(|name| ClientCredentials::read(name, vec![]).is_none()));
    }
}
