//! A person's password, as a store keeps it: hashed by Argon2id (RFC 9106), and how often it has been guessed at.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};

use crate::base::secret::{SecretText, same_bytes};
use crate::records::factor::Lockout;

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
    /// Hashes `password` into `output`; none where the memory cannot be had.
    fn hash(&mut self, params: &Params, password: &SecretText, salt: &[u8], output: &mut [u8]) -> Option<()> {
        let needed = params.block_count();
        self.0.try_reserve_exact(needed.saturating_sub(self.0.len())).ok()?;
        self.0.resize(needed, Block::default());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
        argon2.hash_password_into_with_memory(password.expose().as_bytes(), salt, output, &mut self.0).ok()
    }
}

/// Bytes of a hash.
const LENGTH: usize = 32;

/// A password's hash in the PHC string format.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

/// A text that is no password hash, or one that costs too much to verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordHashError;

impl fmt::Display for PasswordHashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (memory, passes, lanes) = COST;
        write!(
            f,
            "not a hash like $argon2id$v=19$m=19456,t=2,p=1$…, with at most {memory} KiB, {passes} passes and {lanes} lane"
        )
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

    /// Reads a hash, made here or elsewhere.
    ///
    /// # Errors
    /// [`PasswordHashError`] where it is not Argon2id of version 19 with salt and output, or costs more than those made here: its
    /// owner would be answered later than others.
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let parts = Parts::of(text).ok_or(PasswordHashError)?;
        let (memory, passes, lanes) = COST;
        let params = &parts.params;
        if params.m_cost() > memory || params.t_cost() > passes || params.p_cost() > lanes {
            return Err(PasswordHashError);
        }
        Ok(Self(text.into()))
    }

    /// Returns the text to be stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if `password` has this hash, in Unicode's normalization form C or, since passwords were hashed before as they
    /// were sent, as it is. It takes as long as hashing, or twice as long if the two differ; none if there is no memory for it.
    pub fn is_of(&self, password: &SecretText, workspace: &mut Workspace) -> Option<bool> {
        let Parts { params, salt, output } = Parts::of(&self.0)?;
        let mut made = zeroize::Zeroizing::new([0; 64]);
        let made = made.get_mut(..output.as_ref().len())?;
        for text in password.nfc().iter().chain([password]) {
            workspace.hash(&params, text, salt.as_ref(), made)?;
            if same_bytes(made, output.as_ref()) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// The hash of nobody's password: what is verified where there is none, so that the answer comes no sooner.
    pub(crate) fn of_nobody() -> Self {
        Self(
            "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                .into(),
        )
    }
}

/// The parts of a hash.
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
        (is_ours && salt.as_ref().len() >= 8 && (16..=64).contains(&output.as_ref().len())).then_some(Self {
            params,
            salt,
            output,
        })
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
    fn what_is_no_hash() {
        let rest = "c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        for bad in [
            "",
            "password",
            &alloc::format!("$argon2i$v=19$m=256,t=2,p=1${rest}"),
            &alloc::format!("$argon2id$v=16$m=256,t=2,p=1${rest}"),
            &alloc::format!("$argon2id$v=19$m=19457,t=2,p=1${rest}"),
            &alloc::format!("$argon2id$v=19$m=256,t=3,p=1${rest}"),
            &alloc::format!("$argon2id$v=19$m=256,t=2,p=2${rest}"),
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
            "$2b$12$abcdefghijklmnopqrstuv",
        ] {
            assert_eq!(PasswordHash::parse(bad), Err(PasswordHashError), "{bad}");
        }
    }
}
