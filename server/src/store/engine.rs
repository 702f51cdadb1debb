//! The core as a store's keys make it.

use gatepass_core::engine::{Engine, Keys};
use gatepass_core::jose::key::SigningKey;
use gatepass_core::settings::Settings;

use super::{KeyState, SigningKeys};
use crate::error::ProgramError;

/// Returns an engine with these settings and the keys that `store` has now.
///
/// # Errors
/// An error if the keys cannot be read.
pub fn load_engine(store: &dyn SigningKeys, settings: Settings) -> Result<Engine, ProgramError> {
    let stored = store.keys()?;
    let (mut signing, mut others) = (None, Vec::new());
    for key in &stored.keys {
        let broken =
            || ProgramError::failed(format!("the key {} cannot be used: run `gatepass check`", key.kid));
        let private = SigningKey::from_jwk(&key.storage, None).map_err(|_| broken())?;
        if key.state == KeyState::Signing {
            signing = Some(private);
        } else {
            others.push(private.verifying_key().map_err(|_| broken())?);
        }
    }
    Ok(Engine::new(settings, Keys::new(stored.generation, signing, others)))
}
