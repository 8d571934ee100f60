//! The machine that this program runs on: the real [`System`].
//!
//! Start reading at [`Machine::new`] and its implementation of [`System`]; [`connection`] speaks with shims,
//! [`probe`] asks replicas. Invariant: no call waits for another process; what takes time is a named task
//! that answers with an [`Event`].

mod connection;
mod ports;
mod probe;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use model::{BootId, Pid, Port, ProcessIdentity};
use tokio::sync::mpsc;

use crate::clock::{self, BootError};
use crate::listeners::{self, HeldSockets, Taken, handover};
use crate::process::child::ShimCommand;
use crate::process::{self, unit};
use crate::system::{
    ConnectionId, Delivery, Event, FileError, Now, ProbeTarget, ShimStart, Signal, SpawnError, System, TaskOutcome,
    Ticket,
};
use crate::tasks::Tasks;
use crate::{files, local_socket};

/// Events that wait to be taken; further ones wait in their tasks.
pub const EVENTS_MAX: usize = 1024;
/// The name under which a shim listens in its unit's folder.
pub const SHIM_SOCKET: &str = "s";
/// Every socket that a shim may make in its unit's folder.
pub const SHIM_SOCKETS: [&str; 2] = [SHIM_SOCKET, handover::SOCKET_NAME];
/// Longest message between node and shim in bytes, the line feed included.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// Work that the owner begins.
pub type Work = Pin<Box<dyn Future<Output = TaskOutcome> + Send>>;

/// The real machine. `Task` is what the supervisor hands to [`System::begin`].
pub struct Machine<Task> {
    boot: BootId,
    shim: ShimCommand,
    tasks: Tasks,
    events: mpsc::Sender<Event>,
    work: Box<dyn FnMut(Task) -> Work + Send>,
    connections: BTreeMap<ConnectionId, mpsc::Sender<Vec<u8>>>,
    connected: u64,
    ports: ports::Ports,
    held: HeldSockets,
    shims: Vec<std::process::Child>,
}

impl<Task> Machine<Task> {
    /// The machine, and where its events come out. Shims are started by `shim`, with what is `held` for their units; `work`
    /// turns a task into what is to be done.
    pub fn new(
        shim: ShimCommand,
        tasks: Tasks,
        held: HeldSockets,
        work: impl FnMut(Task) -> Work + Send + 'static,
    ) -> Result<(Self, mpsc::Receiver<Event>), BootError> {
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let machine = Self {
            boot: clock::boot()?,
            shim,
            tasks,
            events,
            work: Box::new(work),
            connections: BTreeMap::new(),
            connected: 0,
            ports: ports::Ports::default(),
            held,
            shims: Vec::new(),
        };
        Ok((machine, receiver))
    }

    /// Runs a task whose end is an event.
    fn answer(&self, name: String, event: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        self.tasks.spawn("supervision", name, async move {
            // Nobody listens any more when the node ends; then there is nobody to tell.
            drop(events.send(event.await).await);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Fetches copies of the sockets that the shim of a unit holds, where it holds any and there are none here.
    fn fetch_listeners(&self, folder: &Path) {
        if self.held.lock().has(folder) || !folder.join(handover::SOCKET_NAME).exists() {
            return;
        }
        let (held, folder) = (self.held.clone(), folder.to_owned());
        self.tasks.spawn("supervision", "fetching of sockets", async move {
            // A shim that is gone meanwhile has taken its sockets with it; one that is there is asked again.
            let sockets = handover::Shim::reach(&folder).await.map(|mut shim| shim.sockets()).unwrap_or_default();
            held.lock().keep(&folder, sockets);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Collects the shims of ours that ended; after the node they are init's to collect.
    fn collect_shims(&mut self) {
        self.shims.retain_mut(|shim| matches!(shim.try_wait(), Ok(None)));
    }
}

impl<Task> System for Machine<Task> {
    type Task = Task;

    fn now(&self) -> Now {
        clock::now()
    }

    fn boot(&self) -> BootId {
        self.boot.clone()
    }

    fn folder(&self, path: &Path) -> Option<files::FolderIdentity> {
        files::FolderIdentity::of(path)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
        files::read(path)
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        files::replace(path, bytes)
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, FileError> {
        files::names(folder)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FileError> {
        files::remove(path)
    }

    fn identify(&self, pid: Pid) -> Result<Option<ProcessIdentity>, FileError> {
        process::identify(&self.boot, pid)
    }

    fn spawn_shim(&mut self, start: &ShimStart) -> Result<ProcessIdentity, SpawnError> {
        self.collect_shims();
        let failed =
            |barred: listeners::Barred| SpawnError { folder: start.folder.clone(), reason: barred.to_string() };
        let mut held = self.held.lock();
        let sockets = held.take(&start.folder, &start.listening).map_err(failed)?;
        let (identity, shim) = self.shim.start(&self.boot, start, &sockets)?;
        drop(held);
        self.shims.push(shim);
        Ok(identity)
    }

    fn signal(&mut self, process: &ProcessIdentity, signal: Signal) -> Result<Delivery, FileError> {
        process::signal(&self.boot, process, signal)
    }

    fn sweep(&mut self, folder: &Path) -> Result<usize, FileError> {
        self.collect_shims();
        let found = unit::kill_members(folder)?;
        if found == 0 {
            unit::remove_groups(folder);
        }
        Ok(found)
    }

    fn free_port(&mut self) -> Option<Port> {
        self.ports.next(clock::now().steady)
    }

    fn privileged_port(&mut self) -> Option<Port> {
        process::is_root().then(|| self.ports.next_privileged(clock::now().steady)).flatten()
    }

    fn port_taken(&mut self, port: Port) -> Option<Taken> {
        ports::taken(port)
    }

    fn close_listeners(&mut self, folder: &Path) {
        self.held.lock().close(folder);
    }

    fn connect(&mut self, folder: &Path) -> Option<ConnectionId> {
        self.collect_shims();
        self.fetch_listeners(folder);
        // Why not tells nothing of the shim: whether that is there is seen by its identity.
        let stream = local_socket::connect(folder, SHIM_SOCKET).ok()?;
        stream.set_nonblocking(true).ok()?;
        let stream = tokio::net::UnixStream::from_std(stream).ok()?;
        self.connections.retain(|_, outgoing| !outgoing.is_closed());
        self.connected += 1;
        let id = ConnectionId(self.connected);
        let (outgoing, messages) = mpsc::channel(connection::WAITING_MAX);
        self.connections.insert(id, outgoing);
        let events = self.events.clone();
        let unit = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.answer(format!("shim of {unit}"), async move {
            connection::carry(id, stream, messages, events).await;
            Event::Closed { connection: id }
        });
        Some(id)
    }

    fn send(&mut self, connection: ConnectionId, message: &[u8]) {
        let mut bytes = message.to_vec();
        bytes.push(b'\n');
        let Some(outgoing) = self.connections.get(&connection) else { return };
        // Whether it is full (the shim reads nothing) or closed: the connection is given up. Its task then
        // ends and tells so, once.
        if outgoing.try_send(bytes).is_err() {
            self.connections.remove(&connection);
        }
    }

    fn probe(&mut self, ticket: Ticket, target: ProbeTarget, timeout: Duration) {
        self.answer(format!("probe {}", ticket.0), async move {
            Event::Probed { ticket, outcome: probe::ask(target, timeout).await }
        });
    }

    fn begin(&mut self, ticket: Ticket, task: Task) {
        let work = (self.work)(task);
        let events = self.events.clone();
        // The work is a task of its own, so that its panic is an answer too.
        let (tell, told) = tokio::sync::oneshot::channel();
        self.tasks.spawn("supervision", format!("task {}", ticket.0), async move {
            let outcome = work.await;
            drop(tell.send(outcome));
            Ok::<(), std::convert::Infallible>(())
        });
        self.tasks.spawn("supervision", format!("end of task {}", ticket.0), async move {
            let outcome = told.await.unwrap_or_else(|_| Err("it ended without an answer: see the node's tasks".into()));
            drop(events.send(Event::TaskEnded { ticket, outcome }).await);
            Ok::<(), std::convert::Infallible>(())
        });
    }
}
