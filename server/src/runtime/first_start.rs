//! The contents of an empty data directory: a key that signs, and a client that issues tickets.

use std::io::{self, IsTerminal, Write};
use std::path::{PathBuf, absolute};

use gatepass_core::admin::client_secrets::{AddSecret, AddedSecret, ClientWithSecret, FormerSecrets};
use gatepass_core::admin::clients::{AddClient, ClientFilter, ListClients};
use gatepass_core::admin::keys::{AddFirstKey, ListKeys};
use gatepass_core::admin::{AdminError, ClientFields};
use gatepass_core::base::secret::SecretText;
use gatepass_core::crypto::algorithm::Algorithm;
use gatepass_core::records::id::ClientId;
use gatepass_core::records::scope::Scope;
use gatepass_core::records::signing_key::KeyState;
use gatepass_core::store::page::PageQuery;
use zeroize::Zeroizing;

use crate::error::{OperationError, ProgramError};
use crate::output::{Output, Record};
use crate::secrets::key_generation::generate;
use crate::store::{AdminSession, Installation};

/// The client that was made, with its secret.
#[derive(Debug)]
pub struct FirstClient {
    /// Its id.
    pub id: ClientId,
    /// Its secret, to be shown once.
    pub secret: Zeroizing<String>,
}

impl FirstClient {
    fn new(id: ClientId, secret: &SecretText) -> Self {
        Self { id, secret: Zeroizing::new(secret.expose().to_owned()) }
    }

    /// Shows the secret: on a terminal it is printed. Everywhere else it goes to a file, because output is collected in
    /// journals. Returns the file.
    pub fn show(&self, out: Output, installation: &Installation) -> Option<PathBuf> {
        let dir = absolute(&installation.dir).unwrap_or_else(|_| installation.dir.clone());
        let begun = out.say(&format!("First start: everything is in {}.", dir.display()));
        if begun.is_ok() && !out.json && io::stdout().is_terminal() {
            let shown =
                Record::new().with("client_id", self.id.as_str()).with("client_secret", self.secret.as_str());
            if out.say("\nThe client that issues tickets, its secret shown this once:\n").is_ok()
                && out.once(&shown).is_ok()
            {
                let _ = out.say("");
                if let Err(error) = installation.forget_first_secret() {
                    tracing::warn!(%error, "the next start will make another secret of the first client");
                }
                return None;
            }
        }
        self.keep(installation)
    }

    /// Keeps the secret in a file, which the log names.
    fn keep(&self, installation: &Installation) -> Option<PathBuf> {
        let client = self.id.as_str();
        let line = Zeroizing::new(format!("{}\n", *self.secret));
        match installation.keep_first_secret(&line) {
            Ok(file) => {
                let shown = file.display();
                tracing::warn!(client, file = %shown, "the first client's secret is in this file: take it over, and remove the file");
                Some(file)
            }
            Err(error) => {
                tracing::error!(%error, client, "the first client's secret is lost: `gatepass client rotate-secret admin` makes another");
                None
            }
        }
    }
}

/// The scope of the first client.
const ADMIN_SCOPE: &str = "ticket:issue ticket:impersonate profile";

/// Makes what is missing. A directory that was used before stays as it is, so a deleted client does not come back. But
/// without any client nobody could request anything, so then there is one again. If a first start was interrupted before
/// the client's secret was told, the client gets another.
///
/// # Errors
/// If the key or the client cannot be made or written.
pub fn prepare(
    admin: &AdminSession,
    installation: &Installation,
) -> Result<Option<FirstClient>, ProgramError> {
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
    } else if keys.iter().all(|listed| listed.key.state != KeyState::Signing) {
        tracing::warn!("no key signs, so no token can be issued: run `gatepass key rotate`");
    }
    if admin
        .run(ListClients { page: PageQuery::new(None, 1), filter: ClientFilter::default() })?
        .items
        .is_empty()
    {
        installation.await_first_secret()?;
        return first_client(admin, installation);
    }
    if installation.awaits_first_secret() { another_secret(admin, installation) } else { Ok(None) }
}

/// Gives the first client another secret. The one before stays good: another server may be about to show it.
fn another_secret(
    admin: &AdminSession,
    installation: &Installation,
) -> Result<Option<FirstClient>, ProgramError> {
    let former = FormerSecrets::OldestGivesWay;
    match admin.run(AddSecret { client: ClientId::admin(), former, lifetime: None, secret: None }) {
        Ok(AddedSecret { client, secret, .. }) => {
            Ok(secret.map(|secret| FirstClient::new(client.id, &secret)))
        }
        Err(OperationError::Refused(AdminError::NotFound(_))) => {
            installation.forget_first_secret()?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn first_client(
    admin: &AdminSession,
    installation: &Installation,
) -> Result<Option<FirstClient>, ProgramError> {
    let scope = Scope::parse(ADMIN_SCOPE).map_err(|bad| ProgramError::failed(bad.to_string()))?;
    let fields = ClientFields::default().scope(scope)?;
    match admin.run(AddClient::new(ClientId::admin(), fields, None)?) {
        Ok(ClientWithSecret { client, secret }) => {
            Ok(secret.map(|secret| FirstClient::new(client.id, &secret)))
        }
        // Another server on the same directory was first. It has shown the secret, unless this one has emptied its file.
        Err(OperationError::Refused(AdminError::AlreadyExists(_))) if installation.awaits_first_secret() => {
            another_secret(admin, installation)
        }
        Err(OperationError::Refused(AdminError::AlreadyExists(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
