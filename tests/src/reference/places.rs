//! The places that a person signs in from. The four latest count wrong guesses of their own.

use std::cmp::Reverse;

use gatepass_core::records::sign_in_history::DeviceMark;

use super::model::{DeviceOnNetwork, Lockout, Person};

/// The places that count on their own.
const OWN: usize = 4;

/// A place, when they last signed in from there, and the wrong guesses from there.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownPlace {
    place: DeviceOnNetwork,
    last: u64,
    password: Lockout,
    factors: Lockout,
}

impl Person {
    pub(super) fn knows(&self, place: DeviceOnNetwork) -> bool {
        self.places.iter().any(|known| known.place == place)
    }

    pub(super) fn learn(&mut self, place: DeviceOnNetwork, now: u64) {
        match self.places.iter_mut().find(|known| known.place == place) {
            Some(known) => known.last = now,
            None => self.places.push(KnownPlace {
                place,
                last: now,
                password: Lockout::default(),
                factors: Lockout::default(),
            }),
        }
        // In one second, the order is that of the digests.
        let digest = |place: DeviceOnNetwork| (DeviceMark::of_device_id(place.device), !place.here);
        self.places.sort_by_key(|known| (Reverse(known.last), digest(known.place)));
        for known in self.places.iter_mut().skip(OWN) {
            (known.password, known.factors) = (Lockout::default(), Lockout::default());
        }
    }

    fn own(&mut self, place: Option<DeviceOnNetwork>) -> Option<&mut KnownPlace> {
        self.places.iter_mut().take(OWN).find(|known| Some(known.place) == place)
    }

    /// Returns what a password from `place` counts for; none where they have no password.
    pub(super) fn password_lockout(&mut self, place: Option<DeviceOnNetwork>) -> Option<&mut Lockout> {
        self.password.as_ref()?;
        if self.own(place).is_some() {
            return self.own(place).map(|known| &mut known.password);
        }
        self.password.as_mut().map(|password| &mut password.lockout)
    }

    /// Returns what a code from `place` counts for.
    pub(super) fn factors_lockout(&mut self, place: Option<DeviceOnNetwork>) -> &mut Lockout {
        if self.own(place).is_none() {
            return &mut self.lockout;
        }
        let known = self.places.iter_mut().find(|known| Some(known.place) == place);
        &mut known.expect("it is known").factors
    }

    pub(super) fn forgive_passwords(&mut self) {
        self.password.iter_mut().for_each(|password| password.lockout = Lockout::default());
        self.places.iter_mut().for_each(|known| known.password = Lockout::default());
    }

    pub(super) fn forgive_codes(&mut self) {
        self.lockout = Lockout::default();
        self.places.iter_mut().for_each(|known| known.factors = Lockout::default());
    }
}
