//! An edge with a service behind it, for one test. Start reading at [`Bench::new`].

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use edge::certificates::{Certificate, Certificates, KeyText};
use edge::control::{SOCKET_NAME, ToEdge, ToNode};
use edge::evidence::{Arm, Counts};
use edge::process::{self, EdgeError, Start};
use edge::settings::{Endpoint, Route, Settings};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::net::TcpSocket;

/// How often a condition is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(2);

/// Is slow for this long, where the slowness is what is tested.
pub(crate) fn dawdle(span: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < span {
        std::thread::sleep(POLL);
    }
}
/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

static COUNT: AtomicU64 = AtomicU64::new(0);

/// An edge, of one thread unless more are asked for.
pub(crate) struct Bench {
    /// Where its first thread accepts.
    pub(crate) address: SocketAddr,
    /// Where each of them does.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Copies of those sockets, as its shim has them.
    pub(crate) listeners: Vec<TcpListener>,
    /// Where it speaks TLS.
    pub(crate) secure: SocketAddr,
    /// Where it waits for a node.
    pub(crate) folder: Folder,
    pub(crate) node: UnixStream,
    pub(crate) settings: Settings,
    pub(crate) certificates: Certificates,
    pub(crate) log: Log,
    /// Ends when the edge does.
    pub(crate) running: JoinHandle<Result<(), EdgeError>>,
}

/// A folder that is gone once the test is through.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl Bench {
    /// An edge with one route, `{tenant}.test /`, to these endpoints.
    pub(crate) fn new(endpoints: &[SocketAddr]) -> Self {
        Self::of_threads(1, endpoints)
    }

    /// The same, of so many threads.
    pub(crate) fn of_threads(threads: usize, endpoints: &[SocketAddr]) -> Self {
        let listeners: Vec<_> = (0..threads).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = listeners.iter().map(|it| it.local_addr().unwrap()).collect();
        let address = addresses[0];
        let secure_listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let secure = secure_listener.local_addr().unwrap();
        let name = format!("edge-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Folder(std::env::temp_dir().join(name));
        std::fs::create_dir(&folder.0).unwrap();
        let log = Log::default();
        let start = Start {
            listeners: listeners.iter().map(|it| it.try_clone().unwrap()).chain([secure_listener]).collect(),
            https: model::Port::new(secure.port()),
            folder: folder.0.clone(),
            seed: 7,
            descriptors: u64::MAX,
            log: Box::new(log.clone()),
        };
        let running = std::thread::spawn(move || process::run(start));
        let control = folder.0.join(SOCKET_NAME);
        let node = until(|| UnixStream::connect(&control).ok());
        node.set_read_timeout(Some(PATIENCE)).unwrap();
        let settings = Settings { routes: vec![route("{tenant}.test", "/")], ..Settings::default() };
        let certificates = Certificates::default();
        let mut bench =
            Self { address, addresses, listeners, secure, folder, node, settings, certificates, log, running };
        assert!(matches!(bench.hear(), ToNode::Hello { .. }));
        bench.lead_to(endpoints);
        bench
    }

    /// Puts these endpoints in the place of those of before, and waits until they are worked by.
    pub(crate) fn lead_to(&mut self, endpoints: &[SocketAddr]) {
        let endpoint = |(number, address): (usize, &SocketAddr)| Endpoint {
            release: model::ReleaseNumber(1),
            replica: model::ReplicaNumber(u32::try_from(number).unwrap()),
            address: *address,
        };
        let endpoints = endpoints.iter().enumerate().map(endpoint).collect();
        self.apply(|settings| settings.endpoints = [("web".parse().unwrap(), endpoints)].into());
    }

    /// Changes the settings, and waits until they are worked by.
    pub(crate) fn apply(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.settings.number += 1;
        self.tell(&ToEdge::Settings(Box::new(self.settings.clone())));
        let applied = ToNode::Applied { settings: self.settings.number };
        self.hear_until(|message| (message == applied).then_some(()));
    }

    /// Hands over a certificate for each list of names, in place of those of before, and waits until they are worked by.
    pub(crate) fn certify(&mut self, authority: &Authority, names: &[&[&str]]) {
        self.certificates.number += 1;
        self.certificates.list = names.iter().map(|names| authority.certificate(names)).collect();
        self.tell(&ToEdge::Certificates(Box::new(self.certificates.clone())));
        let applied = ToNode::CertificatesApplied { certificates: self.certificates.number };
        self.hear_until(|message| (message == applied).then_some(()));
    }

    /// Tells the edge something.
    pub(crate) fn tell(&mut self, message: &ToEdge) {
        let message = serde_json::to_vec(message).unwrap();
        self.node.write_all(&u32::try_from(message.len()).unwrap().to_be_bytes()).unwrap();
        self.node.write_all(&message).unwrap();
    }

    /// The next thing that the edge tells its node.
    pub(crate) fn hear(&mut self) -> ToNode {
        let mut length = [0; 4];
        self.node.read_exact(&mut length).unwrap();
        let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        self.node.read_exact(&mut message).unwrap();
        serde_json::from_slice(&message).unwrap()
    }

    /// Listens until something is found in what the edge tells its node.
    pub(crate) fn hear_until<T>(&mut self, mut find: impl FnMut(ToNode) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = find(self.hear()) {
                return found;
            }
            assert!(began.elapsed() < PATIENCE * 2, "not in time");
        }
    }

    /// What was counted since the last such question, once that is so many requests.
    pub(crate) fn counted_by_arm(&mut self, requests: u64) -> BTreeMap<Arm, Counts> {
        let mut sums: BTreeMap<Arm, Counts> = BTreeMap::new();
        self.hear_until(|message| {
            if let ToNode::Evidence { arms, .. } = message {
                arms.into_iter().for_each(|(arm, counts)| sums.entry(arm).or_default().add(&counts));
            }
            let counted: u64 = sums.values().map(Counts::requests).sum();
            (counted >= requests).then_some(())
        });
        sums
    }

    /// The same, of all arms together.
    pub(crate) fn counted(&mut self, requests: u64) -> Counts {
        let mut sum = Counts::default();
        self.counted_by_arm(requests).values().for_each(|counts| sum.add(counts));
        sum
    }

    /// A connection of a client.
    pub(crate) fn connect(&self) -> Client {
        Self::connect_to(self.address)
    }

    /// The same, to one of its threads.
    pub(crate) fn connect_to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    /// A connection of a client over TLS. The handshake is carried out with the first bytes that are sent or read.
    pub(crate) fn connect_securely(&self, config: &Arc<ClientConfig>, name: &str) -> Client<Secure> {
        let stream = TcpStream::connect(self.secure).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let name = name.to_owned().try_into().unwrap();
        let session = ClientConnection::new(Arc::clone(config), name).unwrap();
        Client { reader: BufReader::new(StreamOwned::new(session, stream)) }
    }
}

/// An access log in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The first line that holds this, once there is one.
    pub(crate) fn line(&self, part: &str) -> serde_json::Value {
        let find = || {
            let written = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            written.lines().find(|line| line.contains(part)).map(str::to_owned)
        };
        serde_json::from_str(&until(find)).unwrap()
    }
}

/// The connection of a client over TLS.
pub(crate) type Secure = StreamOwned<ClientConnection, TcpStream>;

/// An authority that clients of a test trust.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Of another name than what it certifies: that would be taken for its own issuer.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names.
    pub(crate) fn certificate(&self, names: &[&str]) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
        Certificate {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            chain: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: KeyText::new(key.serialize_pem()),
        }
    }

    /// What a client is that trusts this authority alone, and speaks these protocols.
    pub(crate) fn client(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&str],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(rustls::pki_types::CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// A route to the service `web`.
pub(crate) fn route(host: &str, path: &str) -> Route {
    Route {
        host: host.parse().unwrap(),
        path: path.parse().unwrap(),
        methods: std::collections::BTreeSet::new(),
        to: "web".parse().unwrap(),
        limit: None,
        timeout: model::Span::secs(5),
        body_max: None,
        cors: None,
    }
}

/// An address where nothing listens, and where no other test can either: its socket stays bound.
pub(crate) fn nowhere() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    Box::leak(Box::new(socket)).local_addr().unwrap()
}

/// A client's connection.
pub(crate) struct Client<S: Read = TcpStream> {
    pub(crate) reader: BufReader<S>,
}

/// An answer, as a client reads it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.split_once(':').is_some_and(|(field, _)| field.eq_ignore_ascii_case(name)))?;
        Some(line.split_once(':')?.1.trim())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl<S: Read + Write> Client<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends GET for a path and reads the answer.
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: acme.test\r\n\r\n"));
        self.answer()
    }

    /// As [`Client::get`], where the connection may end before there is an answer: its status.
    pub(crate) fn try_get(&mut self, path: &str) -> Option<u16> {
        write!(self.reader.get_mut(), "GET {path} HTTP/1.1\r\nHost: acme.test\r\n\r\n").ok()?;
        let mut line = String::new();
        self.reader.read_line(&mut line).ok()?;
        line.get(9..12)?.parse().ok()
    }

    /// The next answer with its body.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        let mut answer = Answer { status: head[9..12].parse().unwrap(), head, body: Vec::new() };
        let chunked = answer.field("transfer-encoding") == Some("chunked");
        let length: Option<usize> = answer.field("content-length").map(|it| it.parse().unwrap());
        match (chunked, length) {
            (true, _) => answer.body = self.chunks(),
            (false, Some(length)) => {
                answer.body = vec![0; length];
                self.reader.read_exact(&mut answer.body).unwrap();
            }
            (false, None) => {}
        }
        answer
    }

    /// The next head.
    pub(crate) fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.reader.read_line(&mut head).unwrap(), 0, "the connection ended in a head: {head:?}");
        }
        head
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return body;
            }
            body.extend(chunk);
        }
    }

    /// The next chunk; the last one is empty.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        self.reader.read_exact(&mut chunk).unwrap();
        chunk.truncate(size);
        chunk
    }

    /// Whether the edge has ended the connection.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.reader.read(&mut [0]).is_ok_and(|read| read == 0)
    }
}

/// A service: for each connection, what to do with it.
pub(crate) fn service(serve: impl Fn(Peer) + Send + Sync + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(Peer { reader: BufReader::new(stream.unwrap()) }));
        }
    });
    address
}

/// A service that answers each request with the same bytes, and `{head}` in them with the request's head.
pub(crate) fn fixed(answer: &'static str) -> SocketAddr {
    service(move |mut peer| {
        while peer.request().is_some() {
            peer.send(answer);
        }
    })
}

/// A service that answers each request with its head as it arrived.
pub(crate) fn echo() -> SocketAddr {
    service(|mut peer| {
        while let Some(head) = peer.request() {
            peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{head}", head.len()));
        }
    })
}

/// The edge's connection, as a service sees it.
pub(crate) struct Peer {
    pub(crate) reader: BufReader<TcpStream>,
}

impl Peer {
    /// The head of the next request; `None` when there is no more.
    pub(crate) fn request(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that is gone is the test's business.
        drop(self.reader.get_mut().write_all(bytes.as_ref()));
    }
}

/// Asks again and again until there is an answer.
pub(crate) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "not in time");
        std::thread::sleep(POLL);
    }
}
