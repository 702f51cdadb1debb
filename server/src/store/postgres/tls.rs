//! Connections that are encrypted, to a server whose certificate and name are verified.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

#[cfg(feature = "aws-lc")]
use rustls::crypto::aws_lc_rs as backend;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use rustls::crypto::ring as backend;

/// Returns what encrypts connections, with the root certificates in a file.
///
/// # Errors
/// The fault of the file.
pub(super) fn verified_by(file: &Path) -> Result<MakeRustlsConnect, String> {
    let told = |problem: &dyn std::fmt::Display| format!("sslrootcert {}: {problem}", file.display());
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| told(&error))? {
        let certificate = certificate.map_err(|error| told(&error))?;
        roots.add(certificate).map_err(|error| told(&error))?;
    }
    if roots.is_empty() {
        return Err(told(&"there is no certificate in it; it has to be a PEM file"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(backend::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| told(&error))?;
    Ok(MakeRustlsConnect::new(config.with_root_certificates(roots).with_no_client_auth()))
}
