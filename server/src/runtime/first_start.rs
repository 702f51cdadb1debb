//! What an empty data directory is given: a key that signs, and a client that issues tickets.

use std::io::{self, IsTerminal, Write};

use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::scope::Scope;
use zeroize::Zeroizing;

use crate::cli::{client, key, secret};
use crate::error::ProgramError;
use crate::store::AdminSession;
use crate::store::KeyState;

/// The client that was made, with its secret.
#[derive(Debug)]
pub struct FirstClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret, to be shown once.
    pub secret: Zeroizing<String>,
}

/// What the first client may ask for.
const ADMIN_SCOPE: &str = "ticket:issue ticket:impersonate profile";

/// Makes whatever is missing. A directory that was used before is left as it is, so a client that was deleted
/// does not come back; but where there is no client at all, nobody could ask for anything, and there is one again.
///
/// # Errors
/// Where the key or the client cannot be made or written.
pub fn prepare(admin: &AdminSession) -> Result<Option<FirstClient>, ProgramError> {
    let keys = admin.store.keys()?.keys;
    if keys.is_empty() {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // A closed stderr has nobody to tell.
            let _ = writeln!(stderr, "gatepass: making a signing key (RS256, 2048 bits) …");
        }
        let made = key::generate(Algorithm::Rs256)?;
        key::insert(&*admin.store, &made, true, admin.now)?;
        tracing::info!(kid = made.key_id(), "made a signing key");
    } else if keys.iter().all(|key| key.state != KeyState::Signing) {
        tracing::warn!("no key signs, so no token can be issued: run `gatepass key rotate`");
    }
    if admin.store.has_clients()? {
        return Ok(None);
    }
    first_client(admin)
}

fn first_client(admin: &AdminSession) -> Result<Option<FirstClient>, ProgramError> {
    let secret = secret::generate()?;
    let scope = Scope::parse(ADMIN_SCOPE).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let mut first_client = client::blank(ClientId::admin(), scope, admin.now)?;
    first_client.secrets.push(secret::kept(&secret, admin.now));
    let id = first_client.id.clone();
    // Where another server on the same directory was first, it has shown the secret.
    let made = admin.try_commit(client::added(first_client, admin.now))?;
    Ok(made.then_some(FirstClient { id, secret }))
}
