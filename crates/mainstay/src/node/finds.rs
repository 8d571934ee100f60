//! What a call names of the machine: programs and folders, looked for and copied, and ports, beside the node's loop.
//! Start reading at [`Chore::carry_out`].
//!
//! Decides nothing. Whoever decides asks for each thing by what is looked for, so what was not looked for yet comes out
//! as a [`Chore`] to be done first, and the decision is then made anew, by how everything is by then.

use std::path::{Path, PathBuf};

use model::Port;
use services::artefact::site;
use services::artefact::{self, FindError, Found, KeepError, Search};
use supervise::launch::UserIds;
use sys::listeners::{self, Barred};

use crate::api::bodies::ErrorBody;

/// Why something is not decided or not done now.
#[derive(Debug)]
pub(crate) enum Halt {
    /// This has to be done first. It may take long, and waits for the disk.
    Needs(Chore),
    /// It cannot be, or must not.
    Refused(ErrorBody),
}

impl From<ErrorBody> for Halt {
    fn from(error: ErrorBody) -> Self {
        Self::Refused(error)
    }
}

/// What has to be done before a decision.
#[derive(Debug)]
pub(crate) enum Chore {
    /// To look for this.
    Find(Sought),
    /// To copy this.
    Keep(Copies),
}

impl Chore {
    /// Does it; what is found comes to the finds. Blocks for as long as the disk takes.
    pub(crate) fn carry_out(self, finds: &mut Finds, artefacts: &Path) -> Result<(), KeepError> {
        match self {
            Self::Find(sought) => {
                finds.look_for(sought);
                Ok(())
            }
            Self::Keep(copies) => copies.keep(artefacts),
        }
    }
}

/// What the first word of a command stands for, for the user that is to run it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SoughtProgram {
    pub(crate) word: String,
    pub(crate) search: Search,
    pub(crate) user: Option<UserIds>,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Sought {
    programs: Vec<SoughtProgram>,
    folders: Vec<PathBuf>,
    ports: Vec<Port>,
}

impl Sought {
    /// Adds a program, once.
    pub(crate) fn add_program(&mut self, program: SoughtProgram) {
        if !self.programs.contains(&program) {
            self.programs.push(program);
        }
    }

    /// Adds a folder, once.
    pub(crate) fn add_folder(&mut self, folder: PathBuf) {
        if !self.folders.contains(&folder) {
            self.folders.push(folder);
        }
    }

    /// Adds a port that is to be listened on.
    pub(crate) fn add_port(&mut self, port: Port) {
        self.ports.push(port);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.programs.is_empty() && self.folders.is_empty() && self.ports.is_empty()
    }
}

impl From<SoughtProgram> for Sought {
    fn from(program: SoughtProgram) -> Self {
        Self { programs: vec![program], ..Self::default() }
    }
}

/// What was looked for, and found or not. Kept for one call only.
#[derive(Debug, Default)]
pub(crate) struct Finds {
    programs: Vec<(SoughtProgram, Result<Found, FindError>)>,
    folders: Vec<(PathBuf, Result<site::Found, site::FindError>)>,
    ports: Vec<(Port, Option<Barred>)>,
}

impl Finds {
    /// What came of looking for a program; `None` where nobody has.
    pub(crate) fn program(&self, sought: &SoughtProgram) -> Option<&Result<Found, FindError>> {
        self.programs.iter().find(|(it, _)| it == sought).map(|(_, found)| found)
    }

    /// What came of looking through a folder; `None` where nobody has.
    pub(crate) fn folder(&self, at: &Path) -> Option<&Result<site::Found, site::FindError>> {
        self.folders.iter().find(|(it, _)| it == at).map(|(_, found)| found)
    }

    /// Why a port cannot be listened on, if anything is in the way; `None` where nobody has looked. One look is enough: a
    /// port that was tried is not free again at once.
    pub(crate) fn port(&self, port: Port) -> Option<&Option<Barred>> {
        self.ports.iter().find(|(it, _)| *it == port).map(|(_, barred)| barred)
    }

    fn look_for(&mut self, Sought { programs, folders, ports }: Sought) {
        let find = |sought: SoughtProgram| {
            let found = artefact::find_for(&sought.word, &sought.search, sought.user);
            (sought, found)
        };
        self.programs.extend(programs.into_iter().map(find));
        self.folders.extend(folders.into_iter().map(|folder| {
            let found = site::find(&folder);
            (folder, found)
        }));
        self.ports.extend(ports.into_iter().map(|port| (port, listeners::barred(port))));
    }
}

/// Programs and folders that are to be copied, where they are not yet.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    pub(crate) programs: Vec<Found>,
    pub(crate) folders: Vec<site::Found>,
}

impl Copies {
    /// Halts for as long as one of them is not there.
    pub(crate) fn are_kept(self, artefacts: &Path) -> Result<(), Halt> {
        let kept = self.programs.iter().all(|it| artefact::is_kept(it, artefacts))
            && self.folders.iter().all(|it| site::is_kept(it, artefacts));
        match kept {
            true => Ok(()),
            false => Err(Halt::Needs(Chore::Keep(self))),
        }
    }

    fn keep(&self, artefacts: &Path) -> Result<(), KeepError> {
        self.programs.iter().try_for_each(|it| artefact::keep(it, artefacts))?;
        self.folders.iter().try_for_each(|it| site::keep(it, artefacts))
    }
}
