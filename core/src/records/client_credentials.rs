//! A client's credentials as it presents them.

use alloc::{boxed::Box, vec::Vec};

use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::records::client::{AuthenticatedClient, Client, ClientProof, ClientRefusal};
use crate::records::client_assertion::ClientAssertion;
use crate::records::id::ClientId;

/// A client id with a credential that has not been compared yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// The client id.
    pub id: ClientId,
    /// The credential.
    pub credential: ClientCredential,
}

/// The credential by which a client authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientCredential {
    /// A secret, in each way that it can be read.
    Secret(Vec<SecretText>),
    /// An assertion.
    Assertion(Box<ClientAssertion>),
}

impl ClientCredentials {
    /// Returns the credentials of the client called `name`; none where no client can have that name.
    pub fn read(name: &str, readings: Vec<SecretText>) -> Option<Self> {
        Some(Self { id: ClientId::parse(name).ok()?, credential: ClientCredential::Secret(readings) })
    }

    /// Returns the assertion, where they are one.
    pub(crate) const fn assertion(&self) -> Option<&ClientAssertion> {
        match &self.credential {
            ClientCredential::Secret(_) => None,
            ClientCredential::Assertion(assertion) => Some(assertion),
        }
    }

    /// Returns true if they can be guessed: no reading of the secret has the form of one that is made here, with 256 bits.
    pub fn are_guessable(&self) -> bool {
        let is_generated = |secret: &SecretText| {
            let bits = secret.expose().strip_prefix(Client::SECRET_PREFIX).unwrap_or_default();
            bits.len() == 43 && bits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        match &self.credential {
            ClientCredential::Secret(readings) => !readings.iter().any(is_generated),
            ClientCredential::Assertion(_) => false,
        }
    }

    /// Compares them with `record`, which was looked up by their id. `is_used` says that they are an assertion that was used before.
    ///
    /// # Errors
    /// [`ClientRefusal`], for the audit table alone.
    pub fn authenticate<'a>(
        &self,
        record: Option<&'a Client>,
        is_used: bool,
        now: Time,
    ) -> Result<AuthenticatedClient<'a>, ClientRefusal> {
        let record = record.filter(|client| client.id == self.id);
        match &self.credential {
            ClientCredential::Secret(readings) => Client::authenticate(record, readings, now),
            ClientCredential::Assertion(assertion) => {
                Client::authenticate_by_assertion(record, assertion, is_used)
            }
        }
    }
}

impl From<ClientAssertion> for ClientCredentials {
    fn from(assertion: ClientAssertion) -> Self {
        Self { id: assertion.client().clone(), credential: ClientCredential::Assertion(Box::new(assertion)) }
    }
}

/// Credentials that a request rests on, and the record that was found for them. Nothing was compared yet.
#[derive(Debug)]
pub(crate) struct ClientClaim<'a> {
    pub(crate) credentials: &'a ClientCredentials,
    pub(crate) record: Option<&'a Client>,
    /// True if the answer reveals whether they are right.
    pub(crate) is_revealed: bool,
    /// True if they are an assertion that was used before.
    pub(crate) is_used: bool,
}

impl<'a> ClientClaim<'a> {
    /// Makes the claim of a request whose answer reveals whether the credentials are right.
    pub(crate) const fn new(credentials: &'a ClientCredentials, record: Option<&'a Client>) -> Self {
        Self { credentials, record, is_revealed: true, is_used: false }
    }

    /// Compares the credentials with the record.
    pub(crate) fn authenticate(&self, now: Time) -> Result<ClientProof, ClientRefusal> {
        self.credentials.authenticate(self.record, self.is_used, now).map(AuthenticatedClient::into_proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn what_is_made_here_cannot_be_guessed() {
        let made = alloc::format!("gps_{}", "x".repeat(43));
        let (short, long) = (&made[..46], alloc::format!("{made}x"));
        let odd = alloc::format!("gps_{}", "+".repeat(43));
        let escaped = made.replace('_', "%5F");
        for (readings, guessable) in [
            (&[made.as_str()][..], false),
            (&[&made, &escaped], false),
            (&[short], true),
            (&[&long], true),
            (&[&odd], true),
            (&[&escaped], true),
            (&[&made[4..]], true),
            (&["GPS_"], true),
            (&[""], true),
            (&[], true),
        ] {
            let readings = readings.iter().map(|text| SecretText::new((*text).into())).collect();
            let credentials = ClientCredentials::read("svc", readings).unwrap();
            assert_eq!(credentials.are_guessable(), guessable, "{credentials:?}");
        }
    }

    #[test]
    fn no_client_has_an_illegible_name() {
        assert!(ClientCredentials::read("svc", vec![]).is_some());
        assert!(["", "a b", "\0"].iter().all(|name| ClientCredentials::read(name, vec![]).is_none()));
    }
}
