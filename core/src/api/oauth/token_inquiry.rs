//! The request of RFC 7662 §2.1 and of RFC 7009 §2.1, which are one: a client presents a token of either kind.

use alloc::boxed::Box;

use crate::api::bearer::Presented;
use crate::api::endpoint::{Basis, Call};
use crate::api::oauth::client_auth::{ClientForm, authenticated, claim_of_caller, credentials, posted_form};
use crate::api::reply::Reply;
use crate::http::shape::{ReadForm, form};
use crate::records::client_assertion::ClientAssertion;
use crate::records::client_credentials::{ClientClaim, ClientCredentials};
use crate::records::id::ClientId;
use crate::records::session::RefreshDigest;
use crate::store::query::{Query, Records, TokenQuery, TokenRecords};

/// A token of either kind, presented by a client that says who it is.
#[derive(Debug)]
#[cfg_attr(feature = "unsound-cloneable-flows", derive(Clone, PartialEq))]
pub(crate) struct TokenInquiry {
    credentials: ClientCredentials,
    /// The token as an access token, if it may be one.
    pub(super) access: Option<Presented>,
    /// The token as a refresh token, if it may be one.
    pub(super) refresh: Option<RefreshDigest>,
}

form! {
    /// A token to be told about, or to be given up.
    pub(super) struct TokenInquiryForm<'a> {
        /// The access token or the refresh token.
        token: &'a str = "rft_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        /// The kind of the token. It is not needed, and may be wrong.
        token_type_hint: Option<&'a str>,
        ..client: ClientForm<'a>,
    }
}

impl TokenInquiry {
    /// Reads the form. `token_type_hint` may be wrong and is not needed.
    pub(super) fn parse(call: &Call<'_>) -> Result<Self, Reply> {
        let form = posted_form(call.request)?;
        let credentials = credentials(call, &ClientForm::of_form(&form)?)?;
        let TokenInquiryForm { token, .. } = TokenInquiryForm::of_form(&form)?;
        Ok(Self { credentials, refresh: RefreshDigest::read(token), access: Presented::read(token) })
    }

    pub(super) fn query(&self) -> Query {
        Query::Token(TokenQuery {
            caller: Some(self.credentials.id.clone()),
            access: self.access.as_ref().map(|access| access.query().clone()),
            refresh: self.refresh,
            assertion: self.credentials.assertion().map(ClientAssertion::digest),
        })
    }

    /// Returns the credentials of the client that asks.
    pub(super) fn client<'a>(&'a self, records: &'a Records) -> Option<ClientClaim<'a>> {
        let Records::Token(records) = records else { return None };
        Some(claim_of_caller(&self.credentials, records))
    }

    /// Returns the client that asks, which has to prove it, and what was read of the token.
    pub(super) fn authenticate(
        &self,
        basis: &Basis<'_>,
        records: Records,
    ) -> Result<(ClientId, Box<TokenRecords>), Reply> {
        let Records::Token(records) = records else { return Err(basis.ctx.internal()) };
        let caller = authenticated(basis, &self.credentials, records.caller.as_ref())?.client().id.clone();
        Ok((caller, records))
    }
}
