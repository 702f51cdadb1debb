//! A person's password, as a store keeps it: hashed by Argon2id (RFC 9106), and how often it has been guessed at.
//!
//! A hash that another program made (`foreign`) is kept until the first sign-in with it, and then replaced by one of ours.

mod foreign;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::base::secret::{SecretText, same_bytes};
use crate::records::factor::Lockout;
use foreign::{Foreign, MAX_BCRYPT_COST, MAX_FILLS, MAX_ITERATIONS, MAX_MEMORY};

/// Memory of one hash in KiB, passes and lanes: what OWASP asks for at least, and what one hash costs.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// The memory that passwords are hashed in, 19 MiB of it once it has been used: kept by who hashes many, so that how much there
/// is depends on how many hash at once and on nothing else.
#[derive(Default)]
pub struct Workspace(Vec<Block>);

impl fmt::Debug for Workspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Workspace(…)")
    }
}

impl Workspace {
    /// Hashes `password` into `output` as ours are; none where the memory cannot be had.
    fn hash(&mut self, params: &Params, password: &SecretText, salt: &[u8], output: &mut [u8]) -> Option<()> {
        let ours = (Algorithm::Argon2id, Version::V0x13);
        self.fill(ours, params, password.expose().as_bytes(), salt, output)
    }

    /// Hashes `password` into `output`; none where the memory cannot be had.
    fn fill(
        &mut self,
        (algorithm, version): (Algorithm, Version),
        params: &Params,
        password: &[u8],
        salt: &[u8],
        output: &mut [u8],
    ) -> Option<()> {
        let needed = params.block_count();
        self.0.try_reserve_exact(needed.saturating_sub(self.0.len())).ok()?;
        self.0.resize(needed, Block::default());
        let argon2 = Argon2::new(algorithm, version, params.clone());
        argon2.hash_password_into_with_memory(password, salt, output, &mut self.0).ok()
    }
}

/// Bytes of a hash.
const LENGTH: usize = 32;

/// A password's hash as text: ours in the PHC string format, another program's as it was given.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// The reason why a text is not taken for a password hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PasswordHashError {
    /// It is no hash, or is written in a way that is not known.
    Malformed,
    /// It is bcrypt, and costs too much to verify.
    BcryptCost,
    /// It is PBKDF2 with too many iterations.
    Iterations,
    /// It is scrypt or Argon2, and takes too much memory, or fills it too often.
    Memory,
}

/// The words go on after "the hash".
impl fmt::Display for PasswordHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("is not bcrypt, scrypt, PBKDF2 or Argon2 in a form that is known"),
            Self::BcryptCost => write!(f, "is bcrypt of a cost over {MAX_BCRYPT_COST}"),
            Self::Iterations => write!(f, "is PBKDF2 of over {MAX_ITERATIONS} iterations"),
            Self::Memory => write!(
                f,
                "takes over {} MiB, fills as much over {MAX_FILLS} times, or has over 16 lanes",
                MAX_MEMORY / 1024
            ),
        }
    }
}

impl core::error::Error for PasswordHashError {}

impl PasswordHash {
    /// Hashes `password`, in Unicode's normalization form C, with 16 random bytes that nothing else is made of. Takes some 20 ms; none
    /// where there is no memory for it.
    pub fn of(password: &SecretText, salt: [u8; 16], workspace: &mut Workspace) -> Option<Self> {
        let (memory, passes, lanes) = COST;
        let params = Params::new(memory, passes, lanes, Some(LENGTH)).ok()?;
        let mut output = zeroize::Zeroizing::new([0; LENGTH]);
        workspace.hash(&params, password.nfc().as_ref().unwrap_or(password), &salt, &mut *output)?;
        Self::written(&params, &salt, &*output)
    }

    fn written(params: &Params, salt: &[u8], output: &[u8]) -> Option<Self> {
        let hash = phc::PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: phc::ParamsString::try_from(params).ok()?,
            salt: Some(phc::Salt::new(salt).ok()?),
            hash: Some(phc::Output::new(output).ok()?),
        };
        Some(Self(hash.to_string()))
    }

    /// Reads a hash that a store holds, made here or elsewhere.
    ///
    /// # Errors
    /// [`PasswordHashError`] where it is none, or costs too much to verify.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        if Parts::of(text).is_none() {
            Foreign::parse(text)?;
        }
        Ok(Self(text.into()))
    }

    /// Reads a hash that another program made. Argon2id of a lower cost than ours is marked as another's, so that it is replaced.
    ///
    /// # Errors
    /// [`PasswordHashError`] where it is none, or costs too much to verify.
    pub fn import(text: &str) -> Result<Self, PasswordHashError> {
        let text = text.trim();
        match Parts::of(text) {
            Some(parts) if !parts.is_of_full_cost() => Ok(Self(["{ARGON2}", text].concat())),
            Some(_) | None => Self::parse(text),
        }
    }

    /// Returns true if another program made it: a sign-in replaces it by one of ours.
    pub fn is_foreign(&self) -> bool {
        Parts::of(&self.0).is_none()
    }

    /// Returns the text to be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if `password` has this hash, in Unicode's normalization form C or, since passwords were hashed before as they
    /// were sent, as it is. It takes as long as hashing, or twice as long if the two differ; none if there is no memory for it.
    pub fn is_of(&self, password: &SecretText, workspace: &mut Workspace) -> Option<bool> {
        let ours = Parts::of(&self.0);
        let foreign = if ours.is_some() { None } else { Foreign::parse(&self.0).ok() };
        for text in password.nfc().iter().chain([password]) {
            let same = match (&ours, &foreign) {
                (Some(Parts { params, salt, output }), _) => {
                    let mut made = zeroize::Zeroizing::new([0; 64]);
                    let made = made.get_mut(..output.as_ref().len())?;
                    workspace.hash(params, text, salt.as_ref(), made)?;
                    same_bytes(made, output.as_ref())
                }
                (None, Some(foreign)) => foreign.is_of(text.expose().as_bytes())?,
                (None, None) => return None,
            };
            if same {
                return Some(true);
            }
        }
        Some(false)
    }

    /// Compares `password` with this hash for a sign-in. One that another program made takes the time of one of ours beside its own,
    /// whether or not the password is right: no answer comes sooner than for a name that nobody has. None if there is no memory for it.
    pub fn compare(
        &self,
        password: &SecretText,
        salt: [u8; 16],
        workspace: &mut Workspace,
    ) -> Option<Comparison> {
        let good = self.is_of(password, workspace)?;
        let made = if self.is_foreign() { Some(Self::of(password, salt, workspace)?) } else { None };
        Some(Comparison { good, replacement: made.filter(|_| good) })
    }

    /// The hash of nobody's password: what is verified where there is none, so that the answer comes no sooner.
    pub(crate) fn of_nobody() -> Self {
        Self(
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .into(),
        )
    }
}

/// The result of comparing a password with a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// True if the hash is of the password.
    pub good: bool,
    /// Our hash of the password, which is to replace the one that another program made.
    pub replacement: Option<PasswordHash>,
}

/// The parts of a hash of ours, of any cost up to ours.
struct Parts {
    params: Params,
    salt: phc::Salt,
    output: phc::Output,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let hash = phc::PasswordHash::new(text).ok()?;
        let is_ours =
            hash.algorithm == Algorithm::Argon2id.ident() && hash.version == Some(Version::V0x13.into());
        let params = Params::try_from(&hash).ok()?;
        let (salt, output) = (hash.salt?, hash.hash?);
        let (memory, passes, lanes) = COST;
        let cheap = params.m_cost() <= memory && params.t_cost() <= passes && params.p_cost() <= lanes;
        (is_ours && cheap && salt.as_ref().len() >= 8 && (16..=64).contains(&output.as_ref().len()))
            .then_some(Self { params, salt, output })
    }

    fn is_of_full_cost(&self) -> bool {
        (self.params.m_cost(), self.params.t_cost(), self.params.p_cost()) == COST
    }
}

/// A password, and how often it has been guessed at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// Its hash.
    pub hash: PasswordHash,
    /// The wrong guesses, and the lock that follows from them.
    pub lockout: Lockout,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.into())
    }

    #[test]
    fn a_password_is_its_own_and_no_other() {
        let mut workspace = Workspace::default();
        let hash = PasswordHash::of(&secret("correct horse"), [7; 16], &mut workspace).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        assert_eq!(hash.is_of(&secret("correct horse"), &mut workspace), Some(true));
        assert_eq!(hash.is_of(&secret("correct horsf"), &mut workspace), Some(false));
        assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash));
        assert!(PasswordHash::parse(PasswordHash::of_nobody().as_str()).is_ok());
        assert_eq!(PasswordHash::of_nobody().is_of(&secret(""), &mut workspace), Some(false));
    }

    #[test]
    fn a_password_is_one_whichever_way_it_is_composed() {
        let mut workspace = Workspace::default();
        let (composed, decomposed) = (secret("Jos\u{e9} of Arimathea"), secret("Jose\u{301} of Arimathea"));
        for text in [&composed, &decomposed] {
            let hash = PasswordHash::of(text, [7; 16], &mut workspace).unwrap();
            for sent in [&composed, &decomposed] {
                assert_eq!(hash.is_of(sent, &mut workspace), Some(true));
            }
            assert_eq!(hash.is_of(&secret("Jose of Arimathea"), &mut workspace), Some(false));
        }
    }

    /// Of one that was hashed as it was sent, before passwords were normalized.
    #[test]
    fn an_old_hash_is_of_what_was_sent() {
        let (mut workspace, mut output) = (Workspace::default(), [0; LENGTH]);
        let params = Params::new(64, 1, 1, Some(LENGTH)).unwrap();
        workspace.hash(&params, &secret("Jose\u{301} of Arimathea"), &[7; 16], &mut output).unwrap();
        let hash = PasswordHash::written(&params, &[7; 16], &output).unwrap();
        assert_eq!(hash.is_of(&secret("Jose\u{301} of Arimathea"), &mut workspace), Some(true));
        assert_eq!(hash.is_of(&secret("Jos\u{e9} of Arimathea"), &mut workspace), Some(false));
    }

    /// A test of the reference implementation of Argon2.
    #[test]
    fn what_another_program_hashed() {
        let made = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        let hash = PasswordHash::parse(made).unwrap();
        // What was hashed in the same memory before does not matter.
        let mut workspace = Workspace::default();
        for _ in 0..2 {
            assert_eq!(hash.is_of(&secret("password"), &mut workspace), Some(true));
            assert_eq!(PasswordHash::of_nobody().is_of(&secret("password"), &mut workspace), Some(false));
        }
    }

    #[test]
    fn a_hash_of_another_program_is_replaced_by_one_of_ours() {
        let mut workspace = Workspace::default();
        let full = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0c2FsdA$AdweBLwcflnNX2HVW8i1Mtu7frrn4Ki7h/rYSGuU7Is";
        let cheap =
            "$argon2id$v=19$m=256,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$BxcK6huShklLZWp7Zro/r/1sLdBZmtcepYit1Xux4JU";
        let bcrypt = "$2b$04$y9iwiS0A2VjZWCeJeGOmueuOhOkybeNj4JkKsj6WIH6SFTk8y6Y7.";
        for (text, is_foreign) in [(full, false), (cheap, true), (bcrypt, true)] {
            let hash = PasswordHash::import(&alloc::format!(" {text}\n")).unwrap();
            assert_eq!(PasswordHash::import(hash.as_str()), Ok(hash.clone()));
            assert_eq!(PasswordHash::parse(hash.as_str()), Ok(hash.clone()));
            assert_eq!(hash.is_foreign(), is_foreign, "{text}");
            let wrong = hash.compare(&secret("correct horsf"), [7; 16], &mut workspace).unwrap();
            assert_eq!(wrong, Comparison { good: false, replacement: None }, "{text}");
            let right = hash.compare(&secret("correct horse"), [7; 16], &mut workspace).unwrap();
            assert_eq!((right.good, right.replacement.is_some()), (true, is_foreign), "{text}");
            if let Some(ours) = right.replacement {
                assert!(!ours.is_foreign());
                assert_eq!(ours.is_of(&secret("correct horse"), &mut workspace), Some(true));
            }
        }
        // What is in a store already is left alone.
        assert!(!PasswordHash::parse(cheap).unwrap().is_foreign());
    }

    #[test]
    fn a_password_is_compared_with_another_programs_hash_either_way() {
        // Of the decomposed form, by passlib.
        let hash = PasswordHash::import(DECOMPOSED).unwrap();
        assert_eq!(hash.is_of(&secret("Jose\u{301} of Arimathea"), &mut Workspace::default()), Some(true));
        assert_eq!(hash.is_of(&secret("Jos\u{e9} of Arimathea"), &mut Workspace::default()), Some(false));
    }

    /// By passlib.
    const DECOMPOSED: &str =
        "$pbkdf2-sha256$100$oBSi1HrPudf6H6P0Xqt1bg$c5BjGJwLWL6qkTTnW9UJW39r7bAdGtJ.gmzLwtJA1zo";
}
