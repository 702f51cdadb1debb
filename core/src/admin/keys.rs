//! Operations on signing keys. Keys are made and read from files elsewhere: an operation takes the ready key.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::error::{AdminError, Item, Obstacle};
use super::step::{Decision, Operation, OperationInputs, Plan};
use crate::base::time::Time;
use crate::crypto::algorithm::Algorithm;
use crate::jose::key::SigningKey;
use crate::records::signing_key::{KeyRecord, KeyRecords, KeyState, StoredKey};
use crate::settings::Settings;
use crate::store::audit::{Event, Kind};
use crate::store::change::Change;
use crate::store::query::{Query, Records};

/// Lists the keys, oldest first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ListKeys;

/// Shows a key.
#[derive(Clone, Debug, PartialEq)]
pub struct ShowKey {
    /// Its `kid`.
    pub id: String,
}

/// A key without its private part, and when it may sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedKey {
    /// The key.
    pub key: KeyRecord,
    /// The time from which every copy of the key set holds the key, where it waits to sign.
    pub signs_from: Option<Time>,
}

/// Publishes a new key. It is made elsewhere between the reading and the decision.
#[derive(Clone, Debug)]
pub struct GenerateKey {
    algorithm: Algorithm,
    beside: bool,
    made: Option<Arc<SigningKey>>,
}

impl GenerateKey {
    /// Publishes a new key for `algorithm`, which is to be the default key or, `beside` that, to sign for the clients alone that choose its
    /// algorithm.
    pub const fn new(algorithm: Algorithm, beside: bool) -> Self {
        Self { algorithm, beside, made: None }
    }

    /// Returns the algorithm.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Takes the key that was made.
    pub fn take(&mut self, key: SigningKey) {
        self.made = Some(Arc::new(key));
    }
}

impl PartialEq for GenerateKey {
    fn eq(&self, other: &Self) -> bool {
        let made = |key: &Self| key.made.as_ref().map(|made| made.key_id().to_owned());
        (self.algorithm, self.beside, made(self)) == (other.algorithm, other.beside, made(other))
    }
}

/// Adds a key.
#[derive(Debug)]
pub struct AddKey {
    /// The key.
    pub key: SigningKey,
    /// The key signs from now on. Otherwise it is published and waits.
    pub activate: bool,
    /// The key is to sign for the clients alone that choose its algorithm. Otherwise it is to be the default key.
    pub beside: bool,
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
    /// The algorithm of the key; without, any key that waits to be the default key will do.
    pub algorithm: Option<Algorithm>,
    /// The key signs at once. Whoever holds an older copy of the key set refuses its tokens until that copy expires.
    pub at_once: bool,
    /// The key is to sign for the clients alone that choose its algorithm. So it is, too, where it takes the place of such a key, or was
    /// published as one. Otherwise it becomes the default key.
    pub beside: bool,
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

/// Has one key sign.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivateKey {
    /// Its `kid`.
    pub id: String,
    /// The key signs at once, also where copies of the key set may not hold it.
    pub at_once: bool,
    /// True for a key that is to sign for the clients alone that choose its algorithm, false for one that is to be the default key; none
    /// for what it was published as.
    pub beside: Option<bool>,
}

/// Has a key only verify that signs beside the default key, and whose algorithm no client chooses.
#[derive(Clone, Debug, PartialEq)]
pub struct StopKey {
    /// Its `kid`.
    pub id: String,
}

/// Removes a key that does not sign, from the time on when nothing that it signed is still good.
#[derive(Clone, Debug, PartialEq)]
pub struct RetireKey {
    /// Its `kid`.
    pub id: String,
    /// The key is removed at once. Tokens that it signed are refused from now on.
    pub at_once: bool,
}

impl Operation for ListKeys {
    type Output = Vec<ListedKey>;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<Vec<ListedKey>>, AdminError> {
        Ok(Decision::Done(found(records)?.keys.iter().map(|key| listed(inputs, key)).collect()))
    }
}

impl Operation for ShowKey {
    type Output = ListedKey;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ListedKey>, AdminError> {
        Ok(Decision::Done(listed(inputs, named(found(records)?, &self.id)?)))
    }
}

impl Operation for GenerateKey {
    type Output = ListedKey;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<ListedKey>, AdminError> {
        let made = self.made.as_ref().ok_or(AdminError::KeyNotMade)?;
        let added = add(inputs, found(records)?, made, false, self.beside)?;
        Ok(added.map(|key| listed(inputs, &key)).into())
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
        Ok(add(inputs, found(records)?, &self.key, self.activate, self.beside)?.into())
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
        let found = found(records)?;
        if !found.keys.is_empty() {
            return Ok(Decision::Done(None));
        }
        Ok(add(inputs, found, &self.key, true, false)?.map(Some).into())
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
        let (found, now) = (found(records)?, inputs.request.now);
        let known_from = |key: &KeyRecord| key.signs_from(inputs.settings.key_set_lifetime);
        let at_once = self.at_once || !found.keys.iter().any(|key| key.state == KeyState::Signing);
        let is_asked = |key: &&KeyRecord| match self.algorithm {
            Some(algorithm) => key.algorithm == algorithm,
            None => key.beside == self.beside,
        };
        let waiting = found.keys.iter().filter(|key| key.state == KeyState::Published).filter(is_asked);
        let newest = waiting.clone().max_by_key(|key| key.created_at);
        let known = waiting.filter(|key| known_from(key) <= now).max_by_key(|key| key.created_at);
        if let Some(key) = known.or(newest.filter(|_| at_once)) {
            let signs = activate(inputs, found, key, self.beside || key.beside);
            return Ok(signs.map(Rotated::Signs).into());
        }
        let waits = |key: KeyRecord| Rotated::Waits { from: known_from(&key), key };
        if let Some(key) = newest {
            return Ok(Decision::Done(waits(key.clone())));
        }
        if let Some(made) = &self.made {
            let beside = self.beside || signs_beside(found, made.algorithm());
            let added = add(inputs, found, made, at_once, beside)?;
            return Ok(added.map(|key| if at_once { Rotated::Signs(key) } else { waits(key) }).into());
        }
        let current = default_key(found).map(|key| key.algorithm);
        let algorithm = self.algorithm.or(current).unwrap_or(Algorithm::Rs256);
        Ok(Decision::Done(Rotated::NeedsKey(algorithm)))
    }
}

impl Operation for ActivateKey {
    type Output = KeyRecord;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<KeyRecord>, AdminError> {
        let found = found(records)?;
        let key = named(found, &self.id)?;
        let beside = self.beside.unwrap_or(key.beside);
        if key.state == KeyState::Signing && (key.beside == beside || key.is_default()) {
            return Ok(Decision::Done(key.clone()));
        }
        let from = key.signs_from(inputs.settings.key_set_lifetime);
        let is_known = key.state == KeyState::Signing || from <= inputs.request.now;
        if is_known || self.at_once || default_key(found).is_none() {
            return Ok(activate(inputs, found, key, beside).into());
        }
        Err(AdminError::Refused(Obstacle::KeyIsNew { from }))
    }
}

impl Operation for StopKey {
    type Output = KeyRecord;

    fn query(&self) -> Query {
        Query::Keys
    }

    fn decide(
        &self,
        inputs: &OperationInputs<'_>,
        records: &Records,
    ) -> Result<Decision<KeyRecord>, AdminError> {
        let found = found(records)?;
        let key = named(found, &self.id)?;
        if key.is_default() {
            return Err(AdminError::Refused(Obstacle::KeySigns));
        }
        if key.state != KeyState::Signing {
            return Ok(Decision::Done(key.clone()));
        }
        if found.chosen.contains(&key.algorithm) {
            return Err(AdminError::Refused(Obstacle::KeyIsChosen(key.algorithm)));
        }
        let (generation, retire_from) = (inputs.key_generation, retire_from(inputs, found));
        let stop = Change::StopKey { id: key.id.clone(), generation, retire_from };
        let changes = vec![stop, event(inputs, Kind::KeyStopped, &key.id)];
        let (state, beside, retire_from) = (KeyState::VerifyingOnly, false, Some(retire_from));
        Ok(Plan::new(changes, KeyRecord { state, beside, retire_from, ..key.clone() }).into())
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
        let found = found(records)?;
        let key = named(found, &self.id)?;
        if key.is_default() {
            return Err(AdminError::Refused(Obstacle::KeySigns));
        }
        if key.state == KeyState::Signing {
            return Err(AdminError::Refused(Obstacle::KeySignsBeside));
        }
        if let Some(until) = key.retire_from.filter(|from| inputs.request.now < *from)
            && !self.at_once
        {
            return Err(AdminError::Refused(Obstacle::KeyVerifies { until }));
        }
        let retire = Change::RetireKey { id: key.id.clone(), generation: inputs.key_generation };
        let changes = vec![retire, event(inputs, Kind::KeyRetired, &key.id)];
        Ok(Plan::new(changes, key.clone()).into())
    }
}

fn listed(inputs: &OperationInputs<'_>, key: &KeyRecord) -> ListedKey {
    let waits = key.state == KeyState::Published;
    let signs_from = waits.then(|| key.signs_from(inputs.settings.key_set_lifetime));
    ListedKey { key: key.clone(), signs_from }
}

fn found(records: &Records) -> Result<&KeyRecords, AdminError> {
    let Records::Keys(found) = records else { return Err(AdminError::Internal) };
    Ok(found)
}

fn named<'r>(found: &'r KeyRecords, id: &str) -> Result<&'r KeyRecord, AdminError> {
    let key = found.keys.iter().find(|key| key.id == id);
    key.ok_or_else(|| AdminError::NotFound(Item::Key(id.to_owned())))
}

fn default_key(found: &KeyRecords) -> Option<&KeyRecord> {
    found.keys.iter().find(|key| key.is_default())
}

/// Returns true if a key of `algorithm` signs for the clients alone that choose it.
fn signs_beside(found: &KeyRecords, algorithm: Algorithm) -> bool {
    let mut signing = found.keys.iter().filter(|key| key.state == KeyState::Signing && key.beside);
    signing.any(|key| key.algorithm == algorithm)
}

/// Returns true if a key of `algorithm` that is to sign beside the default key does: there is one, of another algorithm.
fn stays_beside(found: &KeyRecords, algorithm: Algorithm, beside: bool) -> bool {
    beside && default_key(found).is_some_and(|key| key.algorithm != algorithm)
}

/// Returns the time from which nothing is good that a key signed that signs until now.
fn retire_from(inputs: &OperationInputs<'_>, found: &KeyRecords) -> Time {
    let Settings { user_token_lifetime, client_token_lifetime, .. } = *inputs.settings;
    let longest = user_token_lifetime.max(client_token_lifetime).max(found.longest_lifetime.unwrap_or(0));
    inputs.request.now.plus(u64::from(longest).saturating_add(KeyRecord::MARGIN))
}

/// Plans to have `key` sign.
fn activate(
    inputs: &OperationInputs<'_>,
    found: &KeyRecords,
    key: &KeyRecord,
    beside: bool,
) -> Plan<KeyRecord> {
    let (id, generation, retire_from) = (key.id.clone(), inputs.key_generation, retire_from(inputs, found));
    let activate = Change::ActivateKey { id, generation, beside, retire_from };
    let changes = vec![activate, event(inputs, Kind::KeyActivated, &key.id)];
    let beside = stays_beside(found, key.algorithm, beside);
    Plan::new(changes, KeyRecord { state: KeyState::Signing, beside, retire_from: None, ..key.clone() })
}

/// Plans to add `key` to those that were found, to sign from now on or to wait.
fn add(
    inputs: &OperationInputs<'_>,
    found: &KeyRecords,
    key: &SigningKey,
    activate: bool,
    beside: bool,
) -> Result<Plan<KeyRecord>, AdminError> {
    if found.keys.iter().any(|other| other.id == key.key_id()) {
        return Err(AdminError::AlreadyExists(Item::Key(key.key_id().to_owned())));
    }
    let state = if activate { KeyState::Signing } else { KeyState::Published };
    let mut key = StoredKey::new(key, state, inputs.request.now);
    key.record.beside = if activate { stays_beside(found, key.record.algorithm, beside) } else { beside };
    let record = key.record.clone();
    let (generation, retire_from) = (inputs.key_generation, retire_from(inputs, found));
    let insert = Change::InsertKey { key: Box::new(key), generation, retire_from };
    let mut changes = vec![insert, event(inputs, Kind::KeyAdded, &record.id)];
    if activate {
        changes.push(event(inputs, Kind::KeyActivated, &record.id));
    }
    Ok(Plan::new(changes, record))
}

fn event(inputs: &OperationInputs<'_>, kind: Kind, id: &str) -> Change {
    Change::Audit(Event { key: Some(id.to_owned()), ..Event::new(kind, inputs.request.now) })
}
