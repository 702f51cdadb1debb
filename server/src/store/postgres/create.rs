//! The first start in an empty database: the master key, and the first rows.

use std::sync::Arc;

use super::connection::Connection;
use super::connector::Connector;
use super::migrate;
use crate::secrets::SecretsError;
use crate::secrets::files::make_directory;
use crate::secrets::master_key::MasterKey;
use crate::store::backend::Create;
use crate::store::error::StoreError;
use crate::store::sqlite::Installation;

/// Makes an installation in an empty database, in the transaction that is open. The master key is new, unless there is one elsewhere, or
/// one beside which `create` allows it.
pub(super) async fn create(
    connection: &Connection,
    connector: &Arc<Connector>,
    installation: &Installation,
    create: Create,
) -> Result<(), StoreError> {
    if create == Create::No {
        return Err(StoreError::EmptyDatabase(connector.address.clone()));
    }
    let (files, dir) = (&*installation.files, &installation.dir);
    make_directory(dir).map_err(|e| StoreError::file(dir, "create the data directory", &e))?;
    let contents = installation.contents()?;
    let address = || connector.address.clone();
    if contents.database.is_some() {
        return Err(StoreError::FileBesideEmptyDatabase {
            file: installation.database(),
            address: address(),
        });
    }
    if contents.master_key && !contents.starting && create != Create::BesideKey {
        return Err(StoreError::KeyBesideEmptyDatabase {
            key: installation.master_key(),
            address: address(),
        });
    }
    installation.mark_first_start()?;
    let path = installation.master_key();
    let (master, is_new) = match MasterKey::read(files, &path) {
        Err(SecretsError::Missing(_)) if installation.master_key_file.is_none() => {
            (MasterKey::create(files, &path)?, true)
        }
        read => (read?, false),
    };
    let made = migrate::make(connection, connector, &master).await;
    if made.is_err() {
        // Nothing was written, so that nothing rests on the key. If it cannot be removed, the mark lets the next start use it.
        let removed = !is_new || files.remove(&path).is_ok();
        let _ = removed.then(|| installation.end_first_start());
    }
    made
}
