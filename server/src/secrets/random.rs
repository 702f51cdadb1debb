//! Randomness from the system's generator.

use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::base::warning::Warnings;
use gatepass_core::crypto::seed::Seed;
use gatepass_core::records::request_inputs::RequestInputs;
use zeroize::Zeroizing;

use super::SecretsError;
use crate::clock::ClockStatus;

/// Returns `N` bytes from the system's generator.
///
/// # Errors
/// [`SecretsError::NoRandomness`] if the generator fails.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, SecretsError> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes).map_err(|_| SecretsError::NoRandomness)?;
    Ok(bytes)
}

/// Returns the inputs of a request that arrives at `clock`, with fresh randomness.
///
/// # Errors
/// [`SecretsError::NoRandomness`] if the generator fails.
pub fn request_inputs(clock: &ClockStatus) -> Result<RequestInputs, SecretsError> {
    let now = clock.now;
    // From the wall clock, which need not agree with `now`: the fraction only keeps rows of one time together.
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    let fraction = u16::try_from((u64::from(passed) << 16) / 1_000_000_000).unwrap_or(u16::MAX);
    Ok(RequestInputs {
        now,
        fraction,
        seed: Seed::new(*random()?),
        warnings: Warnings::NONE,
        wall: clock.stamp,
    })
}
