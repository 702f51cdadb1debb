//! A client (RFC 6749 §2): a service with credentials of its own.

use alloc::{string::String, vec::Vec};

use crate::base::secret::{SecretText, same_bytes};
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::crypto::sha256;
use crate::records::client_assertion::{ClientAssertion, UsedAssertion};
use crate::records::client_key::ClientKey;
use crate::records::factor::AskFactor;
use crate::records::id::{ClientId, SecretId};
use crate::records::role::Roles;
use crate::records::scope::Scope;

/// A registered client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: ClientId,
    /// A name for people.
    pub name: Option<String>,
    /// The scope that it may ask for.
    pub scope: Scope,
    /// The scope that it gets if it asks for none; if this is empty, it must ask.
    pub default_scope: Scope,
    /// The audiences of its own tokens, beside this server.
    pub audiences: Vec<String>,
    /// True if it may do anything at all.
    pub enabled: bool,
    /// The lifetime of its own access tokens, in seconds; none takes the setting.
    pub token_lifetime: Option<u32>,
    /// The lifetime of access tokens of people signed in for it, in seconds; none takes the setting.
    pub user_token_lifetime: Option<u32>,
    /// The rule about second factors for people who sign in for it; none takes the setting.
    pub second_factor: Option<AskFactor>,
    /// True if it is believed about the person before it: their address, user agent and device.
    pub trusted_context: bool,
    /// The roles: what the client may administer over HTTP.
    pub roles: Roles,
    /// The algorithm that signs its own access tokens, and those of people signed in for it; none takes the default key's.
    pub signing_algorithm: Option<Algorithm>,
    /// The time of registration.
    pub created_at: Time,
    /// Its secrets, several so that they rotate without downtime; at most [`Client::MAX_SECRETS`].
    pub secrets: Vec<ClientSecret>,
    /// The public keys by which its assertions are verified; at most [`ClientKey::MAX`].
    pub keys: Vec<ClientKey>,
    /// Raised by every change to the record, so that two editors do not overwrite each other.
    pub revision: u64,
    /// Tells it from every namesake, and is raised to end whatever was issued by it or for it: see [`ClientRef`].
    pub epoch: u64,
}

/// A client of one registration. What rests on a client names it so: a namesake that was registered later, or the same client
/// once it was disabled, has another epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRef {
    /// Its `client_id`.
    pub id: ClientId,
    /// Its epoch.
    pub epoch: u64,
}

/// A secret: its digest and its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSecret {
    /// Its public name.
    pub id: SecretId,
    /// SHA-256 of the secret's text.
    pub digest: SecretDigest,
    /// The time when it was made.
    pub created_at: Time,
    /// The time from which it is refused; none is never.
    pub expires_at: Option<Time>,
    /// The time of the last use that was written down; none where there was none. A use is written down where the one before lies
    /// [`USE_INTERVAL`](Self::USE_INTERVAL) back or more.
    pub last_used_at: Option<Time>,
}

/// A use of a secret that is to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedSecret {
    /// The client.
    pub client: ClientId,
    /// SHA-256 of the secret's text.
    pub digest: SecretDigest,
    /// The time of the use.
    pub at: Time,
}

/// SHA-256 of a client secret. Secrets have 256 bits, or 32 characters at least, so a fast digest is enough.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretDigest(pub [u8; 32]);

impl core::fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SecretDigest(…)")
    }
}

impl SecretDigest {
    /// Returns the digest of `secret`.
    pub fn of(secret: &str) -> Self {
        Self(sha256(secret.as_bytes()))
    }
}

impl ClientSecret {
    /// The least time between two uses that are written down, in seconds.
    pub const USE_INTERVAL: u64 = 3600;

    /// Makes the record of `secret`, which does not expire, called `id`. Draw a secret of 256 random bits, and give its text to the client alone.
    pub fn new(id: SecretId, secret: &str, created_at: Time) -> Self {
        Self { id, digest: SecretDigest::of(secret), created_at, expires_at: None, last_used_at: None }
    }

    /// Lets it end at `end`, unless it was to end sooner.
    pub(crate) fn end_by(&mut self, end: Time) {
        self.expires_at = Some(self.expires_at.map_or(end, |sooner| sooner.min(end)));
    }

    /// Returns true if it is good at `now`.
    fn is_live(&self, now: Time) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Returns true if a use at `now` is to be written down.
    fn is_use_due(&self, now: Time) -> bool {
        self.last_used_at.is_none_or(|last| last.plus(Self::USE_INTERVAL) <= now)
    }

    /// Remembers a use; one that is older than the last changes nothing.
    #[cfg(feature = "memory")]
    pub(crate) fn record_use(&mut self, at: Time) {
        self.last_used_at = self.last_used_at.max(Some(at));
    }
}

/// Proof that a client presented one of its live secrets, or an assertion that it signed. Only [`Client::authenticate`] and
/// [`Client::authenticate_by_assertion`] make one.
#[derive(Debug)]
pub struct AuthenticatedClient<'a> {
    client: &'a Client,
    proof: ClientProof,
}

impl<'a> AuthenticatedClient<'a> {
    /// Returns the client's record.
    pub const fn client(&self) -> &'a Client {
        self.client
    }

    /// Returns the use of the secret, where it is to be written down.
    pub const fn used_secret(&self) -> Option<&UsedSecret> {
        match &self.proof.accepted {
            Accepted::Secret(used) => used.as_ref(),
            Accepted::Assertion(_) => None,
        }
    }

    /// Returns the use of the assertion. Commit it with whatever rests on the proof.
    pub const fn used_assertion(&self) -> Option<UsedAssertion> {
        self.proof.used_assertion()
    }

    /// Returns the proof without the record.
    pub(crate) fn into_proof(self) -> ClientProof {
        self.proof
    }
}

/// Proof that the client of a snapshot has authenticated, apart from its record.
#[derive(Clone, Debug)]
pub(crate) struct ClientProof {
    id: ClientId,
    accepted: Accepted,
}

/// The credential that was good.
#[derive(Clone, Debug)]
enum Accepted {
    /// A secret, whose use may have to be written down.
    Secret(Option<UsedSecret>),
    /// An assertion, whose use has to be.
    Assertion(UsedAssertion),
}

impl ClientProof {
    /// Returns the client, of the record that the proof was made with.
    pub(crate) fn of<'a>(&self, record: &'a Client) -> Option<AuthenticatedClient<'a>> {
        (record.id == self.id).then(|| AuthenticatedClient { client: record, proof: self.clone() })
    }

    /// Returns the use of the secret, where it is to be written down.
    pub(crate) fn into_used_secret(self) -> Option<UsedSecret> {
        match self.accepted {
            Accepted::Secret(used) => used,
            Accepted::Assertion(_) => None,
        }
    }

    /// Returns the use of the assertion, which is to be committed with whatever rests on the proof.
    pub(crate) const fn used_assertion(&self) -> Option<UsedAssertion> {
        match self.accepted {
            Accepted::Secret(_) => None,
            Accepted::Assertion(used) => Some(used),
        }
    }
}

/// The reason why a client was not authenticated. It is never told on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRefusal {
    /// There is no such client.
    Unknown,
    /// It is disabled.
    Disabled,
    /// The secret is wrong, or expired.
    WrongSecret,
    /// None of its keys verifies the assertion.
    WrongAssertion,
    /// The assertion was used before.
    UsedAssertion,
}

impl Client {
    /// The most secrets a client has at once.
    pub const MAX_SECRETS: usize = 8;
    /// The beginning of a secret that is made here; the rest are 256 bits in base64url.
    pub const SECRET_PREFIX: &str = "gps_";
    /// The shortest secret that may be imported, in characters.
    pub const MIN_SECRET_CHARS: usize = 32;

    /// Makes an enabled client that may ask for `scope` and has no secret yet, to be inserted by
    /// `Change::InsertClient`. `random` are 64 random bits, of which its epoch is made.
    pub fn new(id: ClientId, scope: Scope, random: u64, created_at: Time) -> Self {
        Self {
            id,
            name: None,
            scope,
            default_scope: Scope::default(),
            audiences: Vec::new(),
            enabled: true,
            token_lifetime: None,
            user_token_lifetime: None,
            second_factor: None,
            trusted_context: false,
            roles: Roles::NONE,
            signing_algorithm: None,
            created_at,
            secrets: Vec::new(),
            keys: Vec::new(),
            revision: 0,
            epoch: Self::first_epoch(random),
        }
    }

    /// Returns the epoch of a new client, made of random bits: 1 to 2^52. It is never that of a client from before there were epochs,
    /// which have 0, and may be raised as often again before a JSON reader with 53 bits loses it.
    pub const fn first_epoch(random: u64) -> u64 {
        (random >> 12).saturating_add(1)
    }

    /// Returns the client as what rests on it names it.
    pub fn reference(&self) -> ClientRef {
        ClientRef { id: self.id.clone(), epoch: self.epoch }
    }

    /// Returns true if it is enabled, and the very client that `named` says.
    pub fn is(&self, named: &ClientRef) -> bool {
        self.enabled && self.id == named.id && self.epoch == named.epoch
    }

    /// Disables the client, and ends whatever was issued by it or for it.
    pub fn disable(&mut self) {
        if self.enabled {
            self.enabled = false;
            self.epoch = self.epoch.saturating_add(1);
        }
    }

    /// Gives the client exactly these roles. If they are others than before, what was issued by it or for it ends.
    pub fn set_roles(&mut self, roles: Roles) {
        if self.roles != roles {
            self.roles = roles;
            self.epoch = self.epoch.saturating_add(1);
        }
    }

    /// Enables the client again. What ended stays ended.
    pub const fn enable(&mut self) {
        self.enabled = true;
    }

    /// Returns a proof if any of `readings` (a Basic header has two) is a live secret of `client`. The same number of
    /// comparisons is made for an unknown client, a disabled one and a wrong secret.
    ///
    /// # Errors
    /// [`ClientRefusal`], for the audit table alone.
    pub fn authenticate<'a>(
        client: Option<&'a Self>,
        readings: &[SecretText],
        now: Time,
    ) -> Result<AuthenticatedClient<'a>, ClientRefusal> {
        let secrets = client.map(|c| c.secrets.as_slice()).unwrap_or_default();
        let (nothing, mut found) = (SecretDigest([0; 32]), None);
        for reading in readings {
            let digest = SecretDigest::of(reading.expose());
            let known = secrets.iter().map(|secret| (&secret.digest, Some(secret)));
            let filled = known.chain(core::iter::repeat((&nothing, None)));
            for (known, secret) in filled.take(Self::MAX_SECRETS) {
                if same_bytes(&digest.0, &known.0) && secret.is_some_and(|secret| secret.is_live(now)) {
                    found = secret;
                }
            }
        }
        let client = client.ok_or(ClientRefusal::Unknown)?;
        if !client.enabled {
            return Err(ClientRefusal::Disabled);
        }
        let secret = found.ok_or(ClientRefusal::WrongSecret)?;
        let used = || UsedSecret { client: client.id.clone(), digest: secret.digest.clone(), at: now };
        let accepted = Accepted::Secret(secret.is_use_due(now).then(used));
        Ok(AuthenticatedClient { client, proof: ClientProof { id: client.id.clone(), accepted } })
    }

    /// Returns a proof if one of the keys of `client` verifies `assertion`, which is about that client and was not used before.
    ///
    /// # Errors
    /// [`ClientRefusal`], for the audit table alone.
    pub fn authenticate_by_assertion<'a>(
        client: Option<&'a Self>,
        assertion: &ClientAssertion,
        is_used: bool,
    ) -> Result<AuthenticatedClient<'a>, ClientRefusal> {
        let client =
            client.filter(|client| client.id == *assertion.client()).ok_or(ClientRefusal::Unknown)?;
        if !client.enabled {
            return Err(ClientRefusal::Disabled);
        }
        let used = assertion.verify(&client.keys).ok_or(ClientRefusal::WrongAssertion)?;
        if is_used {
            return Err(ClientRefusal::UsedAssertion);
        }
        let proof = ClientProof { id: client.id.clone(), accepted: Accepted::Assertion(used) };
        Ok(AuthenticatedClient { client, proof })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;

    fn made(secret: &str) -> ClientSecret {
        ClientSecret::new(SecretId::parse("sec_1").unwrap(), secret, Time::from_unix(1))
    }

    pub(crate) fn client(id: &str, scope: &str, secret: &str) -> Client {
        Client {
            secrets: vec![made(secret)],
            epoch: 0,
            ..Client::new(ClientId::parse(id).unwrap(), Scope::parse(scope).unwrap(), 0, Time::from_unix(1))
        }
    }

    #[test]
    fn only_a_live_secret_of_an_enabled_client_authenticates() {
        let now = Time::from_unix(100);
        let mut c = client("svc", "a", "old");
        c.secrets[0].expires_at = Some(Time::from_unix(100));
        c.secrets.push(ClientSecret { expires_at: Some(Time::from_unix(101)), ..made("new") });
        let text = |s: &str| SecretText::new(s.into());
        let refusal =
            |c: Option<&Client>, readings: &[SecretText]| Client::authenticate(c, readings, now).err();
        assert_eq!(refusal(Some(&c), &[text("new")]), None);
        assert_eq!(refusal(Some(&c), &[text("ne+"), text("new")]), None);
        assert_eq!(refusal(Some(&c), &[text("old")]), Some(ClientRefusal::WrongSecret));
        assert_eq!(refusal(Some(&c), &[]), Some(ClientRefusal::WrongSecret));
        assert_eq!(refusal(None, &[text("new")]), Some(ClientRefusal::Unknown));
        c.disable();
        assert_eq!(refusal(Some(&c), &[text("new")]), Some(ClientRefusal::Disabled));
    }

    #[test]
    fn a_use_is_written_down_of_the_secret_that_authenticates_and_once_an_hour() {
        let mut c = client("svc", "a", "old");
        c.secrets.push(made("new"));
        c.secrets.push(ClientSecret { expires_at: Some(Time::from_unix(2)), ..made("ended") });
        c.secrets[0].last_used_at = Some(Time::from_unix(10_000));
        let used = |c: &Client, secret: &str, now| {
            let readings = [SecretText::new("ne+".into()), SecretText::new(secret.into())];
            let client = Client::authenticate(Some(c), &readings, Time::from_unix(now)).ok()?;
            client.used_secret().map(|used| (used.digest.clone(), used.at.unix()))
        };
        assert_eq!(used(&c, "new", 10_000), Some((SecretDigest::of("new"), 10_000)));
        assert_eq!(used(&c, "old", 13_599), None);
        assert_eq!(used(&c, "old", 13_600), Some((SecretDigest::of("old"), 13_600)));
        for wrong in ["ended", "other", ""] {
            assert_eq!(used(&c, wrong, 20_000), None, "{wrong}");
        }
        c.disable();
        assert_eq!(used(&c, "new", 20_000), None);
    }

    #[test]
    fn a_client_that_was_disabled_is_another() {
        let mut c = client("svc", "a", "s");
        let named = c.reference();
        assert!(c.is(&named));
        c.disable();
        assert!(!c.is(&named) && !c.is(&c.reference()));
        c.disable();
        c.enable();
        assert!(!c.is(&named) && c.is(&c.reference()));
        assert_eq!(c.epoch, named.epoch + 1);
        let namesake = Client { epoch: Client::first_epoch(0), ..client("svc", "a", "s") };
        assert!(!namesake.is(&named));
        assert_eq!((Client::first_epoch(0), Client::first_epoch(u64::MAX)), (1, 1 << 52));
    }
}
