//! The name of every change and every query. A new variant does not compile until it is listed here, and a listed one has to be
//! covered by a case.

use crate::store::change::Change;
use crate::store::query::Query;

macro_rules! names {
    ($(#[$doc:meta])* $function:ident($of:ident): $($name:ident)+) => {
        $(#[$doc])*
        pub(super) const fn $function(of: &$of) -> &'static str {
            match of { $($of::$name { .. } => stringify!($name),)+ }
        }

        impl $of {
            /// The name of every variant.
            #[doc(hidden)]
            pub const NAMES: &[&str] = &[$(stringify!($name)),+];
        }
    };
}

names! {
    /// Returns the name of a change.
    change_name(Change):
    RequireStateEpoch RequireUserEpoch RequireClientEpoch RequireAnotherOfficer RequireLiveSession
    InsertTicket SpendTicket RepeatTicket RevokeTicket
    InsertSession RotateRefresh CountRefresh RequireUnusedRefresh EndSession RaiseEpoch RevokeToken
    InsertChallenge CountWrong AnswerChallenge RepeatAnswer RequireOpenChallenge
    InsertDevice VerifyDevice UseStep DeleteDevice
    AddBackupCodes KeepBackupCodes DropBackupCodes UseBackupCode SetLockout
    RecordSignIn CountFailure SetPassword ReplacePasswordHash SetPasswordLockout SetPlaceLockout
    InsertUser UpdateUser DeleteUser InsertClient UpdateClient DeleteClient RecordSecretUse UseAssertion
    RequireSigningKey InsertKey ActivateKey StopKey RetireKey
    Audit Probe DummyWrite
}

names! {
    /// Returns the name of a query.
    query_name(Query):
    Generation Client Ticket Bearer Issue Token Sessions Challenge Factors Login Password
    User Owners Import Account Explain Session TicketById Keys UserPage ClientPage RoleHolderPage TicketPage SessionPage ByClient
    Administered
}
