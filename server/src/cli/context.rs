//! What a command works with: the data directory, the configuration, the store, the clock.

use std::io::{self, Write};
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use gatepass_core::base::time::Time;
use gatepass_core::base::warning::Warnings;
use gatepass_core::crypto::OtpHash;
use gatepass_core::crypto::seed::Seed;
use gatepass_core::engine::{Engine, Keys};
use gatepass_core::jose::key::SigningKey;
use gatepass_core::records::factor::OtpParameters;
use gatepass_core::records::request_inputs::RequestInputs;
use gatepass_core::settings::{Issuer, PasswordAge, RiskRules, SecondFactorRules, Settings, Weights};
use gatepass_core::store::Store as _;
use gatepass_core::store::change::{Change, Outcome};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::Output;
use crate::clock::{Clock, ClockStatus, FAR_AHEAD};
use crate::config::{Config, Given, choice};
use crate::store::{Access, Create, Installation, KeyState, Notice, Store, StoreOptions};

/// Where a command works, and how it prints.
#[derive(Clone, Debug)]
pub struct Context {
    data: PathBuf,
    config: Option<PathBuf>,
    init: bool,
    /// The store that the command has opened, to be closed at its end.
    opened: Arc<Mutex<Option<Store>>>,
    /// How to print.
    pub out: Output,
}

/// An open store, and what time it is there.
#[derive(Debug)]
pub struct Site {
    /// The store.
    pub store: Store,
    /// The time, never behind the store's mark.
    pub now: Time,
    /// The clocks, of which `now` is.
    pub clock: ClockStatus,
}

impl Context {
    /// For the data directory `data` and the configuration file `config`, where one was named. `init` lets a command make an
    /// installation where there is none.
    pub fn new(data: PathBuf, config: Option<PathBuf>, init: bool, out: Output) -> Self {
        Self { data, config, init, opened: Arc::default(), out }
    }

    /// Where the files of the installation are.
    ///
    /// # Errors
    /// Where the configuration cannot be read.
    pub fn installation(&self) -> Result<Installation, Failure> {
        Ok(self.installation_of(&self.config(Given::default())?))
    }

    /// Returns the same for a configuration that was read already.
    pub fn installation_of(&self, config: &Config) -> Installation {
        Installation {
            master_key_file: config.master_key_file.clone(),
            // Written down for commands that start elsewhere.
            witness_file: config
                .witness_file
                .as_ref()
                .map(|path| absolute(path).unwrap_or_else(|_| path.clone())),
            ..Installation::at(&self.data)
        }
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The configuration, with `flags` before the environment and the file.
    ///
    /// # Errors
    /// A key or value that will not do.
    pub fn config(&self, flags: Given) -> Result<Config, Failure> {
        let env = Given::from_env(|name| std::env::var(name).ok())?;
        let file = Given::from_file(self.config.as_deref(), &self.data)?;
        let config = flags.or(env).or(file).resolve()?;
        config.agrees_with_itself()?;
        Ok(config)
    }

    /// The store, which must be there, for a command that changes something. `--init` makes it where it is not.
    ///
    /// # Errors
    /// Where it is not there, or cannot be opened.
    pub fn site(&self) -> Result<Site, Failure> {
        let site = self.open(Access::Write)?;
        if let Some(warning) = site.clock_warning() {
            // A closed stderr has nobody to tell.
            let _ = writeln!(io::stderr(), "gatepass: {warning}");
        }
        Ok(site)
    }

    /// The store, for a command that leaves every file as it is.
    ///
    /// # Errors
    /// Where it is not there, or cannot be opened.
    pub fn reading(&self) -> Result<Site, Failure> {
        self.open(Access::Read)
    }

    /// The store, for `access`.
    ///
    /// # Errors
    /// Where it is not there, or cannot be opened.
    pub fn open(&self, access: Access) -> Result<Site, Failure> {
        let installation = self.installation()?;
        let create = if self.init && access == Access::Write { Create::BesideKey } else { Create::No };
        let store = Store::open_or_create(&installation, access, create, &StoreOptions::default())?;
        for notice in store.notices() {
            // A closed stderr has nobody to tell.
            let _ = writeln!(io::stderr(), "gatepass: {notice}");
        }
        let clock = Clock::read(&store)?.status();
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
        Ok(Site::new(store, clock))
    }

    /// Opens the store for a server, which makes an installation in an empty directory.
    ///
    /// # Errors
    /// Where it cannot be made or opened.
    pub fn serving(&self, config: &Config) -> Result<Store, Failure> {
        let create = if self.init { Create::BesideKey } else { Create::InEmpty };
        let options =
            StoreOptions { witness_interval: config.witness_interval.get(), ..StoreOptions::default() };
        let installation = self.installation_of(config);
        let store = Store::open_or_create(&installation, Access::Serve, create, &options)?;
        for notice in store.notices() {
            if matches!(notice, Notice::HandoverTaken(_)) {
                tracing::info!("{notice}");
            } else {
                tracing::error!("{notice}");
            }
        }
        Ok(store)
    }

    /// Closes what the command has opened. What was changed stays changed, also where this fails.
    ///
    /// # Errors
    /// Where the files could not be left as they should be.
    pub fn close(&self) -> Result<(), Failure> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).take();
        opened.map_or(Ok(()), |store| Ok(store.close()?))
    }
}

/// The core, with these settings and the keys that `store` has now.
///
/// # Errors
/// Where the keys cannot be read.
pub fn engine(store: &Store, settings: Settings) -> Result<Engine, Failure> {
    let stored = store.keys()?;
    let (mut signing, mut others) = (None, Vec::new());
    for key in &stored.keys {
        let broken = || Failure::failed(format!("the key {} cannot be used: run `gatepass check`", key.kid));
        let private = SigningKey::from_jwk(&key.storage, None).map_err(|_| broken())?;
        if key.state == KeyState::Signing {
            signing = Some(private);
        } else {
            others.push(private.verifying_key().map_err(|_| broken())?);
        }
    }
    Ok(Engine::new(settings, Keys::new(stored.generation, signing, others)))
}

/// The core's settings, for `issuer`.
pub fn settings(config: &Config, issuer: Issuer) -> Settings {
    Settings {
        issuer,
        user_token_lifetime: config.user_token_lifetime.seconds(),
        client_token_lifetime: config.client_token_lifetime.seconds(),
        ticket_lifetime: config.ticket_lifetime.seconds(),
        session_lifetime: config.session_lifetime.seconds(),
        refresh_lifetime: config.refresh_lifetime.seconds(),
        refresh_grace: config.refresh_grace.seconds(),
        impersonation_lifetime: config.impersonation_lifetime.seconds(),
        user_scope: config.user_scope.get().clone(),
        second_factor: SecondFactorRules {
            ask: config.second_factor,
            ask_actor: config.second_factor_impersonation,
            unenrolled: config.second_factor_unenrolled,
        },
        risk: risk(config),
        address_mismatch: config.address_mismatch,
        password_length: config.password_length.get(),
        password_age: (config.password_life.seconds() > 0).then(|| PasswordAge {
            life: config.password_life.seconds(),
            warning: config.password_warning.seconds(),
            grace: config.password_grace.seconds(),
        }),
        totp: otp_parameters(config),
        tenant: config.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
        redeem_grace: config.redeem_grace.seconds(),
    }
}

/// How new TOTP devices make their codes.
pub const fn otp_parameters(config: &Config) -> OtpParameters {
    OtpParameters {
        hash: match config.totp_hash {
            choice::TotpHash::Sha1 => OtpHash::Sha1,
            choice::TotpHash::Sha256 => OtpHash::Sha256,
            choice::TotpHash::Sha512 => OtpHash::Sha512,
        },
        digits: match config.totp_digits {
            choice::TotpDigits::Six => 6,
            choice::TotpDigits::Eight => 8,
        },
    }
}

fn risk(config: &Config) -> RiskRules {
    RiskRules {
        weights: Weights {
            new_device: config.risk_new_device.percent(),
            new_network: config.risk_new_network.percent(),
            old_ticket: config.risk_old_ticket.percent(),
            address_mismatch: config.risk_address_mismatch.percent(),
            recent_failures: config.risk_recent_failures.percent(),
            long_absence: config.risk_long_absence.percent(),
            unusual_hour: config.risk_unusual_hour.percent(),
            impersonation: config.risk_impersonation.percent(),
            account_changed: config.risk_account_changed.percent(),
        },
        medium: config.risk_medium.percent(),
        high: config.risk_high.percent(),
        second_factor: config.risk_second_factor.percent(),
        old_ticket_percent: config.risk_old_ticket_percent.percent(),
        failures: config.risk_failures.get(),
        failure_window: config.risk_failure_window.seconds(),
        absence: config.risk_absence_after.seconds(),
        place_life: config.risk_place_life.seconds(),
        known_sign_ins: config.risk_hours_known_after.get(),
        change_window: config.risk_change_window.seconds(),
    }
}

/// `N` bytes from the system's generator.
///
/// # Errors
/// Where it fails.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, Failure> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::fill(&mut *bytes)
        .map_err(|error| Failure::failed(format!("no randomness to be had: {error}")))?;
    Ok(bytes)
}

/// A moment at `clock`, with fresh randomness.
///
/// # Errors
/// Where there is none to be had.
pub fn inputs(clock: &ClockStatus) -> Result<RequestInputs, Failure> {
    let now = clock.now;
    // The wall clock's, which need not turn with `now`: it only brings together.
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

impl Site {
    /// Over `store`, as the clocks read.
    pub const fn new(store: Store, clock: ClockStatus) -> Self {
        Self { store, now: clock.now, clock }
    }

    /// Returns a warning that the wall clock is over an hour off the mark, where it is.
    fn clock_warning(&self) -> Option<String> {
        let ClockStatus { wall, mark, behind, ahead, .. } = self.clock;
        let way_out = "set the clock if it is wrong, or run `gatepass clock reset` if the mark is";
        if ahead.is_some() {
            return Some(format!(
                "the wall clock ({wall}) is over an hour ahead of the mark ({mark}); what this command writes bears the wall \
                 clock's time: {way_out}"
            ));
        }
        behind.filter(|seconds| *seconds > FAR_AHEAD).map(|_| {
            format!(
                "the wall clock ({wall}) is over an hour behind the mark ({mark}); what this command writes bears the mark's \
                 time: {way_out}"
            )
        })
    }

    /// Commits `changes`, all or none.
    ///
    /// # Errors
    /// Where something they name no longer holds, told as `conflict`; where the store could not.
    pub fn commit(&self, changes: Vec<Change>, conflict: impl FnOnce() -> String) -> Result<(), Failure> {
        match self.try_commit(changes)? {
            true => Ok(()),
            false => Err(Failure::Failed(conflict())),
        }
    }

    /// Commits `changes`, all or none; whether everything they name held.
    ///
    /// # Errors
    /// Where the store could not.
    pub fn try_commit(&self, changes: Vec<Change>) -> Result<bool, Failure> {
        match self.store.commit(&Arc::from(changes)) {
            Outcome::Applied => Ok(true),
            Outcome::Conflict => Ok(false),
            Outcome::NotApplied => Err(Failure::failed(
                "the store cannot commit now and nothing was changed: see whether the disk is full or read-only (`gatepass check`), then try again",
            )),
            Outcome::Unknown => Err(Failure::failed(
                "the outcome of the commit was lost: look at whether the change is there before trying again",
            )),
        }
    }
}
