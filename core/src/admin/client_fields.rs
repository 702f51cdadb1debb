//! The values of a client that an administrator may set.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::error::{AdminError, Field, Invalid};
use super::fields::{Edit, plain};
use crate::crypto::algorithm::Algorithm;
use crate::records::client::Client;
use crate::records::client_key::ClientKey;
use crate::records::factor::AskFactor;
use crate::records::scope::Scope;

/// The longest lifetime of an access token, in seconds: a day.
const MAX_TOKEN_LIFETIME: u32 = 86_400;
/// The longest name, in characters.
const MAX_NAME: usize = 128;
/// The most audiences, and the longest, in characters.
const MAX_AUDIENCES: usize = 16;
const MAX_AUDIENCE: usize = 256;

/// The values of a client. Those that are not named stay as they are.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClientFields {
    name: Edit<Option<String>>,
    scope: Edit<Scope>,
    default_scope: Edit<Scope>,
    audiences: Edit<Vec<String>>,
    token_lifetime: Edit<Option<u32>>,
    user_token_lifetime: Edit<Option<u32>>,
    second_factor: Edit<Option<AskFactor>>,
    trusted_context: Edit<bool>,
    signing_algorithm: Edit<Option<Algorithm>>,
    keys: Edit<Vec<ClientKey>>,
}

const fn invalid(field: Field, reason: Invalid) -> AdminError {
    AdminError::Invalid { field, reason }
}

impl ClientFields {
    /// Sets the name; an empty one clears it.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is longer than 128 characters, or has a control character.
    pub fn name(self, given: &str) -> Result<Self, AdminError> {
        Ok(Self { name: Edit::Set(plain(Field::Name, given, MAX_NAME)?), ..self })
    }

    /// Sets what the client may ask for.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it has a scope that begins with `gatepass:`.
    pub fn scope(self, scope: Scope) -> Result<Self, AdminError> {
        if scope.tokens().any(|token| token.starts_with("gatepass:")) {
            return Err(invalid(Field::Scope, Invalid::Reserved));
        }
        Ok(Self { scope: Edit::Set(scope), ..self })
    }

    /// Sets what the client gets where it asks for nothing. It has to be within the scope.
    #[must_use]
    pub fn default_scope(self, scope: Scope) -> Self {
        Self { default_scope: Edit::Set(scope), ..self }
    }

    /// Adds one to the audiences that the client's own tokens are for from now on. An empty one adds none, so that it clears them
    /// where it is the only one.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is longer than 256 characters, has white space or a control character, or is one too many.
    pub fn audience(mut self, given: &str) -> Result<Self, AdminError> {
        // RFC 7519 §2, StringOrURI: no white space in any that is of use.
        let has_space = given.chars().any(|c| c.is_control() || c.is_whitespace());
        if has_space || given.chars().count() > MAX_AUDIENCE {
            return Err(invalid(Field::Audience, Invalid::NotOneWord { longest: MAX_AUDIENCE }));
        }
        let mut audiences = match self.audiences {
            Edit::Keep => Vec::new(),
            Edit::Set(audiences) => audiences,
        };
        if !given.is_empty() && audiences.iter().all(|other| other != given) {
            audiences.push(given.to_owned());
        }
        if audiences.len() > MAX_AUDIENCES {
            return Err(invalid(Field::Audience, Invalid::TooMany { most: MAX_AUDIENCES }));
        }
        self.audiences = Edit::Set(audiences);
        Ok(self)
    }

    /// Sets the lifetime of the client's own access tokens, in seconds; none: as configured.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is not from 1 to 86 400.
    pub fn token_lifetime(self, seconds: Option<u32>) -> Result<Self, AdminError> {
        Ok(Self { token_lifetime: lifetime(Field::TokenLifetime, seconds)?, ..self })
    }

    /// Sets the lifetime of the access tokens of people signed in for the client, in seconds; none: as configured.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is not from 1 to 86 400.
    pub fn user_token_lifetime(self, seconds: Option<u32>) -> Result<Self, AdminError> {
        Ok(Self { user_token_lifetime: lifetime(Field::UserTokenLifetime, seconds)?, ..self })
    }

    /// Sets when people who sign in for the client are asked for a second factor; none: as everybody is.
    #[must_use]
    pub fn second_factor(self, ask: Option<AskFactor>) -> Self {
        Self { second_factor: Edit::Set(ask), ..self }
    }

    /// Sets whether the client is believed about the person before it: their address, user agent and device.
    #[must_use]
    pub fn trusted_context(self, trusted: bool) -> Self {
        Self { trusted_context: Edit::Set(trusted), ..self }
    }

    /// Sets the algorithm that signs the client's tokens, and those of people signed in for it; none: the default key's. A key of it has
    /// to sign.
    #[must_use]
    pub fn signing_algorithm(self, algorithm: Option<Algorithm>) -> Self {
        Self { signing_algorithm: Edit::Set(algorithm), ..self }
    }

    /// Returns the algorithm that the client is to choose, if it is to choose one.
    pub(super) const fn chosen_algorithm(&self) -> Option<Algorithm> {
        match self.signing_algorithm {
            Edit::Set(algorithm) => algorithm,
            Edit::Keep => None,
        }
    }

    /// Sets the public keys by which the client's assertions are verified, as a JWK set; none: it has no keys.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where it is no such set, has a private key or a shared secret, or a key that cannot be used.
    pub fn keys(self, jwk_set: Option<&[u8]>) -> Result<Self, AdminError> {
        let keys = jwk_set.map_or(Ok(Vec::new()), ClientKey::read_set);
        let keys = keys.map_err(|error| invalid(Field::Keys, Invalid::Keys(error)))?;
        Ok(Self { keys: Edit::Set(keys), ..self })
    }

    /// Applies what is named to `client`.
    ///
    /// # Errors
    /// [`AdminError::Invalid`] where the default scope is not within the scope then.
    pub(super) fn apply(&self, client: &mut Client) -> Result<(), AdminError> {
        self.name.apply(&mut client.name);
        self.scope.apply(&mut client.scope);
        self.default_scope.apply(&mut client.default_scope);
        self.audiences.apply(&mut client.audiences);
        self.token_lifetime.apply(&mut client.token_lifetime);
        self.user_token_lifetime.apply(&mut client.user_token_lifetime);
        self.second_factor.apply(&mut client.second_factor);
        self.trusted_context.apply(&mut client.trusted_context);
        self.signing_algorithm.apply(&mut client.signing_algorithm);
        self.keys.apply(&mut client.keys);
        if client.default_scope.is_within(&client.scope) {
            return Ok(());
        }
        let Client { default_scope, scope, .. } = client.clone();
        Err(invalid(Field::DefaultScope, Invalid::NotWithinScope { default_scope, scope }))
    }
}

fn lifetime(field: Field, seconds: Option<u32>) -> Result<Edit<Option<u32>>, AdminError> {
    match seconds {
        None | Some(1..=MAX_TOKEN_LIFETIME) => Ok(Edit::Set(seconds)),
        Some(_) => Err(invalid(field, Invalid::OutOfRange { most: MAX_TOKEN_LIFETIME })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Time;
    use crate::records::id::ClientId;

    fn client() -> Client {
        let scope = Scope::parse("a b").unwrap();
        Client::new(ClientId::parse("svc").unwrap(), scope, 1, Time::from_unix(1))
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn fields_are_set_cleared_or_left_alone() {
        let none = ClientFields::default;
        let mut changed = client();
        none().apply(&mut changed).unwrap();
        assert_eq!(changed, client());
        let set = none().name("Service").unwrap().default_scope(scope("a"));
        let set = set.audience("x").unwrap().audience("x").unwrap().token_lifetime(Some(60)).unwrap();
        set.trusted_context(true).apply(&mut changed).unwrap();
        assert!(changed.trusted_context);
        assert_eq!((changed.name.as_deref(), changed.token_lifetime), (Some("Service"), Some(60)));
        assert_eq!(changed.audiences, ["x"]);
        let clear = none().name("").unwrap().default_scope(Scope::default()).trusted_context(false);
        clear.audience("").unwrap().token_lifetime(None).unwrap().apply(&mut changed).unwrap();
        assert_eq!(changed, client());
        for (wrong, field) in [
            (none().scope(scope("a gatepass:enrol")), Field::Scope),
            (none().name("a\nb"), Field::Name),
            (none().audience("a b"), Field::Audience),
            (none().token_lifetime(Some(0)), Field::TokenLifetime),
            (none().user_token_lifetime(Some(86_401)), Field::UserTokenLifetime),
        ] {
            assert!(matches!(wrong, Err(AdminError::Invalid { field: of, .. }) if of == field), "{field}");
        }
        let too_wide = none().default_scope(scope("c")).apply(&mut client());
        assert!(matches!(too_wide, Err(AdminError::Invalid { field: Field::DefaultScope, .. })));
    }
}
