//! Passwords, and the counts of wrong guesses of passwords and of second factors.

use gatepass_core::records::factor::Lockout;
use gatepass_core::records::password::{Password, PasswordHash};

use super::row::{Columns, MalformedRow};
use super::value::Value;

pub(in crate::store) fn password(c: &mut Columns<'_>) -> Result<Password, MalformedRow> {
    let hash = c.parsed("hash", |text| PasswordHash::parse(text).ok())?;
    Ok(Password { hash, lockout: c.lockout()? })
}

pub(in crate::store) fn password_values(password: &Password) -> [Value<'_>; 4] {
    let [wrong, locks, locked_until] = lockout_values(&password.lockout);
    [password.hash.as_str().into(), wrong, locks, locked_until]
}

pub(in crate::store) fn lockout_values(lockout: &Lockout) -> [Value<'static>; 3] {
    [lockout.wrong.into(), lockout.locks.into(), lockout.locked_until.into()]
}
