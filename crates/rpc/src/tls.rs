//! Encrypted streams, as libvirt's clients and daemons have them.
//!
//! The server requests a certificate, but refuses a client only after the handshake, by closing the connection.
//! It admits a client by one byte, [`WELCOME`], before any packet. It sends no session tickets: libvirt's client
//! expects that byte in the first record after the handshake.
//!
//! libvirt 11.3.0: src/rpc/virnettlscontext.c

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName, UnixTime,
};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::{
    BmpString, Ia5StringRef, PrintableStringRef, TeletexStringRef, Utf8StringRef,
};
use x509_cert::der::{Tag, Tagged as _};

/// The byte that a server sends to a client that it admits.
pub const WELCOME: u8 = 1;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("Cannot read '{path}'")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A file has other content.
    #[error("'{path}' holds no {what} in PEM")]
    Pem {
        /// The file.
        path: PathBuf,
        /// The expected content.
        what: &'static str,
    },
    /// Certificate and key do not match.
    #[error("cannot use the certificates")]
    Rustls(#[from] rustls::Error),
    /// Certificates of clients cannot be checked.
    #[error("cannot check certificates: {0}")]
    Verifier(String),
}

/// Files of one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Certificates of the authority.
    pub ca: PathBuf,
    /// Revocation list of the authority; the file is optional.
    pub crl: Option<PathBuf>,
    /// Own certificate and key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Whether the peer's certificate is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It must be issued by the authority.
    Peer,
    /// Any peer is accepted.
    Nothing,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Read { path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(TlsError::Pem { path: path.to_owned(), what: "certificate" }),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|_| TlsError::Pem { path: path.to_owned(), what: "key" })
}

fn revoked(path: Option<&Path>) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let Some(path) = path.filter(|path| path.exists()) else { return Ok(Vec::new()) };
    let pem = read(path)?;
    CertificateRevocationListDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Pem { path: path.to_owned(), what: "revocation list" })
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate)?;
    }
    Ok(Arc::new(roots))
}

/// TLS settings of a server.
///
/// # Errors
/// [`TlsError`]
pub fn server(files: &Files, verify: Verify) -> Result<Arc<ServerConfig>, TlsError> {
    let Some((cert_path, key_path)) = &files.own else {
        return Err(TlsError::Verifier("a server needs a certificate".to_owned()));
    };
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match verify {
        Verify::Nothing => builder.with_no_client_auth(),
        Verify::Peer => {
            let verifier =
                WebPkiClientVerifier::builder_with_provider(roots(&files.ca)?, provider())
                    .with_crls(revoked(files.crl.as_deref())?)
                    .allow_unknown_revocation_status()
                    // a client without one is refused after the handshake, as libvirt does it
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| TlsError::Verifier(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(certificates(cert_path)?, key(key_path)?)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// TLS settings of a client.
///
/// # Errors
/// [`TlsError`]
pub fn client(files: &Files, verify: Verify) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let builder = match verify {
        Verify::Peer => {
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots(&files.ca)?, provider())
                    .with_crls(revoked(files.crl.as_deref())?)
                    .allow_unknown_revocation_status()
                    .build()
                    .map_err(|error| TlsError::Verifier(error.to_string()))?;
            builder.with_webpki_verifier(verifier)
        }
        Verify::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        }
    };
    let config = match &files.own {
        Some((cert_path, key_path)) => {
            builder.with_client_auth_cert(certificates(cert_path)?, key(key_path)?)?
        }
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

/// Accepts any certificate, but checks that the handshake is signed by its key (`no_verify=1`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The subject of a certificate as libvirt writes it: `C=GB,O=Example,CN=name`, in the order of the
/// certificate.
///
/// `None` if it cannot be read.
#[must_use]
pub fn subject(certificate: &CertificateDer<'_>) -> Option<String> {
    let certificate = x509_cert::Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate.subject.0;
    let attributes = names.iter().flat_map(|name| name.0.iter()).map(|attribute| {
        let oid = attribute.oid.to_string();
        let value = text(&attribute.value).unwrap_or_default();
        format!("{}={}", short_name(&oid).unwrap_or(&oid), escaped(&value))
    });
    Some(attributes.collect::<Vec<_>>().join(","))
}

fn text(value: &x509_cert::der::Any) -> Option<String> {
    Some(match value.tag() {
        Tag::Utf8String => value.decode_as::<Utf8StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::PrintableString => {
            value.decode_as::<PrintableStringRef<'_>>().ok()?.as_str().to_owned()
        }
        Tag::Ia5String => value.decode_as::<Ia5StringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::TeletexString => value.decode_as::<TeletexStringRef<'_>>().ok()?.as_str().to_owned(),
        Tag::BmpString => value.decode_as::<BmpString>().ok()?.to_string(),
        _ => return None,
    })
}

/// RFC 4514 section 2.4
fn escaped(value: &str) -> String {
    let mut out = String::new();
    for letter in value.chars() {
        if ",+\"\\<>;".contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// RFC 4519, RFC 2985
fn short_name(oid: &str) -> Option<&'static str> {
    Some(match oid {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "EMAIL",
        _ => return None,
    })
}

/// Whether `text` matches a pattern with `*` and `?` (`virStringMatch`; glob(7) without classes).
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // where the last star is, and where the text that it matches ends
    let mut star: Option<(usize, usize)> = None;
    while let Some(letter) = text.get(t) {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(found) if *found == '?' || found == letter => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star_p, star_t)) = star else { return false };
                star = Some((star_p, star_t + 1));
                p = star_p + 1;
                t = star_t + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expect) in [
            ("C=GB,*", "C=GB,CN=x", true),
            ("C=GB,*", "C=DE,CN=x", false),
            ("*CN=a?c*", "O=x,CN=abc", true),
            ("*CN=a?c", "O=x,CN=abcd", false),
            ("", "", true),
            ("", "a", false),
            ("**", "a", true),
            ("*a*b", "xaxxb", true),
        ] {
            assert_eq!(matches(pattern, text), expect, "{pattern} {text}");
        }
    }
}
