//! The edge as a unit: the same program under a shim of its own, as a user of its own where the node is root.
//!
//! Start reading at [`wanted`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::edge::listening::https_words;
use model::edge::{Edge, Ports};
use model::{ByteSize, Digest, Limits, UnitId};
use plan::supervision::{GentleSignal, Life, StopPolicy, Unit};
use services::{process, volume};
use sha2::Digest as _;
use supervise::control_group::Support;
use supervise::launch::{Launch, LogPolicy, UserIds};
use supervise::supervisor::{PortChoice, Wanted};
use sys::TaskOutcome;
use sys::listeners::{HeldSockets, Listening, handover};

use super::super::carry::Scene;
use super::super::server::Task;
use crate::{EDGE_COMMAND, OWN_PROGRAM};

/// What an edge may take. It serves 20,000 connections with half of it; 96 MiB are for what their buffers grow by
/// (`edge::admission`), 48 for files at hand, 64 for compression, and the rest for what clients of HTTP/2 send ahead.
const MEMORY_MAX: ByteSize = ByteSize::mebibytes(512);
/// Its threads at most: it is one process.
const TASKS_MAX: u32 = 256;
/// Threads that accept at most: more cores than this serve something else.
const THREADS_MAX: usize = 32;
/// What is under way has [`edge::process::DRAIN_TIME`] to finish; then it is given a moment to end.
const STOP_MAX: Duration = Duration::from_secs(35);

/// The edge that is to run.
pub(crate) fn wanted(scene: &Scene<'_>, edge: &Edge) -> Wanted<Task> {
    let user = user(scene);
    let folder = scene.layout.edge();
    let listening = Listening { ports: edge.listen.all().collect(), sockets: threads() };
    let https = https_words(edge.listen.https);
    let unit = unit(edge.listen, user);
    let (limits, control_group) = match &scene.machine.limits {
        Support::Unavailable { .. } => (Limits::default(), None),
        support => (
            Limits { memory: Some(MEMORY_MAX), tasks: Some(TASKS_MAX), cpu: None },
            support.group(scene.tag, &UnitId::Edge),
        ),
    };
    let hides = scene.machine.isolation.hides();
    let launch = Launch {
        unit: UnitId::Edge,
        digest: unit.digest,
        program: PathBuf::from(OWN_PROGRAM),
        arguments: vec![EDGE_COMMAND.to_owned(), folder.display().to_string(), https.clone()],
        environment: Default::default(),
        folder: PathBuf::from("/"),
        user,
        // The node binds its ports.
        privileged_port: false,
        limits,
        control_group,
        log: LogPolicy {
            folder: scene.layout.log(&UnitId::Edge),
            file_max: process::LOG_FILE_MAX,
            files_max: process::LOG_FILES_MAX,
        },
        hidden: if hides { scene.layout.hidden() } else { Vec::new() },
        shown: if hides { vec![folder.clone(), scene.layout.artefacts()] } else { Vec::new() },
        address: None,
        listening: listening.clone(),
    };
    Wanted {
        unit,
        launch,
        port: PortChoice::Unused,
        ready: None,
        live: None,
        prepare: Some(Task::EdgeFolder { folder: folder.clone(), user }),
        complete: Some(Task::EdgeSockets { unit: scene.layout.unit(&UnitId::Edge), folder, listening, https }),
    }
}

/// As whom it runs.
fn user(scene: &Scene<'_>) -> Option<UserIds> {
    let uid = scene.applied.users.get(&services::user::Owner::Edge).copied()?;
    scene.machine.root.then_some(UserIds { uid, gid: uid })
}

/// What makes it what it is. Routes and endpoints do not: it is told those while it runs. Nor do ports: it is completed
/// to them, and handed other sockets while it runs.
fn unit(ports: Ports, user: Option<UserIds>) -> Unit {
    let digest = |text: String| Digest(sha2::Sha256::digest(text).into());
    Unit {
        id: UnitId::Edge,
        digest: digest(format!("mainstay edge 2\n{user:?}")),
        requires: BTreeSet::new(),
        prepared: true,
        completed: Some(digest(format!("mainstay edge listens 1\n{ports:?}"))),
        ready: None,
        live: None,
        stop: StopPolicy { gently: GentleSignal::Terminate, deadline: STOP_MAX },
        life: Life::Lasting,
    }
}

/// Has it accept on the sockets of these ports from now on, and on no others: its shim holds them first, so that an edge that
/// is killed meanwhile finds them again. Nothing is closed that stays, and what is under way on what goes is not touched.
pub(crate) async fn listen(
    held: &HeldSockets,
    unit: &Path,
    folder: &Path,
    listening: &Listening,
    https: &str,
) -> TaskOutcome {
    let sockets = held.move_to(unit, listening).await.map_err(|error| model::cause::chain(&error))?;
    let handed = handover::give(folder, https, &sockets).await;
    handed.map_err(|error| format!("the edge does not take its sockets: {error}"))
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// Makes the folder of the edge's sockets for the node: nobody but the edge and root may enter it.
pub(crate) fn prepare(folder: &Path, user: Option<UserIds>) -> TaskOutcome {
    volume::make(folder, user).map_err(|error| model::cause::chain(&error))
}
