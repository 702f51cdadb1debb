//! Every key, once.

use std::path::PathBuf;

use gatepass_core::records::factor::AskFactor;
use gatepass_core::settings::{AddressMismatch, Issuer, Unenrolled};

use super::ConfigError;
use super::choice::{Front, LogFormat, LogLevel, TotpDigits, TotpHash};
use super::value::{
    Authority, Count, Deadline, List, Listen, Network, PasswordSpan, Risked, SessionLifetime, Span, Tenant,
    TicketLifetime, TokenLifetime, UserScope, Value,
};

macro_rules! keys {
    (
        $($(#[$doc:meta])* $name:ident: $type:ty = $default:literal $($at_start:ident)?;)+
        ---
        $($(#[$bare_doc:meta])* $bare:ident: $bare_type:ty $(, $bare_at_start:ident)?;)+
    ) => {
        /// What one source says: the flags, the environment or the file. A key it does not name is none.
        #[derive(Clone, Debug, Default, PartialEq, clap::Args)]
        #[command(next_help_heading = "Configuration (also keys of gatepass.toml and variables GATEPASS_…)")]
        pub struct ConfigLayer {
            $($(#[$doc])* #[arg(long, value_name = <$type as Value>::SHAPE, value_parser = <$type as Value>::from_text)]
            pub $name: Option<$type>,)+
            $($(#[$bare_doc])* #[arg(long, value_name = <$bare_type as Value>::SHAPE, value_parser = <$bare_type as Value>::from_text)]
            pub $bare: Option<$bare_type>,)+
        }

        /// The configuration that holds: every source and the defaults, put together.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[$doc])* pub $name: $type,)+
            $($(#[$bare_doc])* pub $bare: Option<$bare_type>,)+
        }

        impl Config {
            /// The keys that differ in `newer` and are only looked at when the server starts.
            pub fn needing_a_start(&self, newer: &Self) -> Vec<&'static str> {
                let mut keys = Vec::new();
                $($(if self.$name != newer.$name { keys.push(keys!(@name $name $at_start)); })?)+
                $($(if self.$bare != newer.$bare { keys.push(keys!(@name $bare $bare_at_start)); })?)+
                keys
            }
        }

        impl ConfigLayer {
            /// Every key, as the file spells it.
            pub const KEYS: &[&str] = &[$(stringify!($name),)+ $(stringify!($bare),)+];

            /// The default of `key`, as it would be written.
            pub fn default_of(key: &str) -> Option<&'static str> {
                match key { $(stringify!($name) => Some($default),)+ _ => None }
            }

            /// Takes `text` for `key`; none where there is no such key.
            pub fn take_text(&mut self, key: &str, text: &str) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($name) => Some(Value::from_text(text).map(|value| self.$name = Some(value))),)+
                    $(stringify!($bare) => Some(Value::from_text(text).map(|value| self.$bare = Some(value))),)+
                    _ => None,
                }
            }

            /// Takes the TOML `value` for `key`; none where there is no such key.
            pub fn take_toml(&mut self, key: &str, value: &toml::Value) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($name) => Some(Value::from_toml(value).map(|value| self.$name = Some(value))),)+
                    $(stringify!($bare) => Some(Value::from_toml(value).map(|value| self.$bare = Some(value))),)+
                    _ => None,
                }
            }

            /// What `self` says, and what `lower` says of the rest.
            #[must_use]
            pub fn or(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)+ $($bare: self.$bare.or(lower.$bare),)+ }
            }

            /// What was said, and the defaults for the rest.
            ///
            /// # Errors
            /// None in a build whose tests pass: where a default is not a value of its key.
            pub fn resolve(self) -> Result<Config, ConfigError> {
                Ok(Config {
                    $($name: match self.$name {
                        Some(value) => value,
                        None => Value::from_text($default)
                            .map_err(|problem| ConfigError(format!("{}: {problem}", stringify!($name))))?,
                    },)+
                    $($bare: self.$bare,)+
                })
            }
        }
    };
    (@name $name:ident at_start) => { stringify!($name) };
}

// `at_start`: the key is looked at when the server starts, and SIGHUP does not change it.
keys! {
    /// Where to listen; port 0 takes a free one; unix:PATH with the tiny_http front
    listen: Listen = "127.0.0.1:8080" at_start;
    /// What speaks HTTP: guarded can face a network, tiny_http only stands behind a proxy on this machine
    front: Front = "guarded" at_start;
    /// Threads that answer requests; 0 = one more than there are processors, 64 with the tiny_http front, whose threads wait for the disk
    workers: Count<0, 1024> = "0" at_start;
    /// Connections at once
    connections: Count<1, 65536> = "1024" at_start;
    /// Connections at once from one address, loopback and trusted proxies apart; 0 = no such limit
    connections_per_address: Count<0, 65536> = "64" at_start;
    /// The longest request line in bytes
    request_line_bytes: Count<256, 65536> = "8192" at_start;
    /// The longest head of a request in bytes
    head_bytes: Count<512, 262_144> = "16384" at_start;
    /// The most header fields
    headers: Count<1, 64> = "64" at_start;
    /// The longest body in bytes
    body_bytes: Count<256, 65536> = "65536" at_start;
    /// For a whole request to arrive
    request_time: Deadline = "10s" at_start;
    /// Without a request until the connection is closed
    idle_time: Deadline = "15s" at_start;
    /// For the peer to take an answer
    answer_time: Deadline = "10s" at_start;
    /// For requests in flight when asked to stop
    drain_time: Deadline = "10s" at_start;
    /// Hosts that an absolute-form request may name, beside the issuer's and the address listened on
    hosts: List<Authority> = "" at_start;
    /// Proxies whose X-Forwarded-For is believed
    trusted_proxies: List<Network> = "";
    /// Failures a minute that one address may have, then 429; 0 = no such limit
    failures_per_minute: Count<0, 1_000_000> = "30";
    /// Whether loopback addresses are free of the failure limit
    exempt_loopback: bool = "true";
    /// Whether trusted proxies themselves are free of the failure limit
    exempt_trusted_proxies: bool = "true";
    /// Life of a person's access token
    user_token_lifetime: TokenLifetime = "30m";
    /// Life of a service's access token
    client_token_lifetime: TokenLifetime = "1h";
    /// Life of a ticket that asks for none
    ticket_lifetime: TicketLifetime = "5m";
    /// Life of a session, refreshed or not
    session_lifetime: SessionLifetime = "30d";
    /// Life of a session that is not refreshed
    refresh_lifetime: SessionLifetime = "14d";
    /// How long a used refresh token brings the same successor again, for a lost answer; 0s = not at all
    refresh_grace: Span<0, 300_000> = "10s";
    /// How long a request with an Idempotency-Key that redeemed a ticket or answered a challenge gets the same answer again; 0s = not at all
    redeem_grace: Span<0, 600_000> = "60s";
    /// Life of a session in which an administrator acts as a person
    impersonation_lifetime: Span<1_000, 86_400_000> = "30m";
    /// The scope of a person's token where the ticket names none
    user_scope: UserScope = "profile";
    /// When a sign-in waits for a second factor, of those who have one
    second_factor: AskFactor = "risk";
    /// The same of an administrator who acts as a person
    second_factor_impersonation: AskFactor = "always";
    /// What becomes of those who should show a second factor and have none: enrol is a token for that alone
    second_factor_unenrolled: Unenrolled = "sign_in";
    /// A ticket redeemed at another address than its client_ip is refused, or only suspected
    address_mismatch: AddressMismatch = "refuse";
    /// The score from which on a second factor is asked for
    risk_second_factor: Count<1, 100> = "40";
    /// The score from which on a risk is medium
    risk_medium: Count<1, 100> = "30";
    /// The score from which on a risk is high
    risk_high: Count<1, 100> = "60";
    /// What a device weighs that the person has not signed in from
    risk_new_device: Count<0, 100> = "40";
    /// What it weighs beside that the whole network is such a one
    risk_new_network: Count<0, 100> = "15";
    /// What a ticket weighs that is redeemed late
    risk_old_ticket: Count<0, 100> = "10";
    /// What it weighs that a ticket is redeemed at another address than its client_ip
    risk_address_mismatch: Count<0, 100> = "30";
    /// What it weighs that the person was refused several times lately
    risk_recent_failures: Count<0, 100> = "25";
    /// What a long absence weighs
    risk_long_absence: Count<0, 100> = "15";
    /// What an hour of the day weighs at which the person never signs in
    risk_unusual_hour: Count<0, 100> = "10";
    /// What it weighs that somebody acts as somebody else
    risk_impersonation: Count<0, 100> = "30";
    /// What it weighs that the account was changed lately
    risk_account_changed: Count<0, 100> = "15";
    /// A ticket is redeemed late after so much of its life, in per cent
    risk_old_ticket_percent: Count<1, 100> = "80";
    /// So many failures are several
    risk_failures: Count<1, 20> = "3";
    /// How long a failure counts
    risk_failure_window: Risked = "15m";
    /// From how long on an absence is long
    risk_absence_after: Risked = "90d";
    /// How long a place is known that the person was not seen at
    risk_place_life: Risked = "180d";
    /// After how many sign-ins a person's hours are known
    risk_hours_known_after: Count<1, 10_000> = "20";
    /// How long a change of the account counts
    risk_change_window: Risked = "1d";
    /// The fewest characters of a new password
    password_length: Count<8, 128> = "8";
    /// Life of a password; 0s = for ever
    password_life: PasswordSpan = "0s";
    /// How long before its end it is said
    password_warning: PasswordSpan = "14d";
    /// How long after its end a password still signs in
    password_grace: PasswordSpan = "7d";
    /// Passwords hashed at once, at 19 MiB each
    password_hashes: Count<1, 64> = "1" at_start;
    /// The hash of new TOTP devices
    totp_hash: TotpHash = "SHA1";
    /// The digits of new TOTP devices' codes
    totp_digits: TotpDigits = "6";
    /// The longest time from a change to its state generation in the witness; more for media that wear
    witness_interval: Span<100, 3_600_000> = "1s" at_start;
    /// Between two sweeps of old rows
    sweep_interval: Span<1_000, 86_400_000> = "1m" at_start;
    /// Archived audit rows are deleted after so long; 0s = never, and never what `gatepass audit archive` has not written
    audit_retention: PasswordSpan = "0s";
    /// What log lines look like: auto is text on a terminal and JSON otherwise
    log_format: LogFormat = "auto" at_start;
    /// The least important log lines written
    log_level: LogLevel = "info" at_start;
    ---
    /// What tokens name as their issuer [default: http:// and the address listened on]
    issuer: Issuer;
    /// The one tenant served; a ticket for another is refused
    tenant: Tenant;
    /// The master key [default: master.key in the data directory]
    master_key_file: PathBuf, at_start;
    /// The witness, best on another disk than the database [default: gatepass.witness in the data directory]
    witness_file: PathBuf, at_start;
}
