//! Operations on signing keys. Keys are made and read from files elsewhere: an operation takes the ready key.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::error::{AdminError, Item, Obstacle};
use super::step::{Decision, Operation, OperationInputs, Plan};
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::jose::key::SigningKey;
use crate::records::signing_key::{KeyRecord, KeyState, StoredKey};
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::query::{Query, Records};

/// The time in seconds that a key waits beyond the life of a copy of the key set: for answers on their way, and other people's clocks.
const KEY_SET_MARGIN: u64 = 60;

/// Lists the keys, oldest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListKeys;

/// Adds a key.
#[derive(Debug)]
pub struct AddKey {
    /// The key.
    pub key: SigningKey,
    /// The key signs from now on, and the key that did only verifies. Otherwise it is published and waits.
    pub activate: bool,
}

/// Adds a key that signs where there is no key at all. The result is none where there is one.
#[derive(Debug)]
pub struct AddFirstKey {
    /// The key.
    pub key: SigningKey,
}

/// Has a key sign that every copy of the key set holds: the newest one that was published for
/// [`key_set_lifetime`](crate::Settings::key_set_lifetime) and a minute. Where there is none, a key is published and waits. Where no key
/// signs at all, the newest one signs at once.
#[derive(Debug)]
pub struct RotateKey {
    /// The algorithm of the key; without, any key that waits will do.
    pub algorithm: Option<Algorithm>,
    /// The key signs at once. Whoever holds an older copy of the key set refuses its tokens until that copy expires.
    pub at_once: bool,
    /// A key for the case that none waits.
    pub made: Option<SigningKey>,
}

/// The result of [`RotateKey`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// This key signs now.
    Signs(KeyRecord),
    /// This key is published, and signs nothing yet. Rotate again at `from` or later.
    Waits {
        /// The key.
        key: KeyRecord,
        /// The time from which every copy of the key set holds it.
        from: Time,
    },
    /// No key waits. Make one for this algorithm, and rotate again.
    NeedsKey(Algorithm),
}

/// Removes a key that does not sign. Tokens that it signed are refused from now on.
#[derive(Clone, Debug, PartialEq)]
pub struct RetireKey {
    /// Its `kid`.
    pub id: String,
}

impl Operation for ListKeys {
    type Output = Vec<KeyRecord>;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        _: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Vec<KeyRecord>>, AdminError> {
        Ok(Decision::Done(keys(records)?.to_vec()))
    }
}

impl Operation for AddKey {
    type Output = KeyRecord;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<KeyRecord>, AdminError> {
        Ok(add(inputs, keys(records)?, &self.key, self.activate)?.into())
    }
}

impl Operation for AddFirstKey {
    type Output = Option<KeyRecord>;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Option<KeyRecord>>, AdminError> {
        let keys = keys(records)?;
        if !keys.is_empty() {
            return Ok(Decision::Done(None));
        }
        Ok(add(inputs, keys, &self.key, true)?.map(Some).into())
    }
}

impl Operation for RotateKey {
    type Output = Rotated;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Rotated>, AdminError> {
        let (keys, now) = (keys(records)?, inputs.request.now);
        let known_from = |key: &KeyRecord| {
            key.created_at.plus(u64::from(inputs.settings.key_set_lifetime).saturating_add(KEY_SET_MARGIN))
        };
        let at_once = self.at_once || !keys.iter().any(|key| key.state == KeyState::Signing);
        let waiting = keys.iter().filter(|key| {
            key.state == KeyState::Published && self.algorithm.is_none_or(|asked| asked == key.algorithm)
        });
        let newest = waiting.clone().max_by_key(|key| key.created_at);
        let known = waiting.filter(|key| known_from(key) <= now).max_by_key(|key| key.created_at);
        if let Some(key) = known.or(newest.filter(|_| at_once)) {
            let activate = Change::ActivateKey { id: key.id.clone(), generation: inputs.key_generation };
            let changes = vec![activate, event(inputs, Kind::KeyActivated, &key.id)];
            let signs = KeyRecord { state: KeyState::Signing, ..key.clone() };
            return Ok(Plan::new(changes, Rotated::Signs(signs)).into());
        }
        let waits = |key: KeyRecord| Rotated::Waits { from: known_from(&key), key };
        if let Some(key) = newest {
            return Ok(Decision::Done(waits(key.clone())));
        }
        if let Some(made) = &self.made {
            let added = add(inputs, keys, made, at_once)?;
            return Ok(added.map(|key| if at_once { Rotated::Signs(key) } else { waits(key) }).into());
        }
        let current = keys.iter().find(|key| key.state == KeyState::Signing).map(|key| key.algorithm);
        let algorithm = self.algorithm.or(current).unwrap_or(Algorithm::Rs256);
        Ok(Decision::Done(Rotated::NeedsKey(algorithm)))
    }
}

impl Operation for RetireKey {
    type Output = KeyRecord;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<KeyRecord>, AdminError> {
        let key = keys(records)?.iter().find(|key| key.id == self.id);
        let key = key.ok_or_else(|| AdminError::NotFound(Item::Key(self.id.clone())))?;
        if key.state == KeyState::Signing {
            return Err(AdminError::Refused(Obstacle::KeySigns));
        }
        let retire = Change::RetireKey { id: key.id.clone(), generation: inputs.key_generation };
        let changes = vec![retire, event(inputs, Kind::KeyRetired, &key.id)];
        Ok(Plan::new(changes, key.clone()).into())
    }
}

fn keys(records: &Records) -> Result<&[KeyRecord], AdminError> {
    let Records::Keys(keys) = records else { return Err(AdminError::Internal) };
    Ok(keys)
}

/// Plans to add `key` to `keys`, to sign from now on or to wait.
fn add(
    inputs: &OperationInputs<'_>,
    keys: &[KeyRecord],
    key: &SigningKey,
    activate: bool,
) -> Result<Plan<KeyRecord>, AdminError> {
    if keys.iter().any(|other| other.id == key.key_id()) {
        return Err(AdminError::AlreadyExists(Item::Key(key.key_id().to_owned())));
    }
    let state = if activate { KeyState::Signing } else { KeyState::Published };
    let key = StoredKey::new(key, state, inputs.request.now);
    let record = key.record.clone();
    let insert = Change::InsertKey { key: Box::new(key), generation: inputs.key_generation };
    let mut changes = vec![insert, event(inputs, Kind::KeyAdded, &record.id)];
    if activate {
        changes.push(event(inputs, Kind::KeyActivated, &record.id));
    }
    Ok(Plan::new(changes, record))
}

fn event(inputs: &OperationInputs<'_>, kind: Kind, id: &str) -> Change {
    Change::Audit(Event { key: Some(id.to_owned()), ..Event::new(kind, inputs.request.now) })
}
