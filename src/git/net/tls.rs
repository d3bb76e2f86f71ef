//! Says whom TLS trusts: the system's authorities, and those that a file adds.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Fault;
use super::wire::Client;

/// Trust and client certificate for connections to come.
pub(super) fn config(ca: Option<&str>, client: Option<&Client>) -> Result<Arc<ClientConfig>, Fault> {
    let unusable = |what: &str, why: String| Fault::Unusable { what: what.to_owned(), why };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = ca {
        let what = "the certificate authorities";
        for certificate in chain(pem, what)? {
            roots.add(certificate).map_err(|error| unusable(what, error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable("TLS", error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let what = "the client certificate";
            let key = PrivateKeyDer::from_pem_slice(client.key.as_bytes())
                .map_err(|_| unusable("the key of the client certificate", "it holds no key in PEM".to_owned()))?;
            let chain = chain(&client.chain, what)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(what, error.to_string()))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn chain(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match read {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Fault::Unusable { what: what.to_owned(), why: "it holds no certificate in PEM".to_owned() }),
    }
}

/// What a failed handshake, or a failed read after it, says about the two sides.
pub(super) fn fault(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(_) => Fault::Untrusted { why: super::fault::words(&error.to_string()) },
        _ => Fault::Tls { why: super::fault::words(&error.to_string()) },
    }
}
