//! The server's certificate.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use basalt_model::Sha256;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::Digest;

use super::listening;
use crate::configuration::Tls;
use crate::exit::refused;

/// What a server that signed its own certificate keeps in its directory: key and certificate in
/// one file, so that there is never one without the other.
const OWN: &str = "tls.pem";

/// How a server speaks TLS.
#[derive(Debug)]
pub struct Spoken {
    /// For the listeners.
    pub config: Arc<rustls::ServerConfig>,
    /// SHA-256 of a certificate that only its digest makes trustworthy.
    pub own: Option<Sha256>,
}

/// Reads, or makes, what the server needs; `None` where it speaks no TLS itself.
pub fn load(
    tls: &Tls,
    directory: &Path,
    addresses: impl IntoIterator<Item = IpAddr>,
) -> anyhow::Result<Option<Spoken>> {
    match tls {
        Tls::Off | Tls::Proxy => Ok(None),
        Tls::Files { certificate, key } => {
            let config = config(certificate, key)?.0;
            Ok(Some(Spoken { config, own: None }))
        }
        Tls::SelfSigned => {
            let path = directory.join(OWN);
            if !path.exists() {
                make(&path, addresses)?;
            }
            let (config, certificate) = config(&path, &path)?;
            let own = Sha256(sha2::Sha256::digest(certificate.as_ref()).into());
            Ok(Some(Spoken {
                config,
                own: Some(own),
            }))
        }
    }
}

fn config(
    certificate: &Path,
    key: &Path,
) -> anyhow::Result<(Arc<rustls::ServerConfig>, CertificateDer<'static>)> {
    let unreadable = |path: &Path, why: String| {
        refused(format!(
            "cannot read {} from {}: {why}",
            if path == key { "a key" } else { "certificates" },
            path.display()
        ))
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error.to_string()))?;
    let first = chain
        .first()
        .cloned()
        .ok_or_else(|| unreadable(certificate, "there is none in it".into()))?;
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error.to_string()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|error| {
            refused(format!(
                "{} and {} do not go together: {error}",
                certificate.display(),
                key.display()
            ))
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((Arc::new(config), first))
}

/// Makes a key and a certificate for the names of this host. Whoever comes by another name knows it
/// by its digest.
fn make(path: &Path, addresses: impl IntoIterator<Item = IpAddr>) -> anyhow::Result<()> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.extend(listening::host_name());
    let own = addresses.into_iter().filter(|one| !one.is_unspecified());
    names.extend(own.map(|address| address.to_string()));
    names.sort();
    names.dedup();
    let key = rcgen::KeyPair::generate().context("cannot make a key")?;
    let mut parameters =
        rcgen::CertificateParams::new(names).context("cannot make a certificate")?;
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters
        .distinguished_name
        .push(rcgen::DnType::CommonName, "basalt");
    let certificate = parameters
        .self_signed(&key)
        .context("cannot sign the certificate")?;
    let text = format!("{}{}", key.serialize_pem(), certificate.pem());
    let failed = || format!("cannot write {}", path.display());
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&new, path))
        .with_context(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_server_signs_its_certificate_once_and_its_key_is_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let load = || {
            let addresses = ["10.0.0.1".parse().unwrap()];
            super::load(&Tls::SelfSigned, directory.path(), addresses)
                .unwrap()
                .unwrap()
        };
        let first = load().own.unwrap();
        assert_eq!(load().own, Some(first));
        let mode = std::fs::metadata(directory.path().join(OWN))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn files_that_are_none_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = directory.path().join("server.pem");
        let key = directory.path().join("server.key");
        std::fs::write(&certificate, "nothing\n").unwrap();
        let tls = Tls::Files {
            certificate: certificate.clone(),
            key,
        };
        let error = super::load(&tls, directory.path(), []).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("server.pem: there is none in it"),
            "{error}"
        );
    }
}
