//! What was applied, as the records keep it: the node that starts next goes on from exactly this.
//!
//! Start reading at [`Applied`]. One change of the records holds everything that an application of a file
//! changes, so a node that dies in between has applied it wholly or not at all.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use model::stack::Resource;
use model::{
    ByteSize, Digest, Exit, Port, ReleaseNumber, ReplicaNumber, ResourceName, RunNumber, SecretName, ServiceName,
    Stack, Timestamp, UnitId,
};
use plan::release::Command;
use services::user::Owner;
use services::{job, release};
use sys::records::{Change, Records, RecordsError, Stored};

use super::down_request::DownRequest;

/// Releases of a service that are kept, the running ones among them.
pub(crate) const RELEASES_KEPT: usize = 10;
/// Ended runs of a service that are kept, unless their output is too much.
const RUNS_KEPT: usize = 200;
/// Output of a service's ended runs that is kept: as much as a dozen runs can have whose logs are full.
const RUN_OUTPUT_MAX: ByteSize = ByteSize::mebibytes(600);
/// The only key of kinds that have one record.
const ONLY: &str = "";

/// Everything that is applied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Applied {
    /// The file's outcome; absent before the first application.
    pub(crate) current: Option<Current>,
    /// Each resource that there ever was.
    pub(crate) resources: BTreeMap<ResourceName, KnownResource>,
    /// The user id of each service and resource there ever was.
    pub(crate) users: BTreeMap<Owner, u32>,
    /// The releases, oldest first.
    pub(crate) releases: BTreeMap<ServiceName, Vec<release::Record>>,
    /// The releases of folders, oldest first.
    pub(crate) sites: BTreeMap<ServiceName, Vec<release::SiteRecord>>,
    /// The replicas that each rollout last asked for. Stored before it is carried out: a node that starts wants
    /// exactly these until it knows how they do, so that it stops and starts nothing that the rollout would not.
    pub(crate) rollouts: BTreeMap<ServiceName, BTreeSet<(ReleaseNumber, ReplicaNumber)>>,
    /// Where schedules and runs stand.
    pub(crate) jobs: BTreeMap<ServiceName, job::Record>,
    /// The runs that go on, and the last that ended.
    pub(crate) runs: BTreeMap<UnitId, Run>,
}

/// What a file came to.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Current {
    /// The file's absolute path.
    pub(crate) path: PathBuf,
    /// Its text.
    pub(crate) text: String,
    /// The stack that it describes.
    pub(crate) stack: Stack,
    /// The release that each service is to run.
    pub(crate) releases: BTreeMap<ServiceName, ReleaseNumber>,
    /// The release of each folder that the edge is to send.
    #[serde(default)]
    pub(crate) sites: BTreeMap<ServiceName, ReleaseNumber>,
    /// When it was applied.
    pub(crate) at: Timestamp,
}

impl Current {
    /// What was applied last, by the records in this file, which is left as it is.
    pub(crate) fn look(records: &Path) -> Result<Option<Self>, RecordsError> {
        sys::records::look(records, ONLY)
    }
}

/// A resource that runs or that ran and whose data is kept.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct KnownResource {
    /// As what it was last asked for.
    pub(crate) resource: Resource,
    /// The port it keeps.
    pub(crate) port: Port,
    /// The major version of its data.
    pub(crate) major: u32,
    /// Whether it is wanted.
    pub(crate) wanted: bool,
}

/// One run of a service's release.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Run {
    /// Whether a person asked for it; a schedule did otherwise.
    pub(crate) by_hand: bool,
    /// The command, when it is not the release's own, until the run has ended: passwords may have been typed in it.
    pub(crate) command: Option<Command>,
    /// When it was asked for.
    pub(crate) asked: Timestamp,
    /// How it ended, once it has.
    pub(crate) ended: Option<Exit>,
    /// How much of its output was kept when it ended.
    pub(crate) output: ByteSize,
}

impl Run {
    /// A run that begins.
    pub(crate) fn begin(command: Option<Command>, asked: Timestamp) -> Self {
        Self { by_hand: command.is_some(), command, asked, ended: None, output: ByteSize::default() }
    }

    /// The run once it has ended this way, with this much output.
    pub(crate) fn end(&self, exit: Exit, output: ByteSize) -> Self {
        Self { command: None, ended: Some(exit), output, ..self.clone() }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct UserRows(BTreeMap<Owner, u32>);

#[derive(serde::Serialize, serde::Deserialize)]
struct RolloutRow(BTreeSet<(ReleaseNumber, ReplicaNumber)>);

#[derive(serde::Serialize, serde::Deserialize)]
struct ReleaseRow(release::Record);

#[derive(serde::Serialize, serde::Deserialize)]
struct SiteRow(release::SiteRecord);

#[derive(serde::Serialize, serde::Deserialize)]
struct JobRow(job::Record);

macro_rules! stored {
    ($($type:ty, $kind:literal, $version:expr;)*) => {$(
        impl Stored for $type {
            const KIND: &'static str = $kind;
            const VERSION: u32 = $version;
        }
    )*};
}
stored! {
    Current, "applied", 1;
    KnownResource, "resource", 1;
    Run, "run", 1;
    UserRows, "users", 1;
    RolloutRow, "rollout", 1;
    ReleaseRow, "release", release::RECORD_VERSION;
    SiteRow, "site", release::RECORD_VERSION;
    JobRow, "job", job::RECORD_VERSION;
}

impl Applied {
    /// Reads everything back. Rows whose key is no name any more were written by nobody and are passed over.
    pub(crate) fn load(records: &mut Records) -> Result<Self, RecordsError> {
        let mut applied = Self { current: records.get(ONLY)?, ..Self::default() };
        applied.users = records.get::<UserRows>(ONLY)?.map(|rows| rows.0).unwrap_or_default();
        applied.resources = by_key(records.list::<KnownResource>()?);
        applied.runs = by_key(records.list::<Run>()?);
        applied.rollouts = by_key(records.list::<RolloutRow>()?).into_iter().map(|(name, row)| (name, row.0)).collect();
        applied.jobs = by_key(records.list::<JobRow>()?).into_iter().map(|(name, row)| (name, row.0)).collect();
        for (_, ReleaseRow(release)) in records.list::<ReleaseRow>()? {
            applied.releases.entry(release.service.clone()).or_default().push(release);
        }
        applied.releases.values_mut().for_each(|releases| releases.sort_by_key(|release| release.number));
        for (_, SiteRow(site)) in records.list::<SiteRow>()? {
            applied.sites.entry(site.service.clone()).or_default().push(site);
        }
        applied.sites.values_mut().for_each(|sites| sites.sort_by_key(|site| site.number));
        Ok(applied)
    }

    /// The release that a service is to run.
    pub(crate) fn wanted_release(&self, service: &ServiceName) -> Option<&release::Record> {
        let number = *self.current.as_ref()?.releases.get(service)?;
        self.release(service, number)
    }

    /// A release by its number.
    pub(crate) fn release(&self, service: &ServiceName, number: ReleaseNumber) -> Option<&release::Record> {
        self.releases.get(service)?.iter().find(|release| release.number == number)
    }

    /// The newest release of a service, wanted or not: the next one's number follows it.
    pub(crate) fn newest_release(&self, service: &ServiceName) -> Option<&release::Record> {
        self.releases.get(service)?.last()
    }

    /// The release of a folder that the edge is to send.
    pub(crate) fn wanted_site(&self, service: &ServiceName) -> Option<&release::SiteRecord> {
        let number = *self.current.as_ref()?.sites.get(service)?;
        self.sites.get(service)?.iter().find(|site| site.number == number)
    }

    /// The newest release of a folder, wanted or not.
    pub(crate) fn newest_site(&self, service: &ServiceName) -> Option<&release::SiteRecord> {
        self.sites.get(service)?.last()
    }

    /// The newest of the older releases of a service that a release is the same as: it goes back to that.
    pub(crate) fn same_before(&self, release: &release::Record) -> Option<ReleaseNumber> {
        let older = self.releases.get(&release.service)?.iter().rev().filter(|it| it.number < release.number);
        older.into_iter().find(|it| it.content == release.content).map(|it| it.number)
    }

    /// Where a service's runs stand.
    pub(crate) fn job(&self, service: &ServiceName, now: Timestamp) -> job::Record {
        self.jobs.get(service).cloned().unwrap_or_else(|| job::Record::new(service.clone(), now))
    }

    /// The services that receive a secret: by the file, or by a release of which something may run.
    pub(crate) fn receivers(&self, secret: &SecretName) -> BTreeSet<ServiceName> {
        let current = self.current.iter().flat_map(|current| &current.stack.services);
        let by_file = current.filter(|(_, service)| service.secrets.contains(secret)).map(|(name, _)| name);
        let replicas =
            self.rollouts.iter().flat_map(|(name, replicas)| replicas.iter().map(move |(of, _)| (name, *of)));
        let going_on = self.runs.iter().filter(|(_, run)| run.ended.is_none());
        let runs = going_on.filter_map(|(unit, _)| Some((unit.service()?, unit.release()?)));
        let receives = |(name, of): &(&ServiceName, ReleaseNumber)| {
            self.release(name, *of).is_some_and(|release| release.content.secrets.contains_key(secret))
        };
        let by_release = replicas.chain(runs).filter(receives).map(|(name, _)| name);
        by_file.chain(by_release).cloned().collect()
    }

    /// The copies that something may still run, or the edge send.
    pub(crate) fn artefacts(&self) -> BTreeSet<Digest> {
        let releases = self.releases.values().flatten().flat_map(|it| release::artefacts(&it.content));
        let going_on = self.runs.values().filter(|run| run.ended.is_none());
        let by_hand = going_on.filter_map(|run| release::artefact(run.command.as_ref()?));
        let sites = self.sites.values().flatten().map(|it| it.site.digest);
        releases.chain(by_hand).chain(sites).collect()
    }

    /// Whether a unit is of something that is kept; the folder and the logs of any other one are history.
    pub(crate) fn keeps(&self, unit: &UnitId) -> bool {
        match unit {
            UnitId::Resource(_) | UnitId::Edge => true,
            UnitId::Replica(service, release, _) | UnitId::ReleaseRun(service, release) => {
                self.release(service, *release).is_some()
            }
            UnitId::Run(..) => self.runs.contains_key(unit),
        }
    }

    /// The ended runs of a service that are no longer kept once this one has ended too, the newest first.
    pub(crate) fn runs_to_drop(&self, unit: &UnitId, ended: &Run) -> Vec<UnitId> {
        let is_before = |it: &(&UnitId, &Run)| it.0.service() == unit.service() && it.1.ended.is_some();
        let mut before: Vec<(&UnitId, &Run)> = self.runs.iter().filter(is_before).collect();
        before.sort_by_key(|(unit, _)| Reverse(run_number(unit)));
        // The one that ends now stays whatever its number: somebody may be about to ask how it ended.
        let mut output = ended.output;
        let is_kept = |(newer, (_, run)): &(usize, (&UnitId, &Run))| {
            output = output.saturating_add(run.output);
            *newer < RUNS_KEPT && output <= RUN_OUTPUT_MAX
        };
        (1..).zip(before).skip_while(is_kept).map(|(_, (unit, _))| unit.clone()).collect()
    }

    /// The runs of a service that go on.
    pub(crate) fn going_on(&self, service: &ServiceName) -> impl Iterator<Item = (&UnitId, &Run)> {
        self.runs.iter().filter(move |(unit, run)| unit.service() == Some(service) && run.ended.is_none())
    }
}

/// Releases that are no longer kept.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) releases: Vec<release::Record>,
    pub(crate) sites: Vec<release::SiteRecord>,
}

/// Writes everything that an application changed, the releases that are no longer kept included, and takes back a stop
/// that was asked for before.
pub(crate) fn save_applied(records: &mut Records, applied: &Applied, dropped: &Dropped) -> Result<(), RecordsError> {
    let mut change = Change::default();
    if let Some(current) = &applied.current {
        change.put(ONLY, current)?;
    }
    change.put(ONLY, &UserRows(applied.users.clone()))?;
    for (name, resource) in &applied.resources {
        change.put(name.as_str(), resource)?;
    }
    for release in applied.releases.values().flatten() {
        change.put(&release_key(&release.service, release.number), &ReleaseRow(release.clone()))?;
    }
    for release in &dropped.releases {
        change.remove::<ReleaseRow>(&release_key(&release.service, release.number));
    }
    for site in applied.sites.values().flatten() {
        change.put(&release_key(&site.service, site.number), &SiteRow(site.clone()))?;
    }
    for site in &dropped.sites {
        change.remove::<SiteRow>(&release_key(&site.service, site.number));
    }
    for (service, job) in &applied.jobs {
        change.put(service.as_str(), &JobRow(job.clone()))?;
    }
    DownRequest::withdraw_with(&mut change);
    records.change(change)
}

/// Writes what a rollout asks for, before it is carried out.
pub(crate) fn save_rollout(
    records: &mut Records,
    service: &ServiceName,
    replicas: &BTreeSet<(ReleaseNumber, ReplicaNumber)>,
) -> Result<(), RecordsError> {
    records.put(service.as_str(), &RolloutRow(replicas.clone()))
}

/// Writes where a service's runs stand together with a run that begins.
pub(crate) fn save_job(
    records: &mut Records,
    job: &job::Record,
    run: Option<&(UnitId, Run)>,
) -> Result<(), RecordsError> {
    let mut change = Change::default();
    change.put(job.service.as_str(), &JobRow(job.clone()))?;
    if let Some((unit, run)) = run {
        change.put(&unit.to_string(), run)?;
    }
    records.change(change)
}

/// Writes that a run ended, in the place of those that are no longer kept.
pub(crate) fn save_ended(
    records: &mut Records,
    unit: &UnitId,
    ended: &Run,
    dropped: &[UnitId],
) -> Result<(), RecordsError> {
    let mut change = Change::default();
    change.put(&unit.to_string(), ended)?;
    for unit in dropped {
        change.remove::<Run>(&unit.to_string());
    }
    records.change(change)
}

/// The run's number within its service.
pub(crate) fn run_number(unit: &UnitId) -> Option<RunNumber> {
    match unit {
        UnitId::Run(_, _, number) => Some(*number),
        UnitId::Resource(_) | UnitId::Edge | UnitId::ReleaseRun(..) | UnitId::Replica(..) => None,
    }
}

fn release_key(service: &ServiceName, number: ReleaseNumber) -> String {
    format!("{service}/{:010}", number.0)
}

fn by_key<K: std::str::FromStr + Ord, V>(rows: Vec<(String, V)>) -> BTreeMap<K, V> {
    rows.into_iter().filter_map(|(key, value)| Some((key.parse().ok()?, value))).collect()
}

#[cfg(test)]
mod tests {
    use model::stack::{CommandLine, Health, Limits, Listen};
    use model::{Span, TimeZoneName};
    use plan::release::{Content, Program};

    use super::*;

    fn command(byte: u8) -> Command {
        let line = CommandLine::new(vec!["./api".to_owned()]).unwrap();
        Command { line, program: Program::Frozen { digest: Digest([byte; 32]), name: "api".to_owned() } }
    }

    fn ended(run: &Run, output: ByteSize) -> Run {
        run.end(Exit { at: Timestamp::from_millis(1), status: model::ExitStatus::Code(0) }, output)
    }

    /// The numbers of the runs that go when run `last` of a service ends, each of its runs having this much output.
    fn dropped(last: u32, output: ByteSize) -> Vec<u32> {
        let unit = |number: u32| UnitId::Run("api".parse().unwrap(), ReleaseNumber(2), RunNumber(number));
        let run = ended(&Run::begin(None, Timestamp::from_millis(0)), output);
        let runs = (1..last).map(|number| (unit(number), run.clone()));
        let applied = Applied { runs: runs.collect(), ..Applied::default() };
        let dropped = applied.runs_to_drop(&unit(last), &run);
        dropped.iter().filter_map(|unit| Some(run_number(unit)?.0)).collect()
    }

    #[test]
    fn two_hundred_ended_runs_of_a_service_are_kept() {
        assert_eq!(dropped(200, ByteSize::mebibytes(1)), [0; 0]);
        assert_eq!(dropped(202, ByteSize::mebibytes(1)), [2, 1]);
    }

    #[test]
    fn so_many_runs_are_kept_that_their_output_is_not_too_much() {
        assert_eq!(dropped(10, ByteSize::mebibytes(60)), [0; 0]);
        assert_eq!(dropped(12, ByteSize::mebibytes(60)), [2, 1]);
        assert_eq!(dropped(2, ByteSize::mebibytes(601)), [1], "the last one stays in any case");
    }

    #[test]
    fn neither_runs_that_go_on_nor_those_of_others_make_room() {
        let mut applied = applied();
        let full = ended(&Run::begin(None, Timestamp::from_millis(0)), ByteSize::mebibytes(600));
        assert_eq!(applied.runs_to_drop(&"web.1.run.1".parse().unwrap(), &full), []);
        applied.runs.insert("api.2.run.5".parse().unwrap(), full.clone());
        let dropped = applied.runs_to_drop(&"api.2.run.8".parse().unwrap(), &full);
        assert_eq!(dropped, ["api.2.run.5".parse().unwrap()]);
    }

    /// Release 2 receives KEY and runs as a replica; release 1 receives OLD; a run by hand of another program goes
    /// on, and one has ended.
    fn applied() -> Applied {
        let release = |number: u32, secret: &str| release::Record {
            service: "api".parse().unwrap(),
            number: ReleaseNumber(number),
            made: Timestamp::from_millis(0),
            content: Content {
                folder: "/srv/shop".into(),
                command: command(u8::try_from(number).unwrap()),
                hook: None,
                env: BTreeMap::new(),
                secrets: [(secret.parse().unwrap(), 1)].into(),
                connections: BTreeMap::new(),
                listen: Listen::None,
                user: None,
                volumes: Vec::new(),
                limits: Limits::default(),
                health: Health { ready: None, live: None, drain: Span::secs(30) },
                timezone: TimeZoneName::utc(),
            },
        };
        let run = |program: u8| Run::begin(Some(command(program)), Timestamp::from_millis(0));
        let ended = ended(&run(6), ByteSize::default());
        Applied {
            releases: [("api".parse().unwrap(), vec![release(1, "OLD"), release(2, "KEY")])].into(),
            rollouts: [("api".parse().unwrap(), [(ReleaseNumber(2), ReplicaNumber(1))].into())].into(),
            runs: [("api.2.run.7".parse().unwrap(), run(7)), ("api.2.run.6".parse().unwrap(), ended)].into(),
            ..Applied::default()
        }
    }

    #[test]
    fn a_secret_is_received_for_as_long_as_a_release_that_has_it_may_run() {
        let api: BTreeSet<ServiceName> = ["api".parse().unwrap()].into();
        let mut applied = applied();
        assert_eq!(applied.receivers(&"KEY".parse().unwrap()), api);
        assert_eq!(applied.receivers(&"OLD".parse().unwrap()), BTreeSet::new());
        applied.rollouts.clear();
        assert_eq!(applied.receivers(&"KEY".parse().unwrap()), api, "its run goes on");
        applied.runs.clear();
        assert_eq!(applied.receivers(&"KEY".parse().unwrap()), BTreeSet::new());
    }

    #[test]
    fn a_release_that_is_as_an_older_one_goes_back_to_it() {
        let mut applied = applied();
        let releases = applied.releases.get_mut(&"api".parse().unwrap()).unwrap();
        let mut third = releases[0].clone();
        third.number = ReleaseNumber(3);
        releases.push(third.clone());
        assert_eq!(applied.same_before(&third), Some(ReleaseNumber(1)));
        let second = applied.releases.values().next().unwrap()[1].clone();
        assert_eq!(applied.same_before(&second), None);
    }

    #[test]
    fn programs_stay_for_releases_and_for_runs_that_go_on() {
        assert_eq!(applied().artefacts(), [1, 2, 7].map(|byte| Digest([byte; 32])).into());
    }

    #[test]
    fn a_run_that_has_ended_keeps_no_words_and_who_asked_for_it() {
        let runs = applied().runs;
        let kept = |unit: &str| serde_json::to_string(&runs[&unit.parse().unwrap()]).unwrap();
        assert!(kept("api.2.run.7").contains("./api"));
        assert!(!kept("api.2.run.6").contains("./api"), "{}", kept("api.2.run.6"));
        assert!(runs[&"api.2.run.6".parse().unwrap()].by_hand);
    }

    #[test]
    fn what_no_release_and_no_run_stands_for_is_history() {
        let keeps = |unit: &str| applied().keeps(&unit.parse().unwrap());
        for kept in ["db", "api.1.1", "api.2.release", "api.2.run.6", "api.2.run.7"] {
            assert!(keeps(kept), "{kept}");
        }
        for gone in ["api.3.1", "web.1.1", "api.3.release", "api.2.run.5"] {
            assert!(!keeps(gone), "{gone}");
        }
    }
}
