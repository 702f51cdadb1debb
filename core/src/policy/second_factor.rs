//! Second factors: the verification of codes, and the right to add a device.

use alloc::{vec, vec::Vec};

use crate::base::time::Clocks;
use crate::policy::guess_counter::GuessCounter;
use crate::policy::totp::accepted_step;
use crate::records::factor::{BackupDigest, Factors};
use crate::records::session::Session;
use crate::store::audit::Refusal;
use crate::store::change::Change;

/// With what a challenge is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A code of a TOTP device.
    Totp,
    /// A backup code.
    BackupCode,
}

impl Method {
    /// The names of those that `factors` can be shown by.
    pub(crate) fn of(factors: &Factors) -> Vec<&'static str> {
        let totp = factors.is_enrolled().then_some("totp");
        let codes = (factors.is_enrolled() && !factors.backup_codes.is_empty()).then_some("backup_code");
        totp.into_iter().chain(codes).collect()
    }

    /// The names of all of them.
    pub(crate) const NAMES: &[&str] = &["totp", "backup_code"];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "totp" => Some(Self::Totp),
            "backup_code" => Some(Self::BackupCode),
            _ => None,
        }
    }

    /// Returns the methods that it adds to `amr` (RFC 8176 §2).
    pub(crate) const fn methods(self) -> &'static [&'static str] {
        match self {
            Self::Totp => &["otp", "mfa"],
            Self::BackupCode => &["mfa"],
        }
    }
}

/// Returns true if `session` has shown a factor of `factors`, at its sign-in or by verifying a first one. If there is a verified
/// device, a session that has shown none can add none: otherwise a stolen older session could add a device and delete the
/// others away (NIST SP 800-63B §6.1.2.1).
pub(crate) fn has_shown(session: &Session, factors: &Factors) -> bool {
    session.methods.iter().any(|method| method == "mfa")
        || factors.verified().any(|device| device.verified_by.as_ref() == Some(&session.id))
}

/// Returns the changes to write when `code` is accepted: it is used up, and the count of guesses begins anew.
pub(crate) fn accept(
    factors: &Factors,
    counter: &GuessCounter,
    method: Method,
    code: &str,
    clocks: Clocks,
) -> Result<Vec<Change>, Refusal> {
    if counter.is_locked(clocks.now) {
        return Err(Refusal::FactorsLocked);
    }
    let mut changes = match method {
        Method::Totp => {
            let fitting =
                factors.verified().filter_map(|device| Some((device, accepted_step(device, code, clocks)?)));
            let (device, step) = fitting.last().ok_or(Refusal::CodeWrong)?;
            vec![Change::UseStep { id: device.id.clone(), step, before: device.last_step }]
        }
        Method::BackupCode => {
            let user = counter.user();
            let code = BackupDigest::of(user, code);
            if !factors.has_backup_code(&code) {
                return Err(Refusal::CodeWrong);
            }
            vec![Change::UseBackupCode { user: user.clone(), code }]
        }
    };
    changes.push(counter.begin_anew());
    Ok(changes)
}
