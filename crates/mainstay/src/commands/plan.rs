//! `mainstay plan`: what `up` would do, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirBuilder;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use model::{Port, UnitId};
use plan::change::Presence;
use supervise::record::{RECORD_FILE, Record, Stage};
use sys::process::unit::Census;

use super::check;
use super::failure::{Exit, Failure};
use super::session::Session;
use crate::api::bodies::{FileBody, PlanBody};
use crate::node::answer::plan_body;
use crate::node::applied::Applied;
use crate::node::consider::{Against, Programs, consider};
use crate::node::finds::{Finds, Halt};
use crate::node::layout::Layout;
use crate::node::machine_facts::MachineFacts;
use crate::node::store::Store;
use crate::node::surroundings::Surroundings;
use crate::terminal::Terminal;

/// Shows what `up` would do, and what follows from the objectives
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {}

/// Asks for the plan and prints it.
pub(crate) async fn run(_: &Arguments, session: &Session) -> Result<ExitCode, Failure> {
    let file = session.file()?;
    check::accepted(&file, session)?;
    let body = session.file_body(&file)?;
    let client = session.client()?;
    let plan = match client.is_served().await? {
        true => client.plan(&body).await?,
        false => without_node(&body, session)?,
    };
    show(&plan, &session.terminal)?;
    Ok(if plan.refusals.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Exit::Failed.code()) })
}

/// Prints a plan.
pub(crate) fn show(plan: &PlanBody, terminal: &Terminal) -> Result<(), Failure> {
    match terminal.is_json() {
        true => terminal.print_json(plan)?,
        false => terminal.print(&plan.text)?,
    }
    Ok(())
}

/// The plan where no node runs: against what was kept, or against nothing where nothing ever was, not even a secret.
fn without_node(file: &FileBody, session: &Session) -> Result<PlanBody, Failure> {
    let layout = session.layout()?;
    match layout.holds_records() {
        true => considered(file, layout, session),
        false => {
            layout.refuse_somebody_elses().map_err(|error| Failure::of(&error))?;
            let passing = Passing::new()?;
            considered(file, passing.layout(session)?, session)
        }
    }
}

fn considered(file: &FileBody, layout: Layout, session: &Session) -> Result<PlanBody, Failure> {
    let mut store = Store::open(layout).map_err(|error| Failure::of(&error))?;
    let applied = Applied::load(&mut store.records).map_err(|error| Failure::of(&error))?;
    let machine = MachineFacts::find(&session.around).map_err(|error| Failure::of(&error))?;
    let units = left(&store.layout)?;
    let mut against = Against {
        machine: &machine,
        layout: &store.layout,
        applied: &applied,
        vault: &store.vault,
        programs: Programs::Current,
        units: &units,
        // Only a node finds out what it cannot run.
        held: &BTreeSet::new(),
        unattended: true,
        free_port: &mut free_port,
    };
    let mut finds = Finds::default();
    loop {
        match consider(file, &mut against, &finds) {
            Ok(considered) => return Ok(plan_body(&considered)),
            Err(Halt::Refused(error)) => return Err(error.into()),
            Err(Halt::Needs(chore)) => {
                chore.carry_out(&mut finds, &store.layout.artefacts()).map_err(|error| Failure::of(&error))?;
            }
        }
    }
}

/// The units of which a node that is gone left processes.
fn left(layout: &Layout) -> Result<BTreeMap<UnitId, Presence>, Failure> {
    let names = sys::files::names(&layout.units()).map_err(|error| Failure::of(&error))?;
    let units = names.iter().filter_map(|name| name.parse::<UnitId>().ok());
    let census = Census::take().map_err(|error| Failure::of(&error))?;
    let mut left = BTreeMap::new();
    for unit in units {
        let folder = layout.units().join(unit.to_string());
        if !census.members(&folder).map_err(|error| Failure::of(&error))?.is_empty() {
            left.insert(unit, if was_stopping(&folder) { Presence::Stopping } else { Presence::Up });
        }
    }
    Ok(left)
}

/// Whether the node had begun to stop a unit, as far as its record tells.
fn was_stopping(folder: &Path) -> bool {
    let record = std::fs::read(folder.join(RECORD_FILE)).ok().and_then(|bytes| Record::decode(&bytes).ok());
    record.is_some_and(|record| record.stage == Stage::Stopping)
}

/// A port on which nothing listens; `None` when none can be had.
fn free_port() -> Option<Port> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    Port::new(listener.local_addr().ok()?.port())
}

/// An empty state directory for one plan, so that planning leaves nothing behind.
struct Passing {
    folder: PathBuf,
}

impl Passing {
    fn new() -> Result<Self, Failure> {
        let folder = std::env::temp_dir().join(format!("mainstay-plan-{}", std::process::id()));
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Failure::doing(format!("cannot make {}", folder.display()), &error))?;
        Ok(Self { folder })
    }

    fn layout(&self, session: &Session) -> Result<Layout, Failure> {
        let around = Surroundings { root: false, runtime_dir: Some(self.folder.clone()), ..session.around.clone() };
        let layout = Layout::new(&self.folder.join("state"), "plan", &around, Some(&self.folder.join("key")));
        layout.map_err(|error| Failure::of(&error))
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        // It lies where the system clears up.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
