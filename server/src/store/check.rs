//! The check of an installation, whatever engine keeps its records.

use gatepass_core::records::signing_key::KeyState;

use super::sqlite::{self, Installation, Report, StoreOptions};
use super::{Access, Create, open};

/// Checks an installation. Takes time in proportion to its size.
pub fn check(installation: &Installation) -> Report {
    if installation.server.is_none() {
        return sqlite::check(installation);
    }
    let mut report = Report::default();
    if !report.files_beside_a_server(installation) {
        return report;
    }
    let store = match open(installation, Access::Read, Create::No, &StoreOptions::default()) {
        Ok(store) => store,
        Err(error) => {
            report.store_error(&error);
            return report;
        }
    };
    match store.keys() {
        Ok(stored) => {
            let signing = stored.keys.iter().filter(|key| key.record.state == KeyState::Signing).count();
            report.keys_found(stored.keys.len(), signing);
        }
        Err(error) => report.store_error(&error),
    }
    match store.verify_audit() {
        Ok(verdict) => report.chain_followed(verdict),
        Err(error) => report.store_error(&error),
    }
    report.clock(&*store);
    if let Err(error) = store.close() {
        report.store_error(&error);
    }
    report
}
