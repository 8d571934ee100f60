//! What a file names of the machine, gathered service by service from what was found. Start reading at
//! [`Gathering::finish`].
//!
//! Everything is gathered before anything is told: all that is still to be looked for, or all that is wrong.

use std::path::Path;

use model::cause::chain;
use model::stack::{Check, CommandLine, Service};
use model::{Digest, Port, ServiceName};
use plan::release::{Command, Program};
use services::artefact::{FindError, Found, Search, site};
use supervise::launch::UserIds;
use sys::process::child::ChildError;

use super::finds::{Chore, Copies, Finds, Halt, Sought, SoughtProgram, Way};
use crate::api::bodies::{ErrorBody, ErrorKind};

/// What to do about what is not there.
const MISSING_HINT: &str = "build it first, or mend the paths: they are meant from the file's folder";

/// The programs, folders and ports of a file, by what was found.
pub(super) struct Gathering<'a> {
    finds: &'a Finds,
    pub(super) search: Search,
    /// For whom: the service's user.
    pub(super) user: Option<UserIds>,
    /// What was not looked for yet.
    unseen: Sought,
    copies: Copies,
    pub(super) problems: Vec<String>,
    /// Whether one of them is that a program or folder is not there.
    some_missing: bool,
}

impl<'a> Gathering<'a> {
    pub(super) fn new(finds: &'a Finds, search: Search) -> Self {
        let (unseen, copies) = (Sought::default(), Copies::default());
        Self { finds, search, user: None, unseen, copies, problems: Vec::new(), some_missing: false }
    }

    /// What is to be kept, once everything was looked for and can be used.
    pub(super) fn finish(self) -> Result<Copies, Halt> {
        if !self.unseen.is_empty() {
            return Err(Halt::Needs(Chore::Find(self.unseen)));
        }
        if self.problems.is_empty() {
            return Ok(self.copies);
        }
        Err(Halt::Refused(ErrorBody {
            kind: ErrorKind::Invalid,
            message: "some of what the file names is not there or cannot be used".to_owned(),
            hint: self.some_missing.then(|| MISSING_HINT.to_owned()),
            problems: self.problems,
        }))
    }

    /// The program of a command line: the one that is `released` with the very same line, or else what its
    /// first word leads to now. What is not found is a problem.
    pub(super) fn find(
        &mut self,
        service: &ServiceName,
        key: &str,
        line: &CommandLine,
        released: Option<&Command>,
    ) -> Option<Program> {
        if let Some(command) = released.filter(|command| command.line == *line) {
            return Some(command.program.clone());
        }
        let found = self.found(service, key, line, self.search.clone())?;
        self.copies.programs.push(found.clone());
        Some(found.program.clone())
    }

    fn found(&mut self, service: &ServiceName, key: &str, line: &CommandLine, search: Search) -> Option<&'a Found> {
        let sought = SoughtProgram { word: line.program().to_owned(), search, user: self.user };
        match self.finds.program(&sought) {
            None => self.unseen.add_program(sought),
            Some(Ok(found)) => return Some(found),
            Some(Err(error)) => {
                let is_missing = matches!(error, FindError::Missing { .. });
                self.tell(service, key, is_missing, error);
            }
        }
        None
    }

    /// The digest of a folder of files, and how many they are.
    pub(super) fn find_folder(&mut self, service: &ServiceName, folder: &Path) -> Option<(Digest, usize)> {
        let at = self.search.project.join(folder);
        match self.finds.folder(&at) {
            None => self.unseen.add_folder(at),
            Some(Ok(found)) => {
                self.copies.folders.push(found.clone());
                return Some((found.digest, found.files));
            }
            Some(Err(error)) => {
                let is_missing = matches!(error, site::FindError::Missing { .. });
                self.tell(service, "static", is_missing, error);
            }
        }
        None
    }

    /// Why a port cannot be listened on, where that is so.
    pub(super) fn barred(&mut self, port: Port) -> Option<String> {
        match self.finds.port(port) {
            None => {
                self.unseen.add_port(port);
                None
            }
            Some(barred) => barred.as_ref().map(ToString::to_string),
        }
    }

    fn tell(&mut self, service: &ServiceName, key: &str, is_missing: bool, error: &dyn std::error::Error) {
        self.some_missing |= is_missing;
        self.problems.push(format!("services.{service}.{key}: {}", chain(error)));
    }

    /// Looks whether the service's user can get to the file's folder, in which its programs run.
    pub(super) fn look_at_project(&mut self, name: &ServiceName) {
        let Some(user) = self.user else { return };
        let way = Way { to: self.search.project.clone(), user };
        match self.finds.way(&way) {
            None => self.unseen.add_way(way),
            Some(None) => {}
            Some(Some(blocked)) => {
                let blocked = ChildError::Blocked { uid: user.uid, wanted: way.to, blocked: blocked.clone() };
                self.problems.push(format!("services.{name}: {blocked}"));
            }
        }
    }

    /// Looks for the programs of the probes that are commands, as the service's shim will: in the PATH that the
    /// service is told. They run from where they are, so none is kept.
    pub(super) fn look_for_probes(&mut self, name: &ServiceName, service: &Service) {
        let told = service.env.iter().find(|(variable, _)| variable.as_str() == "PATH");
        let search = match told {
            Some((_, path)) => Search { path: std::env::split_paths(path).collect(), ..self.search.clone() },
            None => self.search.clone(),
        };
        let health = &service.health;
        for (key, check) in [("health.ready.command", &health.ready), ("health.live.command", &health.live)] {
            let Some(Check::Command(line)) = check else { continue };
            // It is only to be there.
            let _program = self.found(name, key, line, search.clone());
        }
    }
}
