//! The settings of the core, from the configuration.

use gatepass_core::crypto::OtpHash;
use gatepass_core::records::factor::OtpParameters;
use gatepass_core::settings::{Issuer, PasswordAge, RiskRules, Settings};

use super::Config;
use super::choice::{TotpDigits, TotpHash};

impl Config {
    /// Returns the settings of the core, for `issuer`.
    pub fn core_settings(&self, issuer: Issuer) -> Settings {
        let mut settings = Settings::new(issuer);
        settings.user_token_lifetime = self.user_token_lifetime.seconds();
        settings.client_token_lifetime = self.client_token_lifetime.seconds();
        settings.ticket_lifetime = self.ticket_lifetime.seconds();
        settings.session_lifetime = self.session_lifetime.seconds();
        settings.refresh_lifetime = self.refresh_lifetime.seconds();
        settings.refresh_grace = self.refresh_grace.seconds();
        settings.impersonation_lifetime = self.impersonation_lifetime.seconds();
        settings.key_set_lifetime = self.key_set_lifetime.seconds();
        settings.user_scope = self.user_scope.get().clone();
        settings.second_factor.ask = self.second_factor;
        settings.second_factor.ask_actor = self.second_factor_impersonation;
        settings.second_factor.unenrolled = self.second_factor_unenrolled;
        settings.risk = self.risk_rules();
        settings.address_mismatch = self.address_mismatch;
        settings.metrics = self.metrics;
        settings.password_length = self.password_length.get();
        let (life, warning) = (self.password_life.seconds(), self.password_warning.seconds());
        settings.password_age =
            (life > 0).then(|| PasswordAge::new(life, warning, self.password_grace.seconds()));
        settings.totp = self.otp_parameters();
        if let Some(name) = &self.totp_issuer {
            settings.totp_issuer = name.clone();
        }
        settings.tenant = self.tenant.as_ref().map(|tenant| tenant.as_str().to_owned());
        settings.separate_roles = self.separate_roles;
        settings.redeem_grace = self.redeem_grace.seconds();
        settings
    }

    /// Returns the parameters of new TOTP devices.
    pub const fn otp_parameters(&self) -> OtpParameters {
        OtpParameters {
            hash: match self.totp_hash {
                TotpHash::Sha1 => OtpHash::Sha1,
                TotpHash::Sha256 => OtpHash::Sha256,
                TotpHash::Sha512 => OtpHash::Sha512,
            },
            digits: match self.totp_digits {
                TotpDigits::Six => 6,
                TotpDigits::Eight => 8,
            },
        }
    }

    fn risk_rules(&self) -> RiskRules {
        let mut rules = RiskRules::DEFAULT;
        rules.weights.new_device = self.risk_new_device.percent();
        rules.weights.new_network = self.risk_new_network.percent();
        rules.weights.old_ticket = self.risk_old_ticket.percent();
        rules.weights.address_mismatch = self.risk_address_mismatch.percent();
        rules.weights.recent_failures = self.risk_recent_failures.percent();
        rules.weights.long_absence = self.risk_long_absence.percent();
        rules.weights.unusual_hour = self.risk_unusual_hour.percent();
        rules.weights.impersonation = self.risk_impersonation.percent();
        rules.weights.account_changed = self.risk_account_changed.percent();
        rules.medium = self.risk_medium.percent();
        rules.high = self.risk_high.percent();
        rules.second_factor = self.risk_second_factor.percent();
        rules.old_ticket_percent = self.risk_old_ticket_percent.percent();
        rules.failures = self.risk_failures.get();
        rules.failure_window = self.risk_failure_window.seconds();
        rules.absence = self.risk_absence_after.seconds();
        rules.place_life = self.risk_place_life.seconds();
        rules.known_sign_ins = self.risk_hours_known_after.get();
        rules.change_window = self.risk_change_window.seconds();
        rules
    }
}
