//! The simulated machine as a supervisor sees it: [`sys::System`] over a [`World`].
//!
//! Start reading at [`Machine`]. A machine belongs to one node; when that node is dead, its calls do
//! nothing.

use std::cell::RefMut;
use std::path::Path;
use std::time::Duration;

use model::{BootId, Pid, Port, ProcessIdentity};
use supervise::launch::Launch;
use supervise::protocol::Request;
use sys::listeners::Taken;
use sys::{
    ConnectionId, Delivery, FileError, FileTrouble, FolderIdentity, Now, ProbeTarget, ShimStart, Signal, SpawnError,
    System, Ticket,
};

use crate::process::Kind;
use crate::world::{Due, Inner, Task, World};

/// Ports are handed out from here on.
const PORT_FIRST: u16 = 20_000;

/// One node's door to a world.
#[derive(Debug)]
pub struct Machine {
    world: World,
    generation: u64,
}

impl Machine {
    /// The door of a node that begins now.
    pub fn of_new_node(world: &World) -> Self {
        let generation = world.change().node_begins();
        Self { world: world.clone(), generation }
    }

    /// The world, when the node may still change it; counts the call.
    fn act(&self) -> Option<RefMut<'_, Inner>> {
        let mut world = self.world.change();
        if world.node.generation != self.generation || world.node.killed {
            return None;
        }
        match &mut world.node.budget {
            Some(0) => {
                world.node.killed = true;
                return None;
            }
            Some(left) => *left -= 1,
            None => {}
        }
        world.node.calls += 1;
        Some(world)
    }
}

impl System for Machine {
    type Task = Task;

    fn now(&self) -> Now {
        self.world.look().clocks()
    }

    fn boot(&self) -> BootId {
        self.world.look().boot_id()
    }

    fn folder(&self, path: &Path) -> Option<FolderIdentity> {
        (path == Inner::units()).then(|| self.world.look().home)
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, FileError> {
        let world = self.world.look();
        if world.time < world.windows.disk_errors {
            return Err(refused("read", path, disk_error()));
        }
        Ok(world.files.get(path).cloned())
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), FileError> {
        let Some(mut world) = self.act() else { return Err(refused("write", path, dead())) };
        world.write_file(path, bytes).map_err(|trouble| refused("write", path, trouble))
    }

    fn names(&self, folder: &Path) -> Result<Vec<String>, FileError> {
        let world = self.world.look();
        if world.time < world.windows.disk_errors {
            return Err(refused("list", folder, disk_error()));
        }
        let below = world.files.keys().filter_map(|path| path.strip_prefix(folder).ok());
        let mut names: Vec<String> =
            below.filter_map(|rest| Some(rest.iter().next()?.to_string_lossy().into_owned())).collect();
        names.dedup();
        Ok(names)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FileError> {
        let Some(mut world) = self.act() else { return Err(refused("remove", path, dead())) };
        if world.time < world.windows.disk_errors {
            return Err(refused("remove", path, disk_error()));
        }
        world.files.retain(|file, _| !file.starts_with(path));
        Ok(())
    }

    fn identify(&self, pid: Pid) -> Result<Option<ProcessIdentity>, FileError> {
        let world = self.world.look();
        unseen(&world)?;
        Ok(world.processes.at(pid).map(|process| process.identity.clone()))
    }

    fn spawn_shim(&mut self, start: &ShimStart) -> Result<ProcessIdentity, SpawnError> {
        let no = |reason: &str| SpawnError { folder: start.folder.clone(), reason: reason.to_owned() };
        let Some(mut world) = self.act() else { return Err(no("the node is dead")) };
        if world.time < world.windows.spawn_fails {
            return Err(no("resource temporarily unavailable"));
        }
        let launch: Launch = serde_json::from_slice(&start.launch).map_err(|_| no("the launch is not a launch"))?;
        let unit = Inner::unit_of(&start.folder).ok_or_else(|| no("the folder is no unit's"))?;
        world.check_start(&unit, launch.digest);
        Ok(world.shim_spawned(&unit, &launch))
    }

    fn signal(&mut self, process: &ProcessIdentity, signal: Signal) -> Result<Delivery, FileError> {
        let Some(mut world) = self.act() else { return Ok(Delivery::Gone) };
        unseen(&world)?;
        let Some(found) = world.processes.get(process).cloned() else { return Ok(Delivery::Gone) };
        world.check_signal(&found);
        match (found.kind, signal) {
            (Kind::Shim, Signal::Kill) => world.kill_shim(found.start),
            (Kind::Child, Signal::Kill) => world.kill_child(found.start),
            (Kind::Stray, Signal::Kill) => world.kill_stray(&found.identity),
            _ => {}
        }
        Ok(Delivery::Sent)
    }

    fn sweep(&mut self, folder: &Path) -> Result<usize, FileError> {
        let Some(mut world) = self.act() else { return Ok(0) };
        unseen(&world)?;
        let Some(unit) = Inner::unit_of(folder) else { return Ok(0) };
        let found = world.processes.of(&unit);
        for process in &found {
            world.check_signal(process);
            match process.kind {
                Kind::Shim => world.kill_shim(process.start),
                Kind::Child if world.shims.contains_key(&process.start) => world.kill_child(process.start),
                Kind::Child => world.orphaned(&process.identity),
                Kind::Stray => world.kill_stray(&process.identity),
                Kind::Foreign => {}
            }
        }
        Ok(found.len())
    }

    fn free_port(&mut self) -> Option<Port> {
        let mut world = self.act()?;
        if world.time < world.windows.no_ports {
            return None;
        }
        world.ports_given = (world.ports_given + 1) % 20_000;
        Port::new(PORT_FIRST + world.ports_given)
    }

    /// The node of a simulated world is not root.
    fn privileged_port(&mut self) -> Option<Port> {
        None
    }

    fn port_taken(&mut self, port: Port) -> Option<Taken> {
        let world = self.world.look();
        (world.time < world.windows.no_ports).then_some(Taken { port, by: None })
    }

    /// Nothing listens in a simulated world but by its own start.
    fn close_listeners(&mut self, _folder: &Path) {}

    fn connect(&mut self, folder: &Path) -> Option<ConnectionId> {
        let mut world = self.act()?;
        world.shim_connected(&Inner::unit_of(folder)?)
    }

    fn send(&mut self, connection: ConnectionId, message: &[u8]) {
        let Some(mut world) = self.act() else { return };
        let Ok(request) = serde_json::from_slice::<Request>(message) else {
            world.violated("a message that is no request was sent");
            return;
        };
        if matches!(request, Request::Stop { .. }) {
            world.check_stop_sent(connection);
        }
        let wait = world.lag();
        let time = world.time;
        let Some(known) = world.connections.get_mut(&connection) else { return };
        known.to_shim = known.to_shim.max(time + wait);
        let at = known.to_shim;
        world.at(at, Due::Asked { connection, request });
    }

    fn probe(&mut self, ticket: Ticket, target: ProbeTarget, timeout: Duration) {
        let Some(mut world) = self.act() else { return };
        let quick = world.random.span(Duration::from_millis(1), Duration::from_millis(20));
        let wait = if world.random.one_in(200) { timeout } else { quick };
        let generation = self.generation;
        world.after(wait, Due::Probe { generation, ticket, target });
    }

    fn begin(&mut self, ticket: Ticket, task: Task) {
        let Some(mut world) = self.act() else { return };
        let (Task::Prepare(unit) | Task::Complete(unit)) = &task;
        let takes = world.manners.entry(unit.clone()).or_default().task_takes;
        if matches!(task, Task::Prepare(_)) {
            world.check_prepare(unit);
        }
        let generation = self.generation;
        world.after(takes, Due::TaskEnds { generation, ticket, task });
    }
}

fn refused(doing: &'static str, path: &Path, trouble: FileTrouble) -> FileError {
    FileError { doing, path: path.to_owned(), trouble }
}

/// The error of a look at processes while none succeeds.
fn unseen(world: &Inner) -> Result<(), FileError> {
    match world.time < world.windows.looks_fail {
        true => Err(refused("list", Path::new("/proc"), FileTrouble::Other("too many open files".to_owned()))),
        false => Ok(()),
    }
}

fn disk_error() -> FileTrouble {
    FileTrouble::Other("input/output error".to_owned())
}

fn dead() -> FileTrouble {
    FileTrouble::Other("the node is dead".to_owned())
}
