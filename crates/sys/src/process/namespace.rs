//! A view of the file system in which some folders are empty, for a process that is not root: a user
//! namespace and a mount namespace of its own (user_namespaces(7), mount_namespaces(7)).
//!
//! The user and group are mapped to themselves, so that the program sees itself as who it is and holds no
//! capability once it runs. The mounts cannot be taken away again: the program may not unmount, and what it
//! mounts in a further namespace is on copies that the kernel locks together. Processes outside the namespace
//! are also closed to it for tracing, and with that their memory, environment and open files.
//!
//! Start reading at [`View::new`], then [`View::put_on`]. Invariant: nothing is allocated between fork and exec.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags};
use rustix::process::DumpableBehavior;
use rustix::thread::UnshareFlags;

use crate::files::if_there;
use crate::system::FileError;

/// What a cover may hold: the empty folders on the ways to what is shown, and no content.
const COVER_OPTIONS: &CStr = c"size=4k,nr_inodes=1k,mode=0755";
/// Reads as an empty file wherever it is mounted.
const EMPTY_FILE: &CStr = c"/dev/null";

/// A view that leaves nothing to choose; see the module.
#[derive(Debug)]
pub struct View {
    user_map: Vec<u8>,
    group_map: Vec<u8>,
    /// What is shown below a hidden folder, or masks a hidden file. Opened before anything is covered.
    sources: Vec<CString>,
    opened: Vec<Option<OwnedFd>>,
    steps: Vec<Step>,
    covers: Vec<CString>,
    folder: CString,
}

#[derive(Debug)]
enum Step {
    Cover { folder: CString },
    MakeFolder { path: CString },
    MakeFile { path: CString },
    Attach { path: CString, source: usize },
}

/// A view cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The working directory would be hidden.
    #[error(
        "cannot hide {} from a program whose working directory {} is in it: keep the two apart (--state DIR)",
        hidden.display(),
        folder.display()
    )]
    FolderInside {
        /// The working directory.
        folder: PathBuf,
        /// What is hidden.
        hidden: PathBuf,
    },
    /// A path does not say where it begins.
    #[error("cannot hide {}: it is not an absolute path", .0.display())]
    Relative(PathBuf),
    /// Nothing can be hidden from root.
    #[error("cannot hide anything from a program that runs as root")]
    Root,
    /// It cannot be told what is at a path.
    #[error(transparent)]
    Unseen(#[from] FileError),
    /// A path holds a NUL byte.
    #[error("a path to hide or show holds a NUL byte")]
    Path(#[from] std::ffi::NulError),
}

impl View {
    /// A view for a program that is started in `folder`: of what is hidden nothing can be seen but what is
    /// shown. What is not there, or not this user's to reach, neither hides nor shows anything.
    pub fn new(hidden: &[PathBuf], shown: &[PathBuf], folder: &Path) -> Result<Self, ViewError> {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        if uid.is_root() {
            return Err(ViewError::Root);
        }
        if let Some(relative) = hidden.iter().find(|path| path.is_relative()) {
            return Err(ViewError::Relative(relative.clone()));
        }
        let (hidden, shown) = (there(hidden)?, there(shown)?);
        // A set is in the order in which a folder comes before what it holds.
        let around = |path: &Path| hidden.iter().rev().find(|hidden| path.starts_with(hidden));
        let actual = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        if let Some(outer) = around(&actual)
            && !shown.iter().any(|shown| actual.starts_with(shown) && shown.starts_with(outer))
        {
            return Err(ViewError::FolderInside { folder: actual, hidden: outer.clone() });
        }
        let mut view = Self {
            user_map: format!("{uid} {uid} 1", uid = uid.as_raw()).into_bytes(),
            group_map: format!("{gid} {gid} 1", gid = gid.as_raw()).into_bytes(),
            sources: Vec::new(),
            opened: Vec::new(),
            steps: Vec::new(),
            covers: Vec::new(),
            folder: text(folder)?,
        };
        for path in hidden.union(&shown) {
            match (hidden.contains(path), around(path)) {
                (true, _) if path.is_dir() => {
                    view.steps.push(Step::Cover { folder: text(path)? });
                    view.covers.push(text(path)?);
                }
                (true, _) => view.attach(EMPTY_FILE.to_owned(), path)?,
                (false, Some(outer)) => view.show(outer, path)?,
                (false, None) => {}
            }
        }
        Ok(view)
    }

    fn show(&mut self, outer: &Path, path: &Path) -> Result<(), ViewError> {
        let inner = path.ancestors().take_while(|ancestor| *ancestor != outer).skip(1);
        for folder in inner.collect::<Vec<_>>().into_iter().rev() {
            self.steps.push(Step::MakeFolder { path: text(folder)? });
        }
        self.steps.push(match path.is_dir() {
            true => Step::MakeFolder { path: text(path)? },
            false => Step::MakeFile { path: text(path)? },
        });
        self.attach(text(path)?, path)
    }

    fn attach(&mut self, source: CString, path: &Path) -> Result<(), ViewError> {
        self.steps.push(Step::Attach { path: text(path)?, source: self.sources.len() });
        self.sources.push(source);
        self.opened.push(None);
        Ok(())
    }

    /// Puts this view on the calling process, for good. To be called between fork and exec.
    pub fn put_on(&mut self) -> io::Result<()> {
        // The files of a process that nobody may look into belong to root, its maps among them.
        rustix::process::set_dumpable_behavior(DumpableBehavior::Dumpable)?;
        #[expect(unsafe_code, reason = "rustix marks unshare as unsafe because of its descriptor tables")]
        // SAFETY: the table of descriptors is not unshared.
        unsafe {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS)?;
        }
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", &self.user_map)?;
        write(c"/proc/self/gid_map", &self.group_map)?;
        let clone = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        for (source, opened) in self.sources.iter().zip(&mut self.opened) {
            *opened = Some(rustix::mount::open_tree(CWD, source.as_c_str(), clone)?);
        }
        for step in &self.steps {
            step.take(&mut self.opened)?;
        }
        for cover in &self.covers {
            rustix::mount::mount_remount(cover.as_c_str(), cover_flags() | MountFlags::RDONLY | MountFlags::BIND, c"")?;
        }
        // The folder that the process is in was entered below the covers.
        Ok(rustix::process::chdir(self.folder.as_c_str())?)
    }
}

impl Step {
    fn take(&self, opened: &mut [Option<OwnedFd>]) -> io::Result<()> {
        match self {
            Step::Cover { folder } => {
                Ok(rustix::mount::mount(c"mainstay", folder.as_c_str(), c"tmpfs", cover_flags(), COVER_OPTIONS)?)
            }
            Step::MakeFolder { path } => match rustix::fs::mkdir(path.as_c_str(), Mode::from_raw_mode(0o755)) {
                Err(rustix::io::Errno::EXIST) => Ok(()),
                other => Ok(other?),
            },
            Step::MakeFile { path } => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                Ok(rustix::fs::open(path.as_c_str(), flags, Mode::from_raw_mode(0o644)).map(drop)?)
            }
            Step::Attach { path, source } => {
                let tree = opened.get_mut(*source).and_then(Option::take).ok_or(io::ErrorKind::NotFound)?;
                let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
                Ok(rustix::mount::move_mount(&tree, c"", CWD, path.as_c_str(), flags)?)
            }
        }
    }
}

fn cover_flags() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

fn write(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    match rustix::io::write(&file, bytes)? == bytes.len() {
        true => Ok(()),
        false => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn text(path: &Path) -> Result<CString, std::ffi::NulError> {
    CString::new(path.as_os_str().as_bytes())
}

/// Whether views can be had here, found out by putting one on a process that then ends. Some systems
/// forbid plain users the namespaces, or everything that they are good for.
pub fn probe() -> io::Result<()> {
    const PUT_ON: i32 = rustix::io::Errno::CANCELED.raw_os_error();
    let mut view = View::new(&["/dev".into()], &["/dev/null".into()], Path::new("/")).map_err(io::Error::other)?;
    let mut command = Command::new("/");
    #[expect(unsafe_code, reason = "a view can only be tried in a process of its own")]
    // SAFETY: `put_on` makes system calls and allocates nothing.
    unsafe {
        command.pre_exec(move || view.put_on().and(Err(io::Error::from_raw_os_error(PUT_ON))));
    }
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(PUT_ON) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::Other.into()),
    }
}

/// Where those of these paths lead that lead anywhere.
fn there(paths: &[PathBuf]) -> Result<BTreeSet<PathBuf>, FileError> {
    let found = paths.iter().map(|path| if_there("find", path, path.canonicalize()));
    found.filter_map(Result::transpose).collect()
}

/// Whether a process is in the same user namespace as this one, judged by the maps; namespaces with the same
/// map cannot be told apart. `None` when the process is gone.
pub(super) fn has_our_map(pid: model::Pid) -> Option<bool> {
    let own = std::fs::read("/proc/self/uid_map");
    match (std::fs::read(format!("/proc/{pid}/uid_map")), own) {
        (Ok(theirs), Ok(own)) => Some(theirs == own),
        // A kernel without user namespaces has neither file.
        (Err(_), Err(_)) => Some(true),
        (Err(_), Ok(_)) => None,
        (Ok(_), Err(_)) => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(view: &View) -> Vec<String> {
        let shown = |path: &CString| path.to_string_lossy().into_owned();
        view.steps
            .iter()
            .map(|step| match step {
                Step::Cover { folder } => format!("cover {}", shown(folder)),
                Step::MakeFolder { path } => format!("folder {}", shown(path)),
                Step::MakeFile { path } => format!("file {}", shown(path)),
                Step::Attach { path, source } => {
                    format!("attach {} from {}", shown(path), shown(&view.sources[*source]))
                }
            })
            .collect()
    }

    #[test]
    fn what_is_shown_is_attached_within_what_is_hidden() {
        if crate::process::is_root() {
            assert!(matches!(View::new(&[], &[], Path::new("/")), Err(ViewError::Root)));
            return;
        }
        let base = std::env::temp_dir().join(format!("mainstay-view-{}", std::process::id()));
        std::fs::create_dir_all(base.join("state/volumes/web")).unwrap();
        std::fs::write(base.join("key"), "x").unwrap();
        let base = base.canonicalize().unwrap();
        let hidden = [base.join("state"), base.join("key"), base.join("absent")];
        let shown = [base.join("state/volumes/web"), base.join("state/absent"), base.join("elsewhere")];
        let view = View::new(&hidden, &shown, &base).unwrap();
        let relative: Vec<String> =
            steps(&view).iter().map(|step| step.replace(&*base.to_string_lossy(), "BASE")).collect();
        assert_eq!(
            relative,
            [
                "attach BASE/key from /dev/null",
                "cover BASE/state",
                "folder BASE/state/volumes",
                "folder BASE/state/volumes/web",
                "attach BASE/state/volumes/web from BASE/state/volumes/web",
            ]
        );
        let inside = View::new(&hidden, &shown, &base.join("state/volumes")).unwrap_err();
        assert!(matches!(inside, ViewError::FolderInside { .. }), "{inside}");
        View::new(&hidden, &shown, &base.join("state/volumes/web")).unwrap();
        // It would be looked for in the wrong folder, and not being there would hide nothing.
        let relative = View::new(&["state".into()], &[], &base).unwrap_err();
        assert_eq!(relative.to_string(), "cannot hide state: it is not an absolute path");
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn what_cannot_be_found_is_not_taken_for_absent() {
        let base = std::env::temp_dir().join(format!("mainstay-loop-{}", std::process::id()));
        std::fs::create_dir_all(&base).unwrap();
        let base = base.canonicalize().unwrap();
        let (link, file) = (base.join("loop"), base.join("file"));
        std::os::unix::fs::symlink(&link, &link).unwrap();
        std::fs::write(&file, "").unwrap();
        assert_eq!(there(&[file.clone(), base.join("absent"), file.join("below")]), Ok([file].into()));
        let error = there(std::slice::from_ref(&link)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot find {}: ", link.display())), "{error}");
        std::fs::remove_dir_all(&base).unwrap();
    }

    #[test]
    fn a_process_in_another_user_namespace_is_told_apart() {
        let own = model::Pid(std::process::id());
        assert_eq!(has_our_map(own), Some(true));
        let mut command = Command::new("unshare");
        let mut child =
            command.args(["--user", "--map-root-user", "cat"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = model::Pid(child.id());
        let end = crate::clock::now().steady + std::time::Duration::from_secs(20);
        let ended = loop {
            if has_our_map(pid) == Some(false) || crate::clock::now().steady > end {
                break None;
            }
            if let Some(ended) = child.try_wait().unwrap() {
                break Some(ended);
            }
            std::thread::park_timeout(std::time::Duration::from_millis(2));
        };
        // A machine that gives nobody namespaces has nothing to tell apart. As root the map differs from ours
        // only by its length.
        assert!(ended.is_some() || has_our_map(pid) == Some(false));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(has_our_map(pid), None);
    }
}
