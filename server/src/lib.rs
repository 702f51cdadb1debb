//! The server's parts.
pub mod keygen;
