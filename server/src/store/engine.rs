//! The engine with the keys of a store.

use gatepass_core::engine::{Engine, Keys};
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::settings::Settings;

use super::SigningKeys;
use crate::error::ProgramError;

/// Returns an engine with these settings and the keys that `store` has now.
///
/// # Errors
/// If the keys cannot be read.
pub fn load_engine(store: &dyn SigningKeys, settings: Settings) -> Result<Engine, ProgramError> {
    let stored = store.keys()?;
    let (mut signing, mut others) = (Vec::new(), Vec::new());
    for key in &stored.keys {
        let broken = || {
            ProgramError::failed(format!("the key {} cannot be used: run `gatepass check`", key.record.id))
        };
        let private = key.signing_key().map_err(|_| broken())?;
        match (key.record.state, key.record.is_default()) {
            (KeyState::Signing, true) => signing.insert(0, private),
            (KeyState::Signing, false) => signing.push(private),
            (KeyState::Published | KeyState::VerifyingOnly, _) => {
                others.push(private.verifying_key().map_err(|_| broken())?);
            }
        }
    }
    Ok(Engine::new(settings, Keys::new(stored.generation, signing, others)))
}
