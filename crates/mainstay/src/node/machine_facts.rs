//! What this machine has to give, found out once when the node starts.

use std::collections::BTreeSet;
use std::path::PathBuf;

use model::stack::Capacity;
use plan::change::Abilities;
use services::artefact::Search;
use services::user::Accounts;
use supervise::control_group::{self, Support};
use supervise::isolation::{self, Isolation};

use super::server::Software;
use super::surroundings::Surroundings;
use crate::machine::{MachineError, capacity};

/// The file with the accounts of the machine (passwd(5)).
const PASSWD: &str = "/etc/passwd";

/// What is known of the machine.
#[derive(Debug)]
pub(crate) struct MachineFacts {
    /// Its processors and memory.
    pub(crate) capacity: Capacity,
    /// How limits are had.
    pub(crate) limits: Support,
    /// What keeps services apart.
    pub(crate) isolation: Isolation,
    /// Its accounts.
    pub(crate) accounts: Accounts,
    /// Its data services' software.
    pub(crate) software: Software,
    /// Where programs are looked for.
    pub(crate) search_path: Vec<PathBuf>,
    /// Whether the node is root.
    pub(crate) root: bool,
    /// The home of the node's user.
    pub(crate) home: PathBuf,
}

impl MachineFacts {
    /// Looks. Runs programs and reads files: blocks as [`Software::discover`] does.
    pub(crate) fn find(around: &Surroundings) -> Result<Self, MachineError> {
        Ok(Self {
            capacity: capacity()?,
            limits: control_group::discover(),
            isolation: isolation::available(),
            accounts: Accounts::read(&std::fs::read_to_string(PASSWD).unwrap_or_default()),
            software: Software::discover(&around.search_path),
            search_path: around.search_path.clone(),
            root: around.root,
            home: around.home.clone().unwrap_or_else(|| PathBuf::from("/")),
        })
    }

    /// Looks for the software of data services again: blocks as [`Software::discover`] does.
    pub(crate) fn find_software(&mut self) {
        self.software = Software::discover(&self.search_path);
    }

    /// Where the programs of a project are looked for.
    pub(crate) fn search(&self, project: &std::path::Path) -> Search {
        Search { project: project.to_owned(), path: self.search_path.clone() }
    }

    /// The user ids that are taken by accounts.
    pub(crate) fn taken_uids(&self) -> BTreeSet<u32> {
        self.accounts.uids()
    }

    /// What can be done here, the software of resources and the users of services aside.
    pub(crate) fn abilities(&self) -> Abilities {
        let no_limits = match &self.limits {
            Support::Unavailable { reason } => Some(reason.clone()),
            Support::Unified(_) | Support::PerController { .. } => None,
        };
        Abilities { no_limits, users: self.root, ..Abilities::default() }
    }
}
