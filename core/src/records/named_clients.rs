//! The clients that a ticket, a challenge or a session rests on, as it names them.

use crate::records::client::ClientRef;
use crate::records::id::ClientId;

/// The client that something is for, and the one that issued it.
#[derive(Clone, Copy, Debug)]
pub struct NamedClients<'a> {
    id: &'a ClientId,
    epoch: Option<u64>,
    issuer: Option<&'a ClientRef>,
}

impl<'a> NamedClients<'a> {
    /// Something for the client `id` of this epoch, issued by `issuer`. Without an epoch it rests on no record of that name.
    pub(crate) const fn new(id: &'a ClientId, epoch: Option<u64>, issuer: Option<&'a ClientRef>) -> Self {
        Self { id, epoch, issuer }
    }

    pub(crate) const fn id(self) -> &'a ClientId {
        self.id
    }

    pub(crate) const fn epoch(self) -> Option<u64> {
        self.epoch
    }

    pub(crate) const fn issuer(self) -> Option<&'a ClientRef> {
        self.issuer
    }

    /// Returns the client that it was issued by and is not for, which has to be read as well.
    pub fn other_issuer(self) -> Option<&'a ClientId> {
        self.issuer.map(|issuer| &issuer.id).filter(|id| *id != self.id)
    }
}
