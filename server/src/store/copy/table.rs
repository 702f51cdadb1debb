//! The tables that are copied: their names, columns and keys, which are the same in every engine.

use crate::store::rows::columns;

macro_rules! copied {
    ($($table:ident: $name:literal ($columns:expr) by $key:literal;)+) => {
        /// A table that is copied.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(in crate::store) enum CopiedTable {
            $($table),+
        }

        impl CopiedTable {
            /// Every one of them but the audit rows, in an order in which a row comes after those that it names.
            pub(in crate::store) const ALL: &[Self] = &[$(Self::$table),+];

            /// Returns its name.
            pub(in crate::store) const fn name(self) -> &'static str {
                match self {
                    $(Self::$table => $name),+
                }
            }

            /// Returns its columns.
            pub(in crate::store) const fn columns(self) -> &'static str {
                match self {
                    $(Self::$table => $columns),+
                }
            }

            /// Returns the columns of the order in which both stores are compared.
            pub(in crate::store) const fn key(self) -> &'static str {
                match self {
                    $(Self::$table => $key),+
                }
            }
        }
    };
}

copied! {
    Meta: "meta" ("generation, state_epoch, clock_mark, clock_resets, clock_jumped_at, clock_ahead_since, installation, audit_key, \
        master_key_id, master_check, identifier_rules, numbering_plan") by "id";
    Users: "users" (columns!(users)) by "id";
    Identifiers: "identifiers" ("user_id, kind, canonical") by "user_id, kind";
    DeletedUsers: "deleted_users" ("user_id") by "user_id";
    Clients: "clients" (columns!(clients)) by "id";
    ClientSecrets: "client_secrets" (concat!("client_id, position, ", columns!(client_secrets))) by "client_id, position";
    Tickets: "tickets" (columns!(tickets)) by "id";
    Sessions: "sessions" (columns!(sessions)) by "id";
    RefreshTokens: "refresh_tokens" (columns!(refresh_tokens)) by "digest";
    RevokedTokens: "revoked_tokens" ("token_id, expires_at") by "token_id";
    UsedAssertions: "used_assertions" ("digest, expires_at") by "digest";
    Challenges: "challenges" (columns!(challenges)) by "digest";
    TotpDevices: "totp_devices" (columns!(totp_devices)) by "seq";
    BackupCodes: "backup_codes" ("user_id, digest, device") by "user_id, digest";
    FactorGuesses: "factor_guesses" (columns!(factor_guesses)) by "user_id";
    Passwords: "passwords" (columns!(passwords)) by "user_id";
    Habits: "habits" (columns!(habits)) by "user_id";
    Keys: "keys" (concat!(columns!(keys), ", sealed")) by "seq";
}

impl CopiedTable {
    /// Returns the names of its columns.
    pub(in crate::store) fn names(self) -> impl Iterator<Item = &'static str> + Clone {
        self.columns().split(',').map(str::trim)
    }
}
