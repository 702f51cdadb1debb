//! Signing keys, without their private parts.

use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::signing_key::{KeyRecord, KeyState};

use super::row::{Columns, MalformedRow};
use super::text::owned;
use super::value::Value;

/// Returns the purpose that the private part of a key is sealed for.
pub(in crate::store) fn key_purpose(id: &str) -> String {
    format!("key:{id}")
}

pub(in crate::store) fn key_record(c: &mut Columns<'_>) -> Result<KeyRecord, MalformedRow> {
    Ok(KeyRecord {
        id: c.parsed("kid", owned)?,
        algorithm: c.parsed("alg", Algorithm::parse)?,
        state: c.parsed("state", KeyState::parse)?,
        created_at: c.time("created_at")?,
        beside: c.flag("beside")?,
        retire_from: c.maybe_time("retire_from")?,
    })
}

pub(in crate::store) fn key_record_values(key: &KeyRecord) -> [Value<'_>; 6] {
    [
        key.id.as_str().into(),
        key.algorithm.as_str().into(),
        key.state.as_str().into(),
        key.created_at.into(),
        key.beside.into(),
        key.retire_from.into(),
    ]
}
