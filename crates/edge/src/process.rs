//! The edge as a process: its threads, its listeners, and the node's word. Start reading at [`run`].
//!
//! The main thread listens to the node; each other thread accepts connections and serves them. Settings and certificates
//! go from the former to the latter as immutable values, evidence the other way through a bounded channel.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroU32;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use model::Port;
use sys::listeners::handover::{Handed, Intake};
use sys::messages::{Incoming, MessageError};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::access_log::AccessLog;
use crate::admission::Admission;
use crate::certificates::Certificates;
use crate::control::{self, ToEdge, ToNode};
use crate::evidence::{Arm, Counts};
use crate::listening::{Sockets, https_of};
use crate::live::Live;
use crate::outbox::Outbox;
use crate::settings::Settings;
use crate::thread;
use crate::tls::{CertificateTable, Engine, EngineError};

/// Seconds of evidence of all threads that wait for the node.
const EVIDENCE_MAX: usize = 64;
/// Threads that wait to say which settings or certificates they have taken over.
const TAKES_MAX: usize = 64;
/// How long the node has at the end for what was said and it has not taken.
const FAREWELL_TIME_MAX: Duration = Duration::from_secs(1);
/// How often it is looked whether all threads are there, and the node is told something at the least.
const BEAT: Duration = Duration::from_secs(1);
/// How long what is under way may take after SIGTERM.
pub const DRAIN_TIME: Duration = Duration::from_secs(30);

/// What an edge is started with.
pub struct Start {
    /// What it listens on, one of each port for each thread.
    pub listeners: Vec<TcpListener>,
    /// The port of those that speak TLS.
    pub https: Option<Port>,
    /// Where the node finds its sockets: the one for orders, and the one for other sockets to listen on.
    pub folder: PathBuf,
    /// Random: for ids and for drawing replicas.
    pub seed: u64,
    /// How many descriptors the process may have open.
    pub descriptors: u64,
    /// Where the access log is written to.
    pub log: Box<dyn io::Write + Send>,
}

/// The edge cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    /// A socket for the node.
    #[error("cannot listen for the node in {}", at.display())]
    Control {
        /// Where.
        at: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The signal that ends it.
    #[error("cannot listen for signals")]
    Signal(#[source] io::Error),
    /// It has listeners and cannot take connections from them.
    #[error("cannot accept connections")]
    Accept(#[source] io::Error),
    /// A fault of its own.
    #[error("a thread that serves clients has ended")]
    ThreadEnded,
    /// TLS.
    #[error(transparent)]
    Tls(#[from] EngineError),
}

/// What the threads share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) live: watch::Receiver<Arc<Live>>,
    pub(crate) certificates: watch::Receiver<Arc<CertificateTable>>,
    /// What they accept on.
    pub(crate) sockets: watch::Receiver<Arc<Sockets>>,
    /// Within which time everything is to end; nothing while it is not.
    pub(crate) drain: watch::Receiver<Option<Duration>>,
    pub(crate) evidence: mpsc::Sender<Vec<(Arm, Counts)>>,
    /// Where a thread says what it has taken over.
    pub(crate) taken: mpsc::Sender<Taken>,
    pub(crate) log: AccessLog,
    pub(crate) admission: Arc<Admission>,
    /// How many threads there are.
    pub(crate) threads: NonZeroU32,
}

/// What a thread works by from now on, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Settings(u64),
    Certificates(u64),
}

/// Serves until the node or SIGTERM asks for an end, and everything under way has come to its own.
pub fn run(start: Start) -> Result<(), EdgeError> {
    let engine = Engine::new()?;
    let (log, waiting) = AccessLog::new();
    let log_file = start.log;
    let writer = sys::cores::start("access-log", move || async move { waiting.write_to(log_file) });
    let writer = writer.map_err(EdgeError::Thread)?;
    let (settings, live) = watch::channel(Arc::new(Live::default()));
    let (certificates, table) = watch::channel(Arc::new(CertificateTable::default()));
    let (drain, draining) = watch::channel(None);
    let (evidence, counted) = mpsc::channel(EVIDENCE_MAX);
    let (taken, takes) = mpsc::channel(TAKES_MAX);
    let admission = Arc::new(Admission::within(start.descriptors));
    let sockets = Sockets::new(start.listeners, start.https).map_err(EdgeError::Accept)?;
    let threads = sockets.threads();
    let (sockets, listening) = watch::channel(Arc::new(sockets));
    let shared = Shared {
        live,
        certificates: table,
        sockets: listening,
        drain: draining,
        evidence,
        taken,
        log,
        admission: Arc::clone(&admission),
        threads: u32::try_from(threads).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN),
    };
    let running = begin_threads(shared, threads, start.seed).map_err(EdgeError::Thread)?;
    let failed = |source| EdgeError::Control { at: start.folder.clone(), source };
    let listener = control_socket(&start.folder.join(control::SOCKET_NAME)).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(EdgeError::Runtime)?;
    let main = Main {
        engine,
        settings,
        certificates,
        sockets,
        drain,
        admission,
        threads,
        settings_missing: 0,
        certificates_missing: 0,
        evidence_lost: 0,
        told: false,
        running,
        node: None,
    };
    runtime.block_on(async {
        let intake = Intake::new(&start.folder).map_err(failed)?;
        main.serve(listener, intake, counted, takes).await
    })?;
    // The last lines are written before the end. A log that cannot be written has nobody left to tell.
    drop(writer.join());
    Ok(())
}

/// Begins to serve, on so many threads. Only they hold what they share from then on: it ends with the last of them.
fn begin_threads(shared: Shared, threads: usize, seed: u64) -> io::Result<Vec<JoinHandle<io::Result<()>>>> {
    let begin = |((shared, number), nth): ((Shared, usize), u64)| {
        let start = thread::Start { seed: seed.wrapping_add(nth), number };
        sys::cores::start(&format!("edge-{number}"), move || thread::run(shared, start))
    };
    std::iter::repeat_n(shared, threads).zip(0..).zip(0..).map(begin).collect()
}

/// Replaces what an edge that was killed has left.
fn control_socket(at: &PathBuf) -> io::Result<UnixListener> {
    match std::fs::remove_file(at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(at)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The main thread.
struct Main {
    engine: Engine,
    settings: watch::Sender<Arc<Live>>,
    certificates: watch::Sender<Arc<CertificateTable>>,
    sockets: watch::Sender<Arc<Sockets>>,
    drain: watch::Sender<Option<Duration>>,
    admission: Arc<Admission>,
    threads: usize,
    /// Threads that have not taken over the newest settings.
    settings_missing: usize,
    /// Threads that have not taken over the newest certificates.
    certificates_missing: usize,
    /// Reports that no node took.
    evidence_lost: u64,
    /// Whether there was a report since the last beat.
    told: bool,
    /// The threads that serve clients.
    running: Vec<JoinHandle<io::Result<()>>>,
    node: Option<Node>,
}

/// The connection of a node.
struct Node {
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    incoming: Incoming,
    outbox: Outbox,
}

impl Node {
    fn new(stream: UnixStream) -> Self {
        let (from, to) = stream.into_split();
        Self { from, to, incoming: Incoming::default(), outbox: Outbox::default() }
    }

    /// Sends what there is to say until the node says something; nothing when it has ended.
    async fn hear(&mut self) -> Result<Option<ToEdge>, MessageError> {
        let Self { from, to, incoming, outbox } = self;
        loop {
            tokio::select! {
                told = incoming.next(from) => return told,
                sent = outbox.send(to), if !outbox.is_empty() => sent?,
            }
        }
    }
}

impl Main {
    /// Listens to one node after the other, a new one taking the place of one that is gone, until every thread has ended.
    async fn serve(
        mut self,
        listener: UnixListener,
        mut intake: Intake,
        mut counted: mpsc::Receiver<Vec<(Arm, Counts)>>,
        mut takes: mpsc::Receiver<Taken>,
    ) -> Result<(), EdgeError> {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(EdgeError::Runtime)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(EdgeError::Signal)?;
        let mut beat = tokio::time::interval(BEAT);
        loop {
            tokio::select! {
                Ok((stream, _)) = listener.accept() => {
                    // Only the node gives orders: root, or this very user.
                    if sys::process::peer::check_user(&stream).is_err() {
                        continue;
                    }
                    self.part_from_node();
                    self.node = Some(Node::new(stream));
                    let (settings, certificates) = (self.settings_number(), self.certificates_number());
                    self.say(ToNode::Hello { version: control::VERSION, settings, certificates });
                }
                told = hear(&mut self.node) => match told {
                    Ok(Some(message)) => self.obey(message),
                    Ok(None) | Err(_) => self.part_from_node(),
                },
                handed = intake.next() => self.listen_on(handed)?,
                Some(()) = terminate.recv() => self.begin_to_drain(DRAIN_TIME),
                Some(taken) = takes.recv() => self.note_taken(taken),
                _ = beat.tick() => {
                    self.look_after_threads()?;
                    self.tell_that_nothing_happened();
                }
                arms = counted.recv() => match arms {
                    Some(arms) => self.tell_evidence(arms),
                    None => {
                        self.take_leave().await;
                        return self.running.drain(..).try_for_each(outcome);
                    }
                },
            }
        }
    }

    fn obey(&mut self, message: ToEdge) {
        match message {
            ToEdge::Settings(wanted) => self.take_over(*wanted),
            ToEdge::Certificates(wanted) => self.take_over_certificates(&wanted),
            ToEdge::Drain { within } => self.begin_to_drain(within.duration()),
        }
    }

    fn settings_number(&self) -> u64 {
        self.settings.borrow().settings.number
    }

    fn certificates_number(&self) -> u64 {
        self.certificates.borrow().number
    }

    fn take_over(&mut self, wanted: Settings) {
        let renewed = self.settings.borrow().renewed(wanted);
        self.settings_missing = self.threads;
        self.settings.send_replace(Arc::new(renewed));
    }

    /// Certificates that cannot be used leave those of before in place.
    fn take_over_certificates(&mut self, wanted: &Certificates) {
        match CertificateTable::new(&self.engine, wanted) {
            Ok(certificates) => {
                self.certificates_missing = self.threads;
                self.certificates.send_replace(Arc::new(certificates));
            }
            Err(error) => {
                self.say(ToNode::CertificatesRefused { certificates: wanted.number, why: error.to_string() });
            }
        }
    }

    /// Accepts on these sockets instead of those of before. An edge that is to end accepts on none.
    fn listen_on(&mut self, handed: Handed) -> Result<(), EdgeError> {
        if self.drain.borrow().is_none() {
            let listeners = handed.sockets.into_iter().map(TcpListener::from).collect();
            let sockets = Sockets::new(listeners, https_of(&handed.words)).map_err(EdgeError::Accept)?;
            self.sockets.send_replace(Arc::new(sockets));
        }
        Ok(())
    }

    /// An end that was asked for is only ever brought forward by the end of what is under way.
    fn begin_to_drain(&mut self, within: Duration) {
        self.drain.send_if_modified(|draining| {
            let first = draining.is_none();
            *draining = draining.or(Some(within));
            first
        });
        self.sockets.send_replace(Arc::default());
    }

    /// Settings and certificates count as applied once every thread works by them.
    fn note_taken(&mut self, taken: Taken) {
        let (missing, newest, applied) = match taken {
            Taken::Settings(settings) => {
                let newest = settings == self.settings_number();
                (&mut self.settings_missing, newest, ToNode::Applied { settings })
            }
            Taken::Certificates(certificates) => {
                let newest = certificates == self.certificates_number();
                (&mut self.certificates_missing, newest, ToNode::CertificatesApplied { certificates })
            }
        };
        if newest && *missing > 0 {
            *missing -= 1;
            if *missing == 0 {
                self.say(applied);
            }
        }
    }

    /// Ends with why a thread has ended before it was to.
    fn look_after_threads(&mut self) -> Result<(), EdgeError> {
        self.running.extract_if(.., |thread| thread.is_finished()).try_for_each(outcome)
    }

    /// A report without requests still says how many connections there are. One that waits to be sent is not followed by it.
    fn tell_that_nothing_happened(&mut self) {
        let is_quiet = !std::mem::take(&mut self.told);
        if is_quiet && self.node.as_ref().is_some_and(|node| node.outbox.unsent_reports() == 0) {
            self.tell_evidence(Vec::new());
        }
    }

    fn tell_evidence(&mut self, arms: Vec<(Arm, Counts)>) {
        self.told = !arms.is_empty();
        let evidence = ToNode::Evidence {
            arms,
            connections: self.admission.open(),
            turned_away: self.admission.turned_away(),
            panics: sys::cores::panics(),
            lost: self.evidence_lost,
        };
        let kept = self.node.as_mut().is_some_and(|node| node.outbox.report(evidence));
        self.evidence_lost += u64::from(!kept);
    }

    /// What nobody is there to hear, a new node is told at its beginning.
    fn say(&mut self, message: ToNode) {
        if let Some(node) = &mut self.node {
            node.outbox.say(message);
        }
    }

    fn part_from_node(&mut self) {
        self.evidence_lost += self.node.take().map_or(0, |node| node.outbox.unsent_reports() as u64);
    }

    /// Sends what is left to say, as far as the node takes it.
    async fn take_leave(&mut self) {
        if let Some(Node { to, outbox, .. }) = &mut self.node {
            // The edge ends either way.
            drop(tokio::time::timeout(FAREWELL_TIME_MAX, outbox.send(to)).await);
        }
    }
}

/// How a thread that has ended did so.
fn outcome(ended: JoinHandle<io::Result<()>>) -> Result<(), EdgeError> {
    ended.join().map_err(|_panicked| EdgeError::ThreadEnded)?.map_err(EdgeError::Accept)
}

async fn hear(node: &mut Option<Node>) -> Result<Option<ToEdge>, MessageError> {
    match node {
        Some(node) => node.hear().await,
        None => std::future::pending().await,
    }
}
