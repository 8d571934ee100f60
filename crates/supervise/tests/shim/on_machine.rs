//! The real `System` with real shims: what the supervisor does, done by hand.

use std::path::PathBuf;
use std::time::Duration;

use model::{ExitStatus, ProcessIdentity};
use supervise::protocol::{Report, Request};
use sys::machine::Machine;
use sys::process::child::ShimCommand;
use sys::system::{ConnectionId, Delivery, Event, ProbeOutcome, ProbeTarget, ShimStart, Signal, System, Ticket};
use sys::tasks::Tasks;
use tokio::sync::mpsc;

use crate::unit::{PATIENCE, Unit};

struct Bench {
    unit: Unit,
    machine: Machine<&'static str>,
    events: mpsc::Receiver<Event>,
    tickets: u64,
}

/// Runs a case with a unit of this script on a machine.
fn with(script: &str, case: impl AsyncFnOnce(&mut Bench)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shim = ShimCommand { program: std::env::current_exe().unwrap(), words: vec!["shim".into()] };
        let (machine, events) = Machine::new(shim, Tasks::default(), Default::default(), |task: &'static str| {
            Box::pin(async move {
                match task {
                    "fine" => Ok(()),
                    "panics" => panic!("oh"),
                    other => Err(format!("cannot do {other}")),
                }
            })
        })
        .unwrap();
        let mut bench = Bench { unit: Unit::new(script), machine, events, tickets: 0 };
        case(&mut bench).await;
    });
}

impl Bench {
    async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time").unwrap()
    }

    fn spawn(&mut self) -> ProcessIdentity {
        let launch = serde_json::to_vec(&self.unit.launch).unwrap();
        self.machine
            .spawn_shim(&ShimStart { folder: self.unit.folder.clone(), launch, listening: Default::default() })
            .unwrap()
    }

    async fn connect(&mut self) -> (ConnectionId, Report) {
        let folder = self.unit.folder.clone();
        let end = self.machine.now().steady + PATIENCE;
        let connection = loop {
            if let Some(connection) = self.machine.connect(&folder) {
                break connection;
            }
            assert!(self.machine.now().steady < end, "the shim never listened");
            tokio::task::yield_now().await;
        };
        (connection, self.message(connection).await)
    }

    async fn message(&mut self, from: ConnectionId) -> Report {
        match self.next().await {
            Event::Message { connection, bytes } if connection == from => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, connection: ConnectionId, request: &Request) {
        self.machine.send(connection, &serde_json::to_vec(request).unwrap());
    }

    async fn probe(&mut self, words: &[&str], timeout: Duration) -> ProbeOutcome {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let folder = self.unit.folder.clone();
        self.machine.probe(ticket, ProbeTarget::Command { folder, words }, timeout);
        match self.next().await {
            Event::Probed { ticket: answered, outcome } if answered == ticket => outcome,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn a_unit_lives_and_ends_through_the_machine() {
    with("echo ready; exec sleep 600", async |bench| {
        let shim = bench.spawn();
        assert_eq!(bench.machine.identify(shim.pid), Ok(Some(shim.clone())));
        let (connection, hello) = bench.connect().await;
        let Report::Hello { child: Some(child), .. } = hello else { panic!("{hello:?}") };
        assert_eq!(bench.machine.identify(child.pid), Ok(Some(child.clone())));

        assert_eq!(bench.probe(&["true"], PATIENCE).await, Ok(()));
        let failure = bench.probe(&["sh", "-c", "echo no; exit 3"], PATIENCE).await.unwrap_err();
        assert_eq!((failure.what.as_str(), failure.snippet.as_str()), ("exit code 3: no", "no\n"));
        let long = "seq 1000; printf '\\033[31mno table'; exit 1";
        let failure = bench.probe(&["sh", "-c", long], PATIENCE).await.unwrap_err();
        assert_eq!(failure.what, "exit code 1: [31mno table");
        assert_eq!(failure.snippet.len(), 512, "{}", failure.snippet);
        let failure = bench.probe(&["./no/such/program"], PATIENCE).await.unwrap_err();
        let absent = bench.unit.base.join("no/such/program");
        let told = format!("not run to its end: cannot run {}: there is no such file", absent.display());
        assert_eq!(failure.what, told);
        let failure = bench.probe(&["sleep", "600"], Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(failure.what, "killed after 50ms");

        bench.ask(connection, &Request::Stop { signal: 15, deadline_ms: 20_000 });
        let Report::Exited(report) = bench.message(connection).await else { panic!("no exit") };
        assert_eq!(report.exit.status, ExitStatus::Signal(15));
        assert_eq!(bench.next().await, Event::Closed { connection });
        let folder: PathBuf = bench.unit.folder.clone();
        assert_eq!(bench.machine.connect(&folder), None);
        let record = bench.machine.read(&folder.join("exit.json")).unwrap().unwrap();
        assert_eq!(serde_json::from_slice::<supervise::protocol::ExitReport>(&record).unwrap(), report);
        crate::unit::until("nothing is left", || (bench.machine.sweep(&folder) == Ok(0)).then_some(()));
        assert_eq!(bench.machine.identify(shim.pid), Ok(None));
        let failure = bench.probe(&["true"], PATIENCE).await.unwrap_err();
        assert!(failure.what.starts_with("the unit's shim cannot be asked: "), "{}", failure.what);
    });
}

pub(crate) fn a_killed_shim_is_seen_and_swept_through_the_machine() {
    with("(setsid sleep 600 &); exec sleep 600", async |bench| {
        let shim = bench.spawn();
        let (connection, _) = bench.connect().await;
        assert_eq!(bench.machine.signal(&shim, Signal::Kill), Ok(Delivery::Sent));
        assert_eq!(bench.next().await, Event::Closed { connection });
        let folder = bench.unit.folder.clone();
        crate::unit::until("nothing is left", || (bench.machine.sweep(&folder) == Ok(0)).then_some(()));
        assert_eq!(bench.machine.signal(&shim, Signal::Kill), Ok(Delivery::Gone));
        assert_eq!(bench.machine.read(&folder.join("exit.json")), Ok(None));
    });
}

pub(crate) fn work_is_answered_even_when_it_panics() {
    with("", async |bench| {
        for (number, task) in ["fine", "magic", "panics"].into_iter().enumerate() {
            let ticket = Ticket(number as u64);
            bench.machine.begin(ticket, task);
            let expected = match task {
                "fine" => Ok(()),
                "magic" => Err("cannot do magic".to_owned()),
                _ => Err("it ended without an answer: see the node's tasks".to_owned()),
            };
            assert_eq!(bench.next().await, Event::TaskEnded { ticket, outcome: expected });
        }
    });
}
