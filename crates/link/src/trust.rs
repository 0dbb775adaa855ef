//! Which server a dispatcher believes to be its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use basalt_model::Sha256;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::Digest;

/// Which server certificate is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the host's certificate authorities.
    #[default]
    System,
    /// Those of the authorities in a PEM file.
    Authorities(PathBuf),
    /// Exactly this one: the SHA-256 of its DER. Its names and dates do not matter.
    Pin(Sha256),
}

/// Nothing can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The host has no certificate authorities.
    #[error("this host has no certificate authorities: {errors}")]
    NoRoots {
        /// What was tried.
        errors: String,
    },
    /// The file with authorities.
    #[error("cannot read certificates from {path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// No TLS version suits the cryptography: a bug.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

impl Trust {
    /// How TLS is spoken to such a server.
    ///
    /// # Errors
    /// Files of certificates that cannot be read, or none.
    pub fn client_config(&self) -> Result<ClientConfig, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match self {
            Self::System => builder.with_root_certificates(system_roots()?),
            Self::Authorities(path) => builder.with_root_certificates(read_roots(path)?),
            Self::Pin(fingerprint) => {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(Pinned {
                        fingerprint: *fingerprint,
                        provider,
                    }))
            }
        };
        Ok(builder.with_no_client_auth())
    }
}

fn system_roots() -> Result<RootCertStore, TrustError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Hosts keep a few certificates that nobody can parse; the others count.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let errors: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let errors = errors.join("; ");
        return Err(TrustError::NoRoots { errors });
    }
    Ok(roots)
}

fn read_roots(path: &Path) -> Result<RootCertStore, TrustError> {
    let failed = |message: String| TrustError::File {
        path: path.to_owned(),
        message,
    };
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| failed(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(failed("there is no certificate in it".to_owned())),
        false => Ok(roots),
    }
}

/// The fingerprint that [`Trust::Pin`] asks for.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Sha256 {
    Sha256(sha2::Sha256::digest(certificate.as_ref()).into())
}

/// Believes one certificate. That the server has its key is proven by the handshake's signature,
/// which is checked as ever.
#[derive(Debug)]
struct Pinned {
    fingerprint: Sha256,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = fingerprint(end_entity);
        if found == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(rustls::Error::General(format!(
            "the server shows another certificate ({found}) than the one that is pinned ({})",
            self.fingerprint
        )))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
