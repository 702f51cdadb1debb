//! The engine: settings and keys of a server.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use once_cell::race::OnceBox;

use crate::base::secret::SecretText;
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::jose::claims::{AccessClaims, TokenError, TokenType, UnverifiedToken, WireClaims};
use crate::jose::key::{KeySet, SigningKey, VerifyingKey};
use crate::settings::Settings;

/// The keys of one generation: at most one of each algorithm signs, all of them verify.
pub struct Keys {
    generation: u64,
    /// The default key first.
    signing: Vec<SigningKey>,
    verifying: KeySet,
}

impl Keys {
    /// Makes the keys of `generation`: `signing` sign and verify, `others` only verify. The first of `signing` is the default key: it
    /// signs for every client that chooses no algorithm. A client that chooses one gets the tokens of the first key of that algorithm.
    ///
    /// The generation is a number that the store raises with every change of its keys.
    pub fn new(
        generation: u64,
        signing: impl IntoIterator<Item = SigningKey>,
        others: Vec<VerifyingKey>,
    ) -> Self {
        let (signing, mut verifying) = (signing.into_iter().collect::<Vec<_>>(), others);
        verifying.extend(signing.iter().filter_map(|key| key.verifying_key().ok()));
        Self { generation, signing, verifying: KeySet::new(verifying) }
    }

    /// Returns the key of the algorithm that a client chooses, or the default key where it chooses none.
    fn signing(&self, chosen: Option<Algorithm>) -> Option<&SigningKey> {
        self.signing.iter().find(|key| chosen.is_none_or(|chosen| chosen == key.algorithm()))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("generation", &self.generation).finish_non_exhaustive()
    }
}

/// The protocol with its settings and keys. It keeps no state: every request is a value of its own.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    keys: Keys,
    /// None until it is asked for.
    api_document: OnceBox<ApiDocument>,
}

/// The document of the API as it is published.
pub(crate) struct ApiDocument {
    pub(crate) text: Vec<u8>,
    /// The entity tag (RFC 9110 §8.8.3).
    pub(crate) tag: String,
}

impl Engine {
    /// Makes an engine with these settings and keys.
    pub const fn new(settings: Settings, keys: Keys) -> Self {
        Self { settings, keys, api_document: OnceBox::new() }
    }

    /// Returns the settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the generation of the keys.
    pub const fn generation(&self) -> u64 {
        self.keys.generation
    }

    /// Verifies an access token as this server's own endpoints do, revocation apart: signature, type, issuer,
    /// audience and times. That of a restricted session is none.
    ///
    /// # Errors
    /// [`TokenError`] says what is wrong with it.
    pub fn verify(&self, token: &str, now: Time) -> Result<AccessClaims, TokenError> {
        let token = UnverifiedToken::parse(token).map_err(TokenError::Jws)?;
        let (token_type, claims) = self.believe(&token, now)?;
        claims.of_type(TokenType::Access, token_type).map_err(TokenError::Claims)
    }

    /// Verifies a token of any type that was parsed before.
    pub(crate) fn believe(
        &self,
        token: &UnverifiedToken,
        now: Time,
    ) -> Result<(TokenType, AccessClaims), TokenError> {
        let (token_type, claims) = token.verify(&self.keys.verifying)?;
        claims.check(self.settings.issuer.as_str(), now).map_err(TokenError::Claims)?;
        Ok((token_type, claims))
    }

    /// Returns true if there is a key for a client that chooses this algorithm, or none.
    pub(crate) fn can_sign(&self, chosen: Option<Algorithm>) -> bool {
        self.keys.signing(chosen).is_some()
    }

    /// Signs a token for a client that chooses this algorithm, or none. No key of another algorithm takes its place.
    pub(crate) fn sign(
        &self,
        chosen: Option<Algorithm>,
        token_type: TokenType,
        claims: &WireClaims<'_>,
    ) -> Option<SecretText> {
        let key = self.keys.signing(chosen)?;
        key.sign(token_type.as_str(), &claims.to_json()).ok().map(SecretText::new)
    }

    /// Returns the document of the API. `make` makes it for the first request. Where several come first, the document of one is kept.
    pub(crate) fn api_document(&self, make: impl FnOnce(&Self) -> ApiDocument) -> &ApiDocument {
        self.api_document.get_or_init(|| Box::new(make(self)))
    }

    pub(crate) const fn verifying_keys(&self) -> &KeySet {
        &self.keys.verifying
    }
}
