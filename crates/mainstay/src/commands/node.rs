//! The node as a process: the hidden command that is one, and how `up --detach` starts it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use sys::FileError;
use sys::files::open_itself;
use sys::lock::LockError;
use sys::process::Seen;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::failure::{Exit, Failure};
use super::session::Session;
use super::wait::LOOK_EVERY;
use crate::api::client::Client;
use crate::api::server;
use crate::node::call::CALLS_WAITING_MAX;
use crate::node::down_request::Purpose;
use crate::node::layout::Layout;
use crate::node::store::{LOCK, StoreError};
use crate::node::{Ended, Node, StartError, Wish};
use crate::terminal::progress::Progress;

/// Runs the node of a state directory until it is told to end
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Takes over what runs only to stop it.
    #[arg(long)]
    down: bool,
    /// Takes over what runs to be given a file.
    #[arg(long, conflicts_with = "down")]
    up: bool,
}

impl Arguments {
    fn purpose(&self) -> Purpose {
        match (self.up, self.down) {
            (true, _) => Purpose::Apply,
            (false, true) => Purpose::Stop,
            (false, false) => Purpose::GoOn,
        }
    }
}

/// How long a node that was just started may take until it answers.
pub(crate) const START_TIME_MAX: Duration = Duration::from_secs(30);
/// How long a node that starts waits for a command that has the state directory, as `plan` has while it asks servers
/// for their versions. Another node answers, and is not waited for.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(15);
/// How much of its last words, or of the end of its log, is shown when a detached node dies at once.
const WORDS_SHOWN_MAX: u64 = 4 << 10;
/// A disk with less space than this is as good as full: records are written in steps of about as much.
const SPACE_MIN: u64 = 1 << 20;

/// Is the node, in a session of its own. Where a command started it and waits, why it failed is said on standard output
/// too: standard error is its log then, which may be on a disk that is full.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let ended = run_until_told(arguments, session).await;
    if let (Err(failure), Purpose::Apply | Purpose::Stop) = (&ended, arguments.purpose()) {
        session.terminal.print(&failure.text(&session.terminal))?;
    }
    ended
}

/// SIGTERM, SIGINT and SIGHUP end it and leave what it runs to the shims.
async fn run_until_told(arguments: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    // Fails only where this process leads a group already, as under a service manager, and needs no new one.
    let _leads_already = rustix::process::setsid().is_err();
    let (wish, wished) = watch::channel(Wish::Run);
    let mut node = std::pin::pin!(serve(session, arguments.purpose(), wished));
    tokio::select! {
        ended = &mut node => return ended.map(|_| ExitCode::SUCCESS),
        asked = asked_to_end() => drop(asked?),
    }
    wish.send_replace(Wish::Leave);
    node.await.map(|_| ExitCode::SUCCESS)
}

/// A signal that asks this process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// SIGTERM, or the terminal closed.
    End,
}

/// Waits for such a signal.
pub(crate) async fn asked_to_end() -> Result<Asked, Failure> {
    let listen = |kind| signal(kind).map_err(|error| Failure::doing("cannot listen for signals", &error));
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    Ok(tokio::select! {
        _ = interrupt.recv() => Asked::Interrupt,
        _ = terminate.recv() => Asked::End,
        _ = hangup.recv() => Asked::End,
    })
}

/// The node of this session's state directory, in this process, with its control API.
pub(crate) async fn serve(
    session: &Session,
    purpose: Purpose,
    mut wish: watch::Receiver<Wish>,
) -> Result<Ended, Failure> {
    let layout = session.layout()?;
    let node = tokio::select! {
        node = take_over(&layout, session, purpose) => node?,
        _ = wish.wait_for(|wish| *wish != Wish::Run) => return Ok(Ended::BeforeItBegan),
    };
    let socket = layout.control_socket();
    let listener = server::bind(&socket)
        .map_err(|error| Failure::doing(format!("cannot listen on {}", socket.display()), &error))?;
    let (calls, received) = mpsc::channel(CALLS_WAITING_MAX);
    let settings = server::Settings {
        calls,
        tasks: node.tasks(),
        logs: layout.logs(),
        journal: layout.journal(),
        newest: node.newest_entry(),
    };
    let (stop, stopped) = watch::channel(false);
    let running = async {
        let ended = node.run(received, wish).await;
        // The socket goes first: whoever finds none knows that the node is done. Of a directory that was taken away it may
        // be another node's by now.
        let removed = ended.as_ref().map_or(Ok(()), |_| std::fs::remove_file(&socket));
        stop.send_replace(true);
        if matches!(ended, Ok(Ended::Down)) {
            layout.remove_runtime();
        }
        (ended, removed)
    };
    let ((ended, removed), ()) = tokio::join!(running, server::serve(listener, settings, stopped));
    removed.map_err(|error| Failure::doing(format!("cannot remove {}", socket.display()), &error))?;
    ended.map_err(|error| Failure::of(&error))
}

/// Starts a node, once no command that looks at the state directory has it any more.
async fn take_over(layout: &Layout, session: &Session, purpose: Purpose) -> Result<Node, Failure> {
    let client = session.client()?;
    let begun = sys::clock::now().steady;
    loop {
        match Node::start(layout.clone(), layout.tag(), &session.around, purpose) {
            Err(StartError::Store(StoreError::Lock(LockError::Held { .. })))
                if sys::clock::now().steady.saturating_sub(begun) < COMMAND_TIME_MAX && !client.is_served().await? =>
            {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            started => return started.map_err(cannot_start),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what an error is turned into")]
fn cannot_start(error: StartError) -> Failure {
    let failure = Failure::of(&error);
    match error {
        StartError::Store(StoreError::Lock(LockError::Held { .. })) => failure.with_exit(Exit::InUse),
        _ => failure,
    }
}

/// Starts a node beside this process and waits until it answers, or another that was quicker does. One that is to stop
/// what runs may be done before it could.
pub(crate) async fn detach(
    session: &Session,
    client: &Client,
    purpose: Purpose,
    limit: Duration,
) -> Result<(), Failure> {
    let layout = session.layout()?;
    layout.make_state().map_err(|error| Failure::of(&error))?;
    let log = layout.node_log();
    let mut heard = listen()?;
    let mut node = start(session, purpose, &heard, open_log(&layout)?)?;
    let begun = sys::clock::now().steady;
    let mut progress = Progress::new(&session.terminal);
    loop {
        let answers = match purpose {
            Purpose::GoOn | Purpose::Apply => client.is_served().await?,
            // One that has nothing left to stop may end in the middle of its answer.
            Purpose::Stop => client.is_served().await.unwrap_or(false),
        };
        if answers {
            return Ok(());
        }
        let ended = node.try_wait().map_err(|error| Failure::doing("cannot watch the node", &error))?;
        if let Some(status) = ended {
            let was_late = status.code() == Some(Exit::InUse.code().into());
            match holder(&layout)? {
                Some(_) if was_late => {}
                // Done, killed, or late: its caller looks what there is left to stop.
                _ if purpose == Purpose::Stop && (status.success() || status.code().is_none() || was_late) => {
                    return Ok(());
                }
                _ => {
                    let problems = last_words(&mut heard, &log);
                    let hints = room_to_make(layout.state()).into_iter().collect();
                    return Err(Failure { problems, hints, ..Failure::new(format!("the node ended: {status}")) });
                }
            }
        }
        let elapsed = sys::clock::now().steady.saturating_sub(begun);
        if elapsed >= limit {
            return Err(silent(limit).with_hint(format!("{} holds what it has to say", log.display())));
        }
        progress.show("waiting for the node to answer", elapsed);
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// The process that holds the state directory.
pub(crate) fn holder(layout: &Layout) -> Result<Option<Seen>, Failure> {
    let unseen = |error: FileError| Failure::of(&error);
    let Some(pid) = sys::lock::holder(layout.state(), LOCK).map_err(unseen)? else { return Ok(None) };
    Ok(sys::process::look(pid).map_err(unseen)?.filter(|seen| !seen.zombie))
}

/// Waits until the node in this process answers.
pub(crate) async fn until_it_answers(client: &Client, limit: Duration) -> Result<(), Failure> {
    let waiting = async {
        while !client.is_served().await? {
            tokio::time::sleep(LOOK_EVERY / 4).await;
        }
        Ok(())
    };
    tokio::time::timeout(limit, waiting).await.unwrap_or_else(|_| Err(silent(limit)))
}

fn silent(limit: Duration) -> Failure {
    Failure::new(format!("the node does not answer after {} s", limit.as_secs())).with_exit(Exit::NotReady)
}

/// The log of a node that is started. What one before it said, such as why it crashed, is kept beside it; where another
/// process has the state directory, these may be its words, and what comes follows them.
fn open_log(layout: &Layout) -> Result<File, Failure> {
    let log = layout.node_log();
    let cannot = |error: std::io::Error| Failure::doing(format!("cannot open {}", log.display()), &error);
    let file = || {
        let mut appending = OpenOptions::new();
        open_itself(appending.append(true).create(true).mode(0o600), &log).map_err(cannot)
    };
    let earlier = file()?;
    if earlier.metadata().map_err(cannot)?.len() == 0 || holder(layout)?.is_some() {
        return Ok(earlier);
    }
    std::fs::rename(&log, layout.earlier_node_log()).map_err(cannot)?;
    file()
}

/// Memory that a node which is started says into why it failed. It is on no disk, and gone with the two processes.
fn listen() -> Result<File, Failure> {
    let memory = rustix::fs::memfd_create(c"mainstay-node", rustix::fs::MemfdFlags::CLOEXEC);
    memory.map(File::from).map_err(|error| Failure::doing("cannot start the node", &error))
}

fn start(session: &Session, purpose: Purpose, heard: &File, log: File) -> Result<Child, Failure> {
    let cannot = |error: std::io::Error| Failure::doing("cannot start the node", &error);
    let output = heard.try_clone().map_err(cannot)?;
    let program = std::env::current_exe().map_err(cannot)?;
    Command::new(program)
        .arg("node")
        .args(match purpose {
            Purpose::GoOn => None,
            Purpose::Apply => Some("--up"),
            Purpose::Stop => Some("--down"),
        })
        .args(session.same_place()?)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(log)
        .spawn()
        .map_err(cannot)
}

/// What a node that failed said to its caller, else the end of its log.
fn last_words(heard: &mut File, log: &Path) -> Vec<String> {
    let words = match end_of(heard) {
        Ok(words) if words.is_empty() => File::open(log).and_then(|mut log| end_of(&mut log)),
        heard => heard,
    };
    words.unwrap_or_else(|error| vec![format!("its log {} cannot be read: {error}", log.display())])
}

fn end_of(file: &mut File) -> std::io::Result<Vec<String>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(WORDS_SHOWN_MAX)))?;
    let mut bytes = Vec::new();
    file.take(WORDS_SHOWN_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// What to do where the disk of a state directory is full.
pub(crate) fn room_to_make(state: &Path) -> Option<String> {
    let disk = rustix::fs::statvfs(state).ok()?;
    let full = disk.f_bavail.saturating_mul(disk.f_frsize) < SPACE_MIN;
    full.then(|| format!("the disk of {} is full: make room there and say it again", state.display()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::node::surroundings::Surroundings;

    #[test]
    fn last_words_come_from_memory_where_the_log_took_none() {
        let log = std::env::temp_dir().join(format!("mainstay-last-words-{}", std::process::id()));
        std::fs::write(&log, "of the log").unwrap();
        let mut heard = listen().unwrap();
        assert_eq!(last_words(&mut heard, &log), ["of the log"]);
        heard.write_all(b"error: cannot write\nhint: wait").unwrap();
        assert_eq!(last_words(&mut heard, &log), ["error: cannot write", "hint: wait"]);
        std::fs::remove_file(&log).unwrap();
    }

    #[test]
    fn what_the_node_before_said_is_kept_once() {
        let state = std::env::temp_dir().join(format!("mainstay-node-log-{}", std::process::id()));
        let layout = Layout::new(&state, "log", &Surroundings::default(), Some(Path::new("/none/key"))).unwrap();
        layout.make_state().unwrap();
        let node_says = |words: &str| open_log(&layout).unwrap().write_all(words.as_bytes()).unwrap();
        let kept = || [layout.node_log(), layout.earlier_node_log()].map(|log| std::fs::read_to_string(log).ok());
        let texts = |log: &str, earlier: Option<&str>| [Some(log.to_owned()), earlier.map(str::to_owned)];

        node_says("panicked");
        assert_eq!(kept(), texts("panicked", None));
        node_says("");
        assert_eq!(kept(), texts("", Some("panicked")));
        node_says("");
        assert_eq!(kept(), texts("", Some("panicked")), "nodes that say nothing push nothing out");
        node_says("again");
        let lock = sys::lock::Lock::take(&state, LOCK).unwrap();
        node_says(", late");
        assert_eq!(kept(), texts("again, late", Some("panicked")), "they were those of the node that is there");
        drop(lock);
        node_says("");
        assert_eq!(kept(), texts("", Some("again, late")));
        std::fs::remove_dir_all(&state).unwrap();
    }
}
