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
use sys::process::child::blocked_at;

use crate::api::bodies::{ErrorBody, ErrorKind};

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
            Self::Keep(copies) => {
                copies.keep(artefacts)?;
                finds.copied.add(copies);
                Ok(())
            }
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

/// A way to a folder, for a user that is to get there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) to: PathBuf,
    pub(crate) user: UserIds,
}

/// What is looked for.
#[derive(Debug, Default)]
pub(crate) struct Sought {
    programs: Vec<SoughtProgram>,
    folders: Vec<PathBuf>,
    ways: Vec<Way>,
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

    /// Adds a way, once.
    pub(crate) fn add_way(&mut self, way: Way) {
        if !self.ways.contains(&way) {
            self.ways.push(way);
        }
    }

    /// Adds a port that is to be listened on.
    pub(crate) fn add_port(&mut self, port: Port) {
        self.ports.push(port);
    }

    pub(crate) fn is_empty(&self) -> bool {
        let Self { programs, folders, ways, ports } = self;
        programs.is_empty() && folders.is_empty() && ways.is_empty() && ports.is_empty()
    }
}

impl From<SoughtProgram> for Sought {
    fn from(program: SoughtProgram) -> Self {
        Self { programs: vec![program], ..Self::default() }
    }
}

/// What was looked for, and found or not; and what was copied. Kept for one call only.
#[derive(Debug, Default)]
pub(crate) struct Finds {
    programs: Vec<(SoughtProgram, Result<Found, FindError>)>,
    folders: Vec<(PathBuf, Result<site::Found, site::FindError>)>,
    ways: Vec<(Way, Option<PathBuf>)>,
    ports: Vec<(Port, Option<Barred>)>,
    copied: Copies,
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

    /// The folder on a way that its user may not enter, if there is one; `None` where nobody has looked.
    pub(crate) fn way(&self, way: &Way) -> Option<&Option<PathBuf>> {
        self.ways.iter().find(|(it, _)| it == way).map(|(_, blocked)| blocked)
    }

    /// Why a port cannot be listened on, if anything is in the way; `None` where nobody has looked. One look is enough: a
    /// port that was tried is not free again at once.
    pub(crate) fn port(&self, port: Port) -> Option<&Option<Barred>> {
        self.ports.iter().find(|(it, _)| *it == port).map(|(_, barred)| barred)
    }

    fn look_for(&mut self, Sought { programs, folders, ways, ports }: Sought) {
        let find = |sought: SoughtProgram| {
            let found = artefact::find_for(&sought.word, &sought.search, sought.user);
            (sought, found)
        };
        self.programs.extend(programs.into_iter().map(find));
        self.folders.extend(folders.into_iter().map(|folder| {
            let found = site::find(&folder);
            (folder, found)
        }));
        self.ways.extend(ways.into_iter().map(|way| {
            let blocked = blocked_at(&way.to, way.user.uid, way.user.gid);
            (way, blocked)
        }));
        self.ports.extend(ports.into_iter().map(|port| (port, listeners::barred(port))));
    }
}

/// Programs and folders that are to be copied, where they are not yet.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    pub(crate) programs: Vec<Found>,
    pub(crate) folders: Vec<site::Found>,
}

impl Copies {
    /// Halts where one of them is not there: until it was copied, and for good where it was copied for this call already.
    pub(crate) fn are_kept(self, artefacts: &Path, finds: &Finds) -> Result<(), Halt> {
        let missing = self.missing(artefacts);
        if let Some(lost) = missing.in_both(&finds.copied) {
            let message =
                format!("{} was copied to {}, and the copy is not there", lost.display(), artefacts.display());
            let hint = "look for what else changes that folder, then try again";
            return Err(ErrorBody::new(ErrorKind::Internal, message).with_hint(hint).into());
        }
        match missing == Self::default() {
            true => Ok(()),
            false => Err(Halt::Needs(Chore::Keep(missing))),
        }
    }

    /// Those that are not there.
    fn missing(mut self, artefacts: &Path) -> Self {
        self.programs.retain(|it| !artefact::is_kept(it, artefacts));
        self.folders.retain(|it| !site::is_kept(it, artefacts));
        self
    }

    /// Where something was found that is among others too.
    fn in_both(&self, others: &Self) -> Option<&Path> {
        let program = self.programs.iter().find(|it| others.programs.contains(it)).map(|it| it.at.as_path());
        program.or_else(|| self.folders.iter().find(|it| others.folders.contains(it)).map(|it| it.at.as_path()))
    }

    fn add(&mut self, others: Self) {
        self.programs.extend(others.programs);
        self.folders.extend(others.folders);
    }

    fn keep(&self, artefacts: &Path) -> Result<(), KeepError> {
        self.programs.iter().try_for_each(|it| artefact::keep(it, artefacts))?;
        self.folders.iter().try_for_each(|it| site::keep(it, artefacts))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// A project with one program and a link to it, and a folder of copies.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("mainstay-finds-{name}-{}", std::process::id()));
            for folder in ["project", "artefacts"] {
                fs::create_dir_all(root.join(folder)).unwrap();
            }
            fs::write(root.join("project/api"), b"\x7fELF and more").unwrap();
            fs::set_permissions(root.join("project/api"), fs::Permissions::from_mode(0o755)).unwrap();
            symlink("api", root.join("project/worker")).unwrap();
            Self(root)
        }

        fn copies(&self) -> Copies {
            let search = Search { project: self.0.join("project"), path: Vec::new() };
            let programs = ["./api", "./worker"].map(|word| artefact::find(word, &search).unwrap()).into();
            Copies { programs, ..Copies::default() }
        }

        fn artefacts(&self) -> PathBuf {
            self.0.join("artefacts")
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Copies what is asked for; what is halted for after that.
    fn after_copying(ground: &Ground, meanwhile: impl FnOnce()) -> Result<(), Halt> {
        let (mut finds, artefacts) = (Finds::default(), ground.artefacts());
        let Err(Halt::Needs(chore)) = ground.copies().are_kept(&artefacts, &finds) else {
            panic!("nothing is copied yet")
        };
        chore.carry_out(&mut finds, &artefacts).unwrap();
        meanwhile();
        ground.copies().are_kept(&artefacts, &finds)
    }

    #[test]
    fn two_names_of_one_program_are_copied_at_once() {
        let ground = Ground::new("names");
        let after = after_copying(&ground, || ());
        assert!(matches!(after, Ok(())), "{after:?}");
    }

    #[test]
    fn what_was_copied_and_is_gone_is_told_and_not_copied_for_ever() {
        let ground = Ground::new("gone");
        let artefacts = ground.artefacts();
        let after = after_copying(&ground, || fs::remove_dir_all(&artefacts).unwrap());
        let Err(Halt::Refused(error)) = after else { panic!("{after:?}") };
        assert_eq!(error.kind, ErrorKind::Internal);
        assert!(error.message.contains("api was copied to"), "{}", error.message);
    }
}
