//! The contents of an empty data directory: a key that signs, and a client that issues tickets.

use std::io::{self, IsTerminal, Write};

use gatepass_core::admin::clients::{AddClient, ClientWithSecret, ListClients};
use gatepass_core::admin::keys::{AddFirstKey, ListKeys};
use gatepass_core::admin::{AdminError, ClientFields};
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::store::page::PageQuery;
use zeroize::Zeroizing;

use crate::error::{OperationError, ProgramError};
use crate::secrets::key_generation::generate;
use crate::store::AdminSession;

/// The client that was made, with its secret.
#[derive(Debug)]
pub struct FirstClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret, to be shown once.
    pub secret: Zeroizing<String>,
}

/// The scope of the first client.
const ADMIN_SCOPE: &str = "ticket:issue ticket:impersonate profile";

/// Makes what is missing. A directory that was used before stays as it is, so a deleted client does not come back. But
/// without any client nobody could request anything, so then there is one again.
///
/// # Errors
/// If the key or the client cannot be made or written.
pub fn prepare(admin: &AdminSession) -> Result<Option<FirstClient>, ProgramError> {
    let keys = admin.run(ListKeys)?;
    if keys.is_empty() {
        let mut stderr = io::stderr();
        if stderr.is_terminal() {
            // A closed stderr cannot be reported.
            let _ = writeln!(stderr, "gatepass: making a signing key (RS256, 2048 bits) …");
        }
        let key = generate(Algorithm::Rs256)?;
        // If another server on the same directory was first, its key signs.
        if let Some(added) = admin.run(AddFirstKey { key })? {
            tracing::info!(kid = added.id, "made a signing key");
        }
    } else if keys.iter().all(|key| key.state != KeyState::Signing) {
        tracing::warn!("no key signs, so no token can be issued: run `gatepass key rotate`");
    }
    if !admin.run(ListClients { page: PageQuery::new(None, 1) })?.items.is_empty() {
        return Ok(None);
    }
    first_client(admin)
}

fn first_client(admin: &AdminSession) -> Result<Option<FirstClient>, ProgramError> {
    let scope = Scope::parse(ADMIN_SCOPE).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let fields = ClientFields::default().scope(scope)?;
    match admin.run(AddClient::new(ClientId::admin(), fields, None)?) {
        Ok(ClientWithSecret { client, secret }) => Ok(secret
            .map(|secret| FirstClient { id: client.id, secret: Zeroizing::new(secret.expose().to_owned()) })),
        // Another server on the same directory was first, and has shown the secret.
        Err(OperationError::Refused(AdminError::AlreadyExists(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
