//! Every key, once.

use std::path::PathBuf;

use gatepass_core::base::secret::SecretText;
use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{AddressMismatch, Issuer, MetricsReaders, TotpIssuer, Unenrolled};

use super::choice::{Front, LogFormat, LogLevel, TotpDigits, TotpHash};
use super::key::{Key, KindOf};
use super::layer::{ConfigLayer, Setting};
use super::value::{
    Authority, Count, Deadline, List, Listen, Network, PasswordSpan, PhoneCountry, Risked, SessionLifetime,
    SocketMode, Span, Tenant, TicketLifetime, TokenLifetime, UserScope, Value,
};
use super::{ConfigError, value_of};
use crate::database_address::DatabaseAddress;

macro_rules! keys {
    (
        $($(#[doc = $doc:literal])* $name:ident $(in $section:ident $(. $short:ident)?)?: $type:ty = $default:literal $($at_start:ident)?;)+
        ---
        $($(#[doc = $bare_doc:literal])* $bare:ident $(in $bare_section:ident $(. $bare_short:ident)?)?: $bare_type:ty $(, $bare_at_start:ident)?;)+
    ) => {
        /// The configuration in force: every source and the defaults together.
        #[derive(Clone, Debug)]
        pub struct Config {
            $($(#[doc = $doc])* pub $name: $type,)+
            $($(#[doc = $bare_doc])* pub $bare: Option<$bare_type>,)+
            /// Every key with its value as it was written, and where it comes from.
            pub settings: Vec<Setting>,
            /// The keys of the file that stand outside of their sections.
            pub outside: Vec<&'static Key>,
            /// The variables that begin like ours and are no key's.
            pub unknown_variables: Vec<String>,
            /// The password of the database, which has a variable alone.
            pub store_password: Option<SecretText>,
        }

        /// Every key.
        pub static KEYS: &[Key] = &[
            $(Key {
                name: stringify!($name),
                place: keys!(@place $name $(, $section $(. $short)?)?),
                meaning: concat!($($doc),*),
                shape: <$type as Value>::SHAPE,
                default: Some($default),
                is_secret: <$type as Value>::IS_SECRET,
                may_hold_password: <$type as Value>::MAY_HOLD_PASSWORD,
                is_read_at_start: keys!(@at_start $($at_start)?),
                kind: &KindOf::<$type>::NEW,
            },)+
            $(Key {
                name: stringify!($bare),
                place: keys!(@place $bare $(, $bare_section $(. $bare_short)?)?),
                meaning: concat!($($bare_doc),*),
                shape: <$bare_type as Value>::SHAPE,
                default: None,
                is_secret: <$bare_type as Value>::IS_SECRET,
                may_hold_password: <$bare_type as Value>::MAY_HOLD_PASSWORD,
                is_read_at_start: keys!(@at_start $($bare_at_start)?),
                kind: &KindOf::<$bare_type>::NEW,
            },)+
        ];

        impl ConfigLayer {
            /// Returns the keys that are set, and the defaults of the rest.
            ///
            /// # Errors
            /// None in a build whose tests pass: where a default is not a value of its key.
            pub fn resolve(self) -> Result<Config, ConfigError> {
                let settings = self.settings();
                let mut texts = settings.iter();
                // The settings are in the order of the keys.
                Ok(Config {
                    $($name: value_of(texts.next())?.ok_or_else(|| ConfigError::new(stringify!($name), "has no value"))?,)+
                    $($bare: value_of(texts.next())?,)+
                    outside: self.outside,
                    unknown_variables: self.unknown_variables,
                    store_password: self.store_password,
                    settings,
                })
            }
        }
    };
    (@place $name:ident) => { None };
    (@place $name:ident, $section:ident) => { Some((stringify!($section), stringify!($name))) };
    (@place $name:ident, $section:ident . $short:ident) => { Some((stringify!($section), stringify!($short))) };
    (@at_start) => { false };
    (@at_start at_start) => { true };
}

// `in section.name`: the key's place in the file; flags and variables have the name that stands first.
// `at_start`: the key is read when the server starts, and SIGHUP does not change it.
keys! {
    /// Address and port to listen on; port 0 takes a free port; `unix:PATH` with the tiny_http front
    listen in http: Listen = "127.0.0.1:8080" at_start;
    /// Permissions of the Unix socket, in octal: who may connect
    socket_mode in http: SocketMode = "0660" at_start;
    /// HTTP front: `guarded` can face a network; `tiny_http` only stands behind a proxy on this machine
    front in http: Front = "guarded" at_start;
    /// Threads that answer requests; 0 = one more than there are processors, or 64 with the tiny_http front
    workers in http: Count<0, 1024> = "0" at_start;
    /// Most connections at once
    connections in http: Count<1, 65536> = "1024" at_start;
    /// Most connections at once from one address, except loopback and trusted proxies; 0 = no limit
    connections_per_address in http: Count<0, 65536> = "64" at_start;
    /// Longest request line, in bytes
    request_line_bytes in http: Count<256, 65536> = "8192" at_start;
    /// Longest request head, in bytes
    head_bytes in http: Count<512, 262_144> = "16384" at_start;
    /// Most header fields of a request
    headers in http: Count<1, 64> = "64" at_start;
    /// Longest request body, in bytes
    body_bytes in http: Count<256, 65536> = "65536" at_start;
    /// Time for a whole request to arrive
    request_time in http: Deadline = "10s" at_start;
    /// Time without a request after which a connection is closed
    idle_time in http: Deadline = "75s" at_start;
    /// Time for the peer to take an answer
    answer_time in http: Deadline = "10s" at_start;
    /// Time for running requests to end when the server is asked to stop
    drain_time in http: Deadline = "10s" at_start;
    /// Hosts that a request may name, besides the issuer's and the address listened on; others get 421
    hosts in http: List<Authority> = "";
    /// Proxies whose X-Forwarded-For is believed
    trusted_proxies in http: List<Network> = "";
    /// Who may read `/metrics` without a token: loopback (unless a proxy has forwarded the request), off, or everyone
    metrics in http: MetricsReaders = "loopback";
    /// Failures per minute allowed to one address, then 429; 0 = no limit
    failures_per_minute in http: Count<0, 1_000_000> = "30";
    /// Loopback addresses have no failure limit
    exempt_loopback in http: bool = "true";
    /// Trusted proxies themselves have no failure limit
    exempt_trusted_proxies in http: bool = "true";
    /// Lifetime of a user's access token
    user_token_lifetime in lifetimes.user_token: TokenLifetime = "30m";
    /// Lifetime of a service's access token
    client_token_lifetime in lifetimes.client_token: TokenLifetime = "1h";
    /// Lifetime of a ticket, where the request names none
    ticket_lifetime in lifetimes.ticket: TicketLifetime = "5m";
    /// Longest lifetime of a session, refreshed or not
    session_lifetime in lifetimes.session: SessionLifetime = "30d";
    /// Time after which a session ends when it is not refreshed
    refresh_lifetime in lifetimes.refresh: SessionLifetime = "14d";
    /// Time in which a used refresh token brings the same successor again, for a lost answer; 0s = never
    refresh_grace in lifetimes: Span<0, 300_000> = "10s";
    /// Time in which a request with an `Idempotency-Key` gets the same answer again; 0s = never
    redeem_grace in lifetimes: Span<0, 600_000> = "60s";
    /// Lifetime of a session in which an administrator acts as a user
    impersonation_lifetime in lifetimes.impersonation: Span<1_000, 86_400_000> = "30m";
    /// Time for which others may keep a copy of the key set; `key rotate` waits for it, and a minute more
    key_set_lifetime in lifetimes.key_set: Span<0, 86_400_000> = "5m";
    /// Scope of a user's token, where the ticket names none
    user_scope: UserScope = "profile";
    /// When a second factor is asked of users who have one: never, risk or always
    second_factor in second_factor.ask: AskFactor = "risk";
    /// The same for an administrator who acts as a user
    second_factor_impersonation in second_factor.impersonation: AskFactor = "always";
    /// Result for users without a device who should show one: sign_in, refuse, or enrol (a token for enrolling alone)
    second_factor_unenrolled in second_factor.unenrolled: Unenrolled = "sign_in";
    /// Result of a ticket redeemed at another address than its client_ip: refuse, or risk (it adds to the score)
    address_mismatch: AddressMismatch = "refuse";
    /// Nobody has two roles of administration
    separate_roles: bool = "true";
    /// Score from which a second factor is asked for
    risk_second_factor in risk.second_factor: Count<1, 100> = "40";
    /// Score from which a risk is medium
    risk_medium in risk.medium: Count<1, 100> = "30";
    /// Score from which a risk is high
    risk_high in risk.high: Count<1, 100> = "60";
    /// Weight of a device that the user has not signed in from
    risk_new_device in risk.new_device: Count<0, 100> = "40";
    /// Extra weight when the network is new, too
    risk_new_network in risk.new_network: Count<0, 100> = "15";
    /// Weight of a ticket that is redeemed late
    risk_old_ticket in risk.old_ticket: Count<0, 100> = "10";
    /// Weight of a ticket redeemed at another address than its client_ip
    risk_address_mismatch in risk.address_mismatch: Count<0, 100> = "30";
    /// Weight of several failures of the user lately
    risk_recent_failures in risk.recent_failures: Count<0, 100> = "25";
    /// Weight of a long absence
    risk_long_absence in risk.long_absence: Count<0, 100> = "15";
    /// Weight of an hour of the day at which the user never signs in
    risk_unusual_hour in risk.unusual_hour: Count<0, 100> = "10";
    /// Weight of an administrator who acts as a user
    risk_impersonation in risk.impersonation: Count<0, 100> = "30";
    /// Weight of a recent change of the account
    risk_account_changed in risk.account_changed: Count<0, 100> = "15";
    /// Part of a ticket's lifetime after which it is redeemed late, in per cent
    risk_old_ticket_percent in risk.old_ticket_percent: Count<1, 100> = "80";
    /// Failures needed to raise `recent_failures`
    risk_failures in risk.failures: Count<1, 20> = "3";
    /// Time for which a failure counts
    risk_failure_window in risk.failure_window: Risked = "15m";
    /// Time without a sign-in that makes a long absence
    risk_absence_after in risk.absence_after: Risked = "90d";
    /// Time for which a device in a network stays known
    risk_place_life in risk.place_life: Risked = "180d";
    /// Sign-ins needed before a user's hours are known
    risk_hours_known_after in risk.hours_known_after: Count<1, 10_000> = "20";
    /// Time for which a change of the account counts
    risk_change_window in risk.change_window: Risked = "1d";
    /// Fewest characters of a new password
    password_length in passwords.length: Count<8, 128> = "8";
    /// Lifetime of a password; 0s = unlimited
    password_life in passwords.life: PasswordSpan = "0s";
    /// Time before its end at which a warning begins
    password_warning in passwords.warning: PasswordSpan = "14d";
    /// Time after its end in which a password still signs in
    password_grace in passwords.grace: PasswordSpan = "7d";
    /// Passwords hashed at once, 19 MiB each
    password_hashes in passwords.hashes: Count<1, 64> = "1" at_start;
    /// Passwords that may wait to be hashed; with the tiny_http front no more than half of the workers
    password_queue in passwords.queue: Count<1, 1024> = "32" at_start;
    /// Hash of new TOTP devices: SHA1, SHA256 or SHA512
    totp_hash in second_factor: TotpHash = "SHA1";
    /// Digits of new TOTP devices' codes: 6 or 8
    totp_digits in second_factor: TotpDigits = "6";
    /// Longest time from a change to its state generation in the witness; raise it for media that wear
    witness_interval: Span<100, 3_600_000> = "1s" at_start;
    /// Time between two sweeps of old rows
    sweep_interval: Span<1_000, 86_400_000> = "1m" at_start;
    /// Time after which archived audit rows are deleted; 0s = never; rows that are in no archive are kept
    audit_retention: PasswordSpan = "0s";
    /// Format of log lines: text, json, or auto (text on a terminal, JSON otherwise)
    log_format in log.format: LogFormat = "auto" at_start;
    /// Least important log lines written
    log_level in log.level: LogLevel = "info" at_start;
    ---
    /// The issuer that tokens name [default: http:// and the address listened on]
    issuer: Issuer;
    /// Address and port for administration and metrics alone, which `listen` then does not serve [default: none]
    admin_listen in http: Listen, at_start;
    /// The one tenant served; a ticket for another is refused
    tenant: Tenant;
    /// Calling code of the country whose telephone numbers are written without it, and the trunk prefix where that is not 0: 86, 7/8 [default: none]
    phone_country: PhoneCountry, at_start;
    /// The name that authenticators show [default: the issuer's host if it has a name, or else Gatepass]
    totp_issuer in second_factor: TotpIssuer;
    /// The master key's file [default: master.key in the data directory]
    master_key_file: PathBuf, at_start;
    /// The witness's file, best on another disk than the database [default: gatepass.witness in the data directory]
    witness_file: PathBuf, at_start;
    /// The address of a PostgreSQL database that keeps the records [default: none, SQLite in the data directory]
    store: DatabaseAddress, at_start;
    /// The file with the password of that database [default: none]
    store_password_file: PathBuf, at_start;
    /// The directory of the archives that an auditor asks for over HTTP [default: archives in the data directory]
    archive_dir: PathBuf, at_start;
}
