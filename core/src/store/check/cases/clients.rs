//! Clients.

use crate::base::time::Time;
use crate::records::client::{Client, SecretDigest, UsedSecret};
use crate::records::client_assertion::UsedAssertion;
use crate::store::change::Change;
use crate::store::check::case::{Case, Entry};
use crate::store::check::sample::{NOW, Sample};

fn require(s: &Sample, client: &str, above: u64) -> Change {
    let epoch = s.client(client).epoch.saturating_add(above);
    Change::RequireClientEpoch { id: s.client_id(client), epoch }
}

fn delete(s: &Sample) -> Change {
    Change::DeleteClient(s.client_id("portal"))
}

/// The use of a secret of the portal that has every member set.
fn used(s: &Sample, secret: &str, at: Time) -> Change {
    let digest = SecretDigest::of(secret);
    Change::RecordSecretUse(UsedSecret { client: s.client_id("portal"), digest, at })
}

pub(super) const CASES: &[Entry] = &[
    ("a client is inserted", |s| Case::applies([delete(s)], [Change::InsertClient(s.portal_in_full())])),
    ("a client is inserted whose id is taken", |s| {
        Case::conflicts([], [Change::InsertClient(s.client("portal"))])
    }),
    ("a client is updated, with its secrets", |s| {
        Case::applies([], [Change::UpdateClient(s.portal_in_full())])
    }),
    ("a client is disabled, and has no secret any more", |s| {
        let mut portal = Client { revision: 1, secrets: [].into(), ..s.portal_in_full() };
        portal.disable();
        Case::applies([Change::UpdateClient(s.portal_in_full())], [Change::UpdateClient(portal)])
    }),
    ("a client is updated, though the record was updated since", |s| {
        Case::conflicts(
            [Change::UpdateClient(s.portal_in_full())],
            [Change::UpdateClient(s.client("portal"))],
        )
    }),
    ("a client that is not there is updated", |s| {
        Case::conflicts([], [Change::UpdateClient(s.client("nobody"))])
    }),
    ("a secret is used for the first time, and the revision stays", |s| {
        Case::applies(
            [Change::UpdateClient(s.portal_in_full())],
            [used(s, "one", NOW.plus(9)), Change::UpdateClient(Client { revision: 1, ..s.portal_in_full() })],
        )
    }),
    ("secrets are used once more", |s| {
        let uses = [used(s, "two", NOW.plus(8)), used(s, "one", NOW.plus(9)), used(s, "one", NOW.plus(10))];
        Case::applies([Change::UpdateClient(s.portal_in_full())], uses)
    }),
    ("the use of a secret is older than its last", |s| {
        Case::applies([Change::UpdateClient(s.portal_in_full())], [used(s, "two", NOW.plus(6))])
    }),
    ("a secret is used that is not there", |s| Case::applies([], [used(s, "one", NOW)])),
    ("a secret of a client that is not there is used", |s| Case::applies([delete(s)], [used(s, "one", NOW)])),
    ("an assertion is used", |s| Case::applies([], [s.use_assertion(1), s.use_assertion(2)])),
    ("an assertion is used again", |s| Case::conflicts([s.use_assertion(1)], [s.use_assertion(1)])),
    ("an assertion is used again that expires at another time", |s| {
        let Change::UseAssertion(used) = s.use_assertion(1) else { return Case::reads([]) };
        let later = UsedAssertion { expires_at: NOW.plus(120), ..used };
        Case::conflicts([s.use_assertion(1)], [Change::UseAssertion(later)])
    }),
    ("a client is deleted", |s| Case::applies([s.issue(1), s.begin(1)], [delete(s)])),
    ("a client that is not there is deleted", |s| {
        Case::conflicts([], [Change::DeleteClient(s.client_id("nobody"))])
    }),
    ("a client is enabled and of the epoch", |s| Case::applies([], [require(s, "portal", 0)])),
    ("a disabled client is enabled", |s| {
        let disabled = Client { enabled: false, ..s.client("portal") };
        Case::conflicts([Change::UpdateClient(disabled)], [require(s, "portal", 0)])
    }),
    ("a client that is not there is enabled", |s| Case::conflicts([], [require(s, "nobody", 0)])),
    ("a client is of another epoch than its own", |s| Case::conflicts([], [require(s, "portal", 1)])),
];
