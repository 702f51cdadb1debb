//! stub
#![allow(missing_docs, dead_code)]
pub mod claims {
    use super::jws::*;
    use crate::time::Time;
    use alloc::{string::String, vec::Vec};
    #[derive(Clone, Debug, PartialEq)]
    pub struct AccessClaims {
        pub iss: String,
        pub sub: String,
        pub aud: Vec<String>,
        pub exp: Time,
        pub iat: Time,
        pub nbf: Option<Time>,
        pub jti: String,
        pub client_id: String,
        pub scope: Option<String>,
        pub auth_time: Option<Time>,
        pub amr: Option<Vec<String>>,
        pub sid: Option<String>,
        pub act: Option<String>,
    }
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ClaimError;
    impl core::fmt::Display for ClaimError {
        fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            Ok(())
        }
    }
    impl AccessClaims {
        pub fn parse(_v: &VerifiedJws) -> Result<Self, ClaimError> {
            Err(ClaimError)
        }
        pub fn check(&self, _i: &str, _n: Time) -> Result<(), ClaimError> {
            Err(ClaimError)
        }
        pub fn to_json(&self) -> Vec<u8> {
            Vec::new()
        }
    }
    pub struct UnverifiedClaims {
        pub sub: String,
        pub sid: Option<String>,
        pub client_id: String,
        pub act: Option<String>,
    }
    impl UnverifiedClaims {
        pub fn parse(_c: &Compact) -> Result<Self, ClaimError> {
            Err(ClaimError)
        }
    }
}
pub mod jws {
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct JwsError;
    impl core::fmt::Display for JwsError {
        fn fmt(&self, _f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
            Ok(())
        }
    }
    pub struct Compact;
    pub struct VerifiedJws;
    impl Compact {
        pub fn parse(_t: &str) -> Result<Self, JwsError> {
            Err(JwsError)
        }
    }
}
pub mod key {
    use super::jws::*;
    use alloc::{string::String, vec::Vec};
    pub struct SigningKey;
    pub struct VerifyingKey;
    pub struct KeySet;
    impl SigningKey {
        pub fn verifying_key(&self) -> VerifyingKey {
            VerifyingKey
        }
        pub fn sign(&self, _t: &str, _p: &[u8]) -> Result<String, JwsError> {
            Err(JwsError)
        }
    }
    impl KeySet {
        pub fn new(_v: Vec<VerifyingKey>) -> Self {
            Self
        }
        pub fn verify(&self, _c: &Compact) -> Result<VerifiedJws, JwsError> {
            Err(JwsError)
        }
        pub fn public_jwk_set(&self) -> String {
            String::new()
        }
        pub fn public_algorithms(&self) -> Vec<&'static str> {
            Vec::new()
        }
    }
}
