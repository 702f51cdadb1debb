//! JOSE, as far as a token server needs it: algorithms bound to keys (RFC 7518, RFC 8037), compact JWS (RFC 7515), JWK
//! and JWK sets (RFC 7517, RFC 7638), and the claims of access tokens (RFC 9068). RFC 8725 is kept throughout: the
//! header never chooses an algorithm, and what is not understood is refused.

pub mod claims;
#[cfg(test)]
mod examples;
pub mod import;
pub mod jwk;
pub mod jws;
pub mod key;
mod spki;
