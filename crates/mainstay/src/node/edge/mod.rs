//! The edge, as the node sees it: what it was told, what it works by, and how requests went.
//!
//! Start reading at [`Edge`]; [`mod@unit`] is how it runs, [`settings`] and [`certificates`] what it is told, [`link`] how that
//! gets there, and [`window`] what it counts. Nothing here waits, and nothing is sent but by [`link`].

pub(super) mod certificates;
pub(super) mod link;
pub(super) mod settings;
pub(super) mod unit;
pub(super) mod window;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge::certificates::{Certificate, Certificates};
use edge::settings::Settings;
use model::{Timestamp, UnitId};
use plan::traffic::{Endpoints, Reach};
use sys::tasks::Tasks;
use tokio::sync::{mpsc, watch};

use certificates::Issue;
use link::{Heard, Orders};
use window::Window;

/// The edge.
#[derive(Debug)]
pub(crate) struct Edge {
    tell: watch::Sender<Option<Arc<Settings>>>,
    /// What was told and not overtaken: each number with the replicas it leads to, the newest last.
    told: Vec<(u64, BTreeSet<UnitId>)>,
    works_by: WorksBy,
    tell_certificates: watch::Sender<Option<Arc<Certificates>>>,
    /// What those were issued for that it was told last.
    issue: Option<Issue>,
    /// The number of the certificates that it answers with; 0 for none.
    answers_with: u64,
    /// Why it refused those that it was told last.
    refusal: Option<String>,
    connected: bool,
    /// The version of the protocol that it speaks.
    version: u32,
    window: Window,
}

/// Which settings an edge works by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorksBy {
    /// None: it has just begun, or there is no edge.
    Nothing,
    /// Those of an earlier node.
    Foreign,
    /// These.
    Number(u64),
}

/// How the edge stands beside its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EdgeState {
    /// It works by the newest settings and certificates.
    Applied,
    /// It has yet to take them over.
    Applying,
    /// It cannot be reached.
    Unreachable,
}

impl Edge {
    /// An edge of which nothing is known, with a task that keeps a connection to it, and what that hears. Its socket is in
    /// this folder.
    pub(crate) fn link(tasks: &Tasks, folder: &Path) -> (Self, mpsc::Receiver<Heard>) {
        let (edge, orders) = Self::new();
        let (say, heard) = mpsc::channel(link::HEARD_MAX);
        tasks.spawn("edge", "connection to the edge", link::keep(link::control_socket(folder), orders, say));
        (edge, heard)
    }

    /// An edge of which nothing is known, and what it is to be told as it changes.
    fn new() -> (Self, Orders) {
        let (tell, settings) = watch::channel(None);
        let (tell_certificates, certificates) = watch::channel(None);
        let edge = Self {
            tell,
            told: Vec::new(),
            works_by: WorksBy::Foreign,
            tell_certificates,
            issue: None,
            answers_with: 0,
            refusal: None,
            connected: false,
            version: edge::control::VERSION,
            window: Window::default(),
        };
        (edge, Orders { settings, certificates })
    }

    /// Tells the edge to work by these settings, where they say anything new. Their number follows every one before,
    /// of earlier nodes too: those began at the time of theirs.
    pub(crate) fn tell(&mut self, settings: Settings, endpoints: &Endpoints, now: Timestamp) {
        let newest = self.tell.borrow().clone();
        if newest.as_ref().is_some_and(|newest| Settings { number: newest.number, ..settings.clone() } == **newest) {
            return;
        }
        let last = newest.map_or(0, |newest| newest.number);
        self.send(Settings { number: last.saturating_add(1).max(began(now)), ..settings }, endpoints_of(endpoints));
    }

    /// Whether it was told certificates for these hosts that are not to be renewed yet.
    pub(crate) fn is_certified(&self, hosts: &BTreeSet<String>, now: Timestamp) -> bool {
        self.issue.as_ref().is_some_and(|issue| issue.serves(hosts, now))
    }

    /// Tells the edge to answer with these certificates. They are numbered like settings.
    pub(crate) fn certify(&mut self, issue: Issue, list: Vec<Certificate>, now: Timestamp) {
        let number = self.certificates_number().saturating_add(1).max(began(now));
        self.issue = Some(issue);
        self.refusal = None;
        self.tell_certificates.send_replace(Some(Arc::new(Certificates { number, list })));
    }

    /// No HTTPS is served.
    pub(crate) fn forget_certificates(&mut self) {
        self.issue = None;
        self.refusal = None;
        self.tell_certificates.send_if_modified(|told| told.take().is_some());
    }

    /// The number of the certificates that were told last; 0 for none.
    fn certificates_number(&self) -> u64 {
        self.tell_certificates.borrow().as_ref().map_or(0, |told| told.number)
    }

    /// Why the certificates that it was told last cannot be used.
    pub(crate) fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// There is no edge.
    pub(crate) fn forget(&mut self) {
        self.told.clear();
        self.works_by = WorksBy::Nothing;
        self.window = Window::default();
        self.tell.send_replace(None);
    }

    /// Takes in what the edge says; tells whether where it may send requests has changed.
    pub(crate) fn hear(&mut self, heard: Heard, now: Duration) -> bool {
        let before = self.reach();
        match heard {
            Heard::Connected { version, settings, certificates } => {
                self.version = version;
                self.answers_with = certificates;
                self.connected(settings);
            }
            Heard::Applied { settings } => self.applied(settings),
            Heard::CertificatesApplied { certificates } => self.answers_with = certificates,
            Heard::CertificatesRefused { certificates, why } => {
                self.refusal = (certificates == self.certificates_number()).then_some(why);
            }
            Heard::Evidence(report) => self.window.add(now, report),
            Heard::Lost => {
                self.connected = false;
                self.window.lose();
            }
        }
        before != self.reach()
    }

    fn connected(&mut self, settings: u64) {
        self.connected = true;
        match settings {
            0 => self.works_by = WorksBy::Nothing,
            known if self.told.iter().any(|(number, _)| *number == known) => self.applied(known),
            foreign => {
                self.works_by = WorksBy::Foreign;
                self.overtake(foreign);
            }
        }
    }

    /// An edge that works by settings of a higher number than ours is told ours again, under one above.
    fn overtake(&mut self, foreign: u64) {
        let newest = self.tell.borrow().clone();
        let (Some(newest), Some((_, units))) = (newest, self.told.last().cloned()) else { return };
        if newest.number <= foreign {
            self.send(Settings { number: foreign.saturating_add(1), ..(*newest).clone() }, units);
        }
    }

    fn applied(&mut self, settings: u64) {
        if self.told.iter().any(|(number, _)| *number == settings) {
            self.works_by = WorksBy::Number(settings);
            self.told.retain(|(number, _)| *number >= settings);
        }
    }

    fn send(&mut self, settings: Settings, units: BTreeSet<UnitId>) {
        // Of what is not taken over, the union is what counts: two entries say as much as many.
        if let [.., (_, before), (_, last)] = self.told.as_mut_slice() {
            before.append(last);
            self.told.pop();
        }
        self.told.push((settings.number, units));
        self.tell.send_replace(Some(Arc::new(settings)));
    }

    /// Where the edge may send requests now.
    pub(crate) fn reach(&self) -> Reach {
        match self.works_by {
            WorksBy::Foreign => Reach::Anywhere,
            WorksBy::Nothing if self.told.is_empty() => Reach::Nowhere,
            WorksBy::Nothing | WorksBy::Number(_) => {
                Reach::These(self.told.iter().flat_map(|(_, units)| units.iter().cloned()).collect())
            }
        }
    }

    /// How it stands.
    pub(crate) fn standing(&self) -> EdgeState {
        let newest = self.told.last().map(|(number, _)| *number);
        let certified = [0, self.answers_with].contains(&self.certificates_number());
        match newest {
            _ if !self.connected => EdgeState::Unreachable,
            Some(newest) if certified && self.works_by == WorksBy::Number(newest) => EdgeState::Applied,
            _ => EdgeState::Applying,
        }
    }

    /// The version of the protocol that it speaks, where that is another one than this node's.
    pub(crate) fn other_version(&self) -> Option<u32> {
        Some(self.version).filter(|version| self.connected && *version != edge::control::VERSION)
    }

    /// How requests went lately.
    pub(crate) fn window(&self) -> &Window {
        &self.window
    }
}

fn endpoints_of(endpoints: &Endpoints) -> BTreeSet<UnitId> {
    endpoints.values().flat_map(|of_service| of_service.keys().cloned()).collect()
}

/// The first number of a node that begins now.
fn began(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(units: &[&str]) -> Endpoints {
        let of = units.iter().map(|unit| (unit.parse().unwrap(), ([127, 0, 0, 1], 7001).into())).collect();
        [("api".parse().unwrap(), of)].into()
    }

    /// Settings that differ from others by this number.
    fn settings(other: u16) -> Settings {
        Settings { https: model::Port::new(other), ..Settings::default() }
    }

    fn reach(units: &[&str]) -> Reach {
        Reach::These(units.iter().map(|unit| unit.parse().unwrap()).collect())
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1000)
    }

    fn newest(edge: &Edge) -> u64 {
        edge.tell.borrow().as_ref().unwrap().number
    }

    fn hear(edge: &mut Edge, heard: Heard) {
        edge.hear(heard, Duration::ZERO);
    }

    /// It can be reached, and answers with no certificates.
    fn connected(settings: u64) -> Heard {
        Heard::Connected { version: edge::control::VERSION, settings, certificates: 0 }
    }

    #[test]
    fn what_an_edge_has_let_go_of_is_known_once_it_says_so() {
        let (mut edge, _told) = Edge::new();
        assert_eq!(edge.reach(), Reach::Anywhere, "it may have been told by an earlier node");
        edge.tell(settings(1), &endpoints(&["api.1.1"]), now());
        hear(&mut edge, connected(0));
        assert_eq!((edge.reach(), edge.standing()), (reach(&["api.1.1"]), EdgeState::Applying));
        hear(&mut edge, Heard::Applied { settings: 1000 });
        assert_eq!(edge.standing(), EdgeState::Applied);
        edge.tell(settings(2), &endpoints(&["api.2.1"]), now());
        edge.tell(settings(3), &endpoints(&["api.3.1"]), now());
        edge.tell(settings(4), &endpoints(&["api.4.1"]), now());
        assert_eq!((newest(&edge), edge.told.len()), (1003, 2));
        assert_eq!(edge.reach(), reach(&["api.1.1", "api.2.1", "api.3.1", "api.4.1"]));
        hear(&mut edge, Heard::Applied { settings: 1003 });
        assert_eq!(edge.reach(), reach(&["api.4.1"]));
        edge.forget();
        assert_eq!(edge.reach(), Reach::Nowhere);
    }

    #[test]
    fn the_same_settings_are_told_once() {
        let (mut edge, _told) = Edge::new();
        edge.tell(settings(1), &endpoints(&[]), now());
        edge.tell(settings(1), &endpoints(&[]), now());
        assert_eq!(newest(&edge), 1000);
    }

    #[test]
    fn an_edge_of_an_earlier_node_with_a_later_clock_is_overtaken() {
        let (mut edge, _told) = Edge::new();
        edge.tell(settings(1), &endpoints(&["api.1.1"]), now());
        hear(&mut edge, connected(5000));
        assert_eq!((newest(&edge), edge.reach()), (5001, Reach::Anywhere));
        hear(&mut edge, Heard::Applied { settings: 5001 });
        assert_eq!((edge.standing(), edge.reach()), (EdgeState::Applied, reach(&["api.1.1"])));
        hear(&mut edge, Heard::Lost);
        assert_eq!((edge.standing(), edge.reach()), (EdgeState::Unreachable, reach(&["api.1.1"])));
        hear(&mut edge, connected(5001));
        assert_eq!(edge.standing(), EdgeState::Applied);
    }

    #[test]
    fn an_edge_follows_once_it_answers_with_the_newest_certificates() {
        let (mut edge, orders) = Edge::new();
        edge.tell(settings(1), &endpoints(&[]), now());
        hear(&mut edge, Heard::Connected { version: 2, settings: 1000, certificates: 999 });
        assert_eq!(edge.standing(), EdgeState::Applied, "no HTTPS is served");
        assert_eq!(edge.other_version(), Some(2));
        edge.certify(Issue::default(), Vec::new(), now());
        assert_eq!(edge.standing(), EdgeState::Applying);
        assert_eq!(orders.certificates.borrow().as_ref().unwrap().number, 1000);
        hear(&mut edge, Heard::CertificatesApplied { certificates: 1000 });
        assert_eq!(edge.standing(), EdgeState::Applied);
        edge.certify(Issue::default(), Vec::new(), now());
        hear(&mut edge, Heard::CertificatesRefused { certificates: 1000, why: "of before".to_owned() });
        assert_eq!((edge.standing(), edge.refusal()), (EdgeState::Applying, None));
        hear(&mut edge, Heard::CertificatesRefused { certificates: 1001, why: "no PEM".to_owned() });
        assert_eq!((edge.standing(), edge.refusal()), (EdgeState::Applying, Some("no PEM")));
        edge.forget_certificates();
        assert_eq!((edge.standing(), edge.refusal()), (EdgeState::Applied, None));
        assert!(orders.certificates.borrow().is_none());
    }
}
