//! Whether a sign-in waits for a second factor, and whether a code is one.

use alloc::{vec, vec::Vec};

use super::totp::accepted_step;
use crate::audit::Refusal;
use crate::model::challenge::SignIn;
use crate::model::change::Change;
use crate::model::factor::{BackupDigest, Factors, Guesses};
use crate::model::id::UserId;
use crate::model::session::Session;
use crate::settings::SecondFactor;
use crate::time::Time;

/// With what a challenge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A code of a TOTP device.
    Totp,
    /// A backup code.
    BackupCode,
}

impl Method {
    /// The names of both.
    pub(crate) const NAMES: &[&'static str] = &["totp", "backup_code"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "totp" => Some(Self::Totp),
            "backup_code" => Some(Self::BackupCode),
            _ => None,
        }
    }

    /// What it adds to `amr` (RFC 8176 §2).
    pub(crate) const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Totp => &["otp", "mfa"],
            Self::BackupCode => &["mfa"],
        }
    }
}

/// Why a second factor is asked for, where it is: the `mfa_check_reason`.
pub(crate) fn asked(policy: SecondFactor, sign_in: &SignIn, factors: &Factors) -> Option<&'static str> {
    match policy {
        SecondFactor::Never => None,
        SecondFactor::Enrolled if !factors.is_enrolled() => None,
        SecondFactor::Enrolled if sign_in.impersonation.is_some() => Some("impersonation"),
        SecondFactor::Enrolled => Some("enrolled"),
    }
}

/// Whether `session` may add devices to `factors`: where there is one that counts, only a session that has shown it, at its
/// sign-in or by verifying it. Otherwise whoever got hold of an older session could add theirs and take the others away
/// (NIST SP 800-63B §6.1.2.1). Where nobody is ever challenged, no session could have shown one.
pub(crate) fn may_add(policy: SecondFactor, session: &Session, factors: &Factors) -> bool {
    match policy {
        SecondFactor::Never => true,
        SecondFactor::Enrolled => {
            !factors.is_enrolled()
                || session.methods.iter().any(|method| method == "mfa")
                || factors.verified().any(|device| device.verified_by.as_ref() == Some(&session.id))
        }
    }
}

/// What is written when `code` of `user` is accepted: it is used up, and guessing begins anew.
pub(crate) fn accept(
    factors: &Factors,
    user: &UserId,
    method: Method,
    code: &str,
    now: Time,
) -> Result<Vec<Change>, Refusal> {
    if factors.guesses.is_locked(now) {
        return Err(Refusal::FactorsLocked);
    }
    let mut changes = match method {
        Method::Totp => {
            let fitting =
                factors.verified().filter_map(|device| Some((device, accepted_step(device, code, now)?)));
            let (device, step) = fitting.last().ok_or(Refusal::CodeWrong)?;
            vec![Change::UseStep { id: device.id.clone(), step }]
        }
        Method::BackupCode => {
            let code = BackupDigest::of(user, code);
            if !factors.has_backup_code(&code) {
                return Err(Refusal::CodeWrong);
            }
            vec![Change::UseBackupCode { user: user.clone(), code }]
        }
    };
    if factors.guesses != Guesses::default() {
        let (before, after) = (factors.guesses, Guesses::default());
        changes.push(Change::SetGuesses { user: user.clone(), before, after });
    }
    Ok(changes)
}

/// What is written when a code of `user` was wrong at `now`; nothing while the factors are locked.
pub(crate) fn count_wrong(factors: &Factors, user: &UserId, now: Time) -> Option<Change> {
    let before = factors.guesses;
    (!before.is_locked(now)).then(|| Change::SetGuesses {
        user: user.clone(),
        before,
        after: before.failed(now),
    })
}
