//! TLS: which certificate answers for which name, and the handshake. Start reading at [`CertificateTable::find`].
//!
//! The name that a client asks for is read before anything else is decided. A client that asks for none, or for one that
//! nobody is known by, is told so; it never gets another host's certificate. New certificates make a new table, which
//! threads take over as they take over settings; connections keep what they began with.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::{Certificate, CertificateName, Certificates};
use crate::host;

/// What clients may choose from, in our order.
const PROTOCOLS: [&[u8]; 2] = [H2, b"http/1.1"];
/// The name of HTTP/2 in a handshake (RFC 9113, section 3.1).
const H2: &[u8] = b"h2";
/// Versions of TLS, newest first.
const VERSIONS: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
/// Bytes that are encrypted and wait to be sent over one connection: a record.
const UNSENT_BYTES_MAX: usize = 16 << 10;
/// A fatal alert that says `unrecognized_name` (RFC 6066, section 3), in a record of its own.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// What all certificates have in common.
pub(crate) struct Engine {
    provider: Arc<CryptoProvider>,
    /// Seals what clients keep of a session. Shared by all threads and kept over a change of certificates, so that a
    /// session is resumed wherever it is taken up; it changes its keys every six hours.
    tickets: Arc<dyn ProducesTickets>,
}

/// The certificates that an edge works by, compiled.
#[derive(Default)]
pub(crate) struct CertificateTable {
    pub(crate) number: u64,
    exact: HashMap<String, Arc<Certified>>,
    above: HashMap<String, Arc<Certified>>,
}

/// One certificate.
pub(crate) struct Certified {
    names: Vec<CertificateName>,
    config: Arc<ServerConfig>,
}

/// TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up TLS")]
pub struct EngineError(#[source] rustls::Error);

/// A certificate cannot be used. Nothing of its key is in here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("the certificate for {of} has no name that it is used for")]
    NoName { of: Named },
    #[error("the chain of the certificate for {of} is no PEM: expected one or more CERTIFICATE sections")]
    Chain { of: Named },
    #[error("the key of the certificate for {of} is no PEM: expected one PRIVATE KEY section")]
    Key { of: Named },
    #[error("the certificate for {of} cannot be used with its key: {why}")]
    Unusable { of: Named, why: rustls::Error },
}

/// What a certificate is called in an error.
#[derive(Debug)]
pub(crate) struct Named(Vec<CertificateName>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("no name"),
            [first, rest @ ..] => {
                write!(f, "{first}")?;
                rest.iter().try_for_each(|name| write!(f, ", {name}"))
            }
        }
    }
}

/// A client's handshake did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    /// The client asked for no name, or for one that no certificate is for.
    #[error("no certificate for the name that the client asks for")]
    UnknownName,
    /// It broke off, or what it sent is not acceptable.
    #[error("the handshake failed")]
    Failed(#[source] io::Error),
}

/// A connection after its handshake.
pub(crate) struct Secured {
    /// By its address: it is large, and moved about.
    pub(crate) stream: Box<TlsStream<TcpStream>>,
    pub(crate) certified: Arc<Certified>,
    /// Whether both sides are to speak HTTP/2.
    pub(crate) h2: bool,
}

impl Engine {
    /// To be made once: sessions are resumed as long as it lives.
    pub(crate) fn new() -> Result<Self, EngineError> {
        let tickets = aws_lc_rs::Ticketer::new().map_err(EngineError)?;
        Ok(Self { provider: Arc::new(aws_lc_rs::default_provider()), tickets })
    }

    fn certified(&self, certificate: &Certificate) -> Result<Certified, CertificateError> {
        let of = || Named(certificate.names.clone());
        if certificate.names.is_empty() {
            return Err(CertificateError::NoName { of: of() });
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| CertificateError::Chain { of: of() })?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes())
            .map_err(|_| CertificateError::Key { of: of() })?;
        let unusable = |why| CertificateError::Unusable { of: of(), why };
        let pair = CertifiedKey::from_der(chain, key, &self.provider).map_err(unusable)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&VERSIONS)
            .map_err(unusable)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = Arc::clone(&self.tickets);
        Ok(Certified { names: certificate.names.clone(), config: Arc::new(config) })
    }
}

impl CertificateTable {
    /// All of them, or why not.
    pub(crate) fn new(engine: &Engine, certificates: &Certificates) -> Result<Self, CertificateError> {
        let mut table = Self { number: certificates.number, ..Self::default() };
        for certificate in &certificates.list {
            let certified = Arc::new(engine.certified(certificate)?);
            for name in &certificate.names {
                let (among, name) = match name {
                    CertificateName::Exact(name) => (&mut table.exact, name),
                    CertificateName::Wildcard(above) => (&mut table.above, above),
                };
                among.insert(name.clone(), Arc::clone(&certified));
            }
        }
        Ok(table)
    }

    /// The certificate for a name in lower case. An exact one goes before a wildcard.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Certified>> {
        self.exact.get(name).or_else(|| self.above.get(above(name)?))
    }
}

impl Certified {
    /// Whether the certificate is used for this host, whose name is in lower case.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name {
            CertificateName::Exact(name) => name == host,
            CertificateName::Wildcard(suffix) => above(host) == Some(suffix),
        })
    }
}

/// What stands behind the first label of a name.
fn above(name: &str) -> Option<&str> {
    Some(name.split_once('.')?.1)
}

/// The certificate that a client asks for.
fn asked_for<'i>(hello: &ClientHello<'_>, certificates: &'i CertificateTable) -> Option<&'i Arc<Certified>> {
    let name = host::routed_name(hello.server_name()?.as_bytes())?;
    certificates.find(&name)
}

/// Carries out a handshake.
pub(crate) async fn accept(stream: TcpStream, certificates: &CertificateTable) -> Result<Secured, HandshakeError> {
    let mut start = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(HandshakeError::Failed)?;
    let Some(certified) = asked_for(&start.client_hello(), certificates).cloned() else {
        // The connection is over, whether the client hears why or not.
        drop(start.io.write_all(&UNRECOGNIZED_NAME).await);
        drop(start.io.shutdown().await);
        return Err(HandshakeError::UnknownName);
    };
    let mut stream = start.into_stream(Arc::clone(&certified.config)).await.map_err(HandshakeError::Failed)?;
    stream.get_mut().1.set_buffer_limit(Some(UNSENT_BYTES_MAX));
    let h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
    Ok(Secured { stream: Box::new(stream), certified, h2 })
}
