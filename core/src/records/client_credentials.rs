//! A client's credentials as it presents them.

use alloc::vec::Vec;

use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::records::client::{AuthenticatedClient, Client, ClientProof, ClientRefusal};
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

    /// Returns true if they can be guessed: no reading of the secret has the form of one that is made here, with 256 bits.
    pub fn are_guessable(&self) -> bool {
        let is_generated = |secret: &SecretText| {
            let bits = secret.expose().strip_prefix(Client::SECRET_PREFIX).unwrap_or_default();
            bits.len() == 43 && bits.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        !self.readings.iter().any(is_generated)
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

/// Credentials that a request rests on, and the record that was found for them. Nothing was compared yet.
#[derive(Debug)]
pub(crate) struct ClientClaim<'a> {
    pub(crate) credentials: &'a ClientCredentials,
    pub(crate) record: Option<&'a Client>,
    /// True if the answer tells whether they are right.
    pub(crate) is_told: bool,
}

impl<'a> ClientClaim<'a> {
    /// Makes the claim of a request whose answer tells whether the credentials are right.
    pub(crate) const fn new(credentials: &'a ClientCredentials, record: Option<&'a Client>) -> Self {
        Self { credentials, record, is_told: true }
    }

    /// Compares the credentials with the record.
    pub(crate) fn authenticate(&self, now: Time) -> Result<ClientProof, ClientRefusal> {
        self.credentials.authenticate(self.record, now).map(AuthenticatedClient::into_proof)
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
            let credentials = ClientCredentials { id: ClientId::parse("svc").unwrap(), readings };
            assert_eq!(credentials.are_guessable(), guessable, "{credentials:?}");
        }
    }

    #[test]
    fn no_client_has_an_illegible_name() {
        assert!(ClientCredentials::read("svc", vec![]).is_some());
        assert!(["", "a b", "\0"].iter().all(|name| ClientCredentials::read(name, vec![]).is_none()));
    }
}
