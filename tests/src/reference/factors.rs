//! Second factors.

use serde_json::json;

use super::model::{Answer, Device, DeviceOnNetwork, Lockout, Model, Name, Session, done, granted, refused};
use super::operation::Code;

impl Model {
    pub(super) fn devices_of(&self, user: Name) -> Vec<usize> {
        let mine = |at: &usize| self.devices[*at].owner == user && !self.devices[*at].gone;
        (0..self.devices.len()).filter(mine).collect()
    }

    pub(super) fn is_enrolled(&self, user: Name) -> bool {
        self.devices_of(user).into_iter().any(|at| self.devices[at].counts)
    }

    /// Returns true if `session` has shown a factor, or verified one.
    pub(super) fn has_shown(&self, session: usize) -> bool {
        let Session { grant, amr, .. } = &self.sessions[session];
        let by_it = |at: usize| self.devices[at].counts && self.devices[at].by == Some(session);
        amr.contains(&"mfa") || self.devices_of(grant.user).into_iter().any(by_it)
    }

    /// Returns the step of `code`, if `device` would accept it.
    pub(super) fn fits(&self, device: usize, code: Code) -> Option<u64> {
        let Code::Totp(shown, late) = code else { return None };
        let step = (self.now / 30).checked_add_signed(late)?;
        let fits = self.device(shown) == Some(device) && late.abs() <= 1 && step > self.devices[device].step;
        fits.then_some(step)
    }

    /// Checks `code` as a second factor of `user`. A right one is used up; a wrong one is counted.
    pub(super) fn show(
        &mut self,
        user: Name,
        place: Option<DeviceOnNetwork>,
        code: Code,
        with_backup: bool,
    ) -> Result<(), &'static str> {
        let now = self.now;
        if now < self.people.get_mut(user).ok_or("nobody")?.factors_lockout(place).until {
            return Err("locked");
        }
        let mut fitting = self.devices_of(user).into_iter().filter(|at| self.devices[*at].counts);
        let fitting = fitting.find_map(|at| Some((at, self.fits(at, code)?)));
        let (enrolled, backup) = (self.is_enrolled(user), self.backup(code));
        let person = self.people.get_mut(user).ok_or("nobody")?;
        let shown = match (fitting, backup) {
            (Some((device, step)), _) => {
                self.devices[device].step = step;
                true
            }
            (None, Some(code)) => with_backup && enrolled && person.codes.remove(&code),
            (None, None) => false,
        };
        if shown {
            *person.factors_lockout(place) = Lockout::default();
            return Ok(());
        }
        person.factors_lockout(place).fail(now);
        Err("wrong")
    }

    pub(super) fn backup(&self, code: Code) -> Option<(usize, usize)> {
        let Code::Backup(device, number) = code else { return None };
        Some((self.device(device)?, number))
    }

    pub(super) fn forget(&mut self, device: usize) {
        let Device { owner, counts, gone, .. } = &mut self.devices[device];
        *gone = true;
        if let Some(person) = self.people.get_mut(owner).filter(|_| !*counts) {
            person.codes.retain(|(with, _)| *with != device);
        }
    }

    pub(super) fn set_up(&mut self, session: usize, code: Option<Code>) -> Answer {
        let (user, now) = (self.sessions[session].grant.user, self.now);
        let enrolled = self.is_enrolled(user);
        let (left, abandoned): (Vec<usize>, Vec<usize>) = self
            .devices_of(user)
            .into_iter()
            .partition(|at| self.devices[*at].counts || self.devices[*at].is_waiting(now));
        let shown = self.has_shown(session);
        if !shown && enrolled {
            let before = (self.devices.clone(), self.people.clone());
            let Some(code) = code else { return refused(40302) };
            if let Err(why) = self.show(user, None, code, false) {
                return refused(40031).because(why);
            }
            if left.len() >= 8 {
                // A refused request uses nothing up.
                (self.devices, self.people) = before;
            }
        }
        if left.len() >= 8 {
            return refused(40032);
        }
        abandoned.into_iter().for_each(|device| self.forget(device));
        let vouched = shown || enrolled;
        self.devices.push(Device {
            owner: user,
            made: now,
            gone: false,
            counts: false,
            by: None,
            vouched,
            step: 0,
        });
        let device = self.devices.len() - 1;
        if !enrolled {
            self.people.entry(user).or_default().codes.extend((0..10).map(|number| (device, number)));
        }
        let codes = (!enrolled).then_some(10);
        let kind = if enrolled { "another" } else { "first" };
        granted(kind, json!({"code": 0, "data": {"device_id": device, "backup_codes": codes}}))
    }

    pub(super) fn verify(&mut self, session: usize, device: Option<Option<usize>>, code: Code) -> Answer {
        let user = self.sessions[session].grant.user;
        let mut waiting =
            self.devices_of(user).into_iter().rev().filter(|at| self.devices[*at].is_waiting(self.now));
        let device = waiting.find(|at| device.is_none_or(|named| named == Some(*at)));
        let Some(device) = device else { return refused(40031) };
        let (enrolled, now) = (self.is_enrolled(user), self.now);
        if enrolled && now < self.people[user].lockout.until {
            return refused(40031).because("locked");
        }
        let Some(step) = self.fits(device, code) else {
            if !enrolled {
                return refused(40031);
            }
            self.people.entry(user).or_default().lockout.fail(now);
            return refused(40031).because("wrong");
        };
        if enrolled && !self.devices[device].vouched && !self.has_shown(session) {
            return refused(40302);
        }
        let verified = &mut self.devices[device];
        (verified.counts, verified.by, verified.step) = (true, Some(session), step);
        let person = self.people.entry(user).or_default();
        if enrolled {
            person.lockout = Lockout::default();
        } else {
            person.codes.retain(|(with, _)| *with == device);
        }
        done()
    }

    pub(super) fn remove(&mut self, session: usize, device: Option<usize>, code: Code) -> Answer {
        let user = self.sessions[session].grant.user;
        let Some(device) = device.filter(|at| self.devices_of(user).contains(at)) else {
            return refused(40402);
        };
        let by_its_own = !self.devices[device].counts && self.fits(device, code).is_some();
        if !by_its_own && let Err(why) = self.show(user, None, code, false) {
            return refused(40031).because(why);
        }
        self.forget(device);
        if self.devices[device].counts && !self.is_enrolled(user) {
            self.people.entry(user).or_default().codes.clear();
        }
        done()
    }
}
