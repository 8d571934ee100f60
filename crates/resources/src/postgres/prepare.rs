//! What is done before each start: the data directory, once; its configuration, always.
//!
//! A data directory gets its name when it is whole and on disk, so that one whose making was cut short is
//! never believed. Leftovers of that are removed; nothing else ever is.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use model::{Pid, Timestamp};
use supervise::launch::UserIds;
use sys::FolderIdentity;

use super::{OPERATOR, Server, settings};
use crate::certificate::{self, CertificateError};
use crate::place::{Access, Place, PlaceError, read_small};
use crate::record::{self, Kind, RecordError};
use crate::{Password, Passwords};

/// What an unfinished data directory's name starts with.
const UNFINISHED: &str = "data.new-";
/// The most bytes of initdb's words that an error carries.
const WORDS_BYTES_MAX: usize = 2048;

/// A server could not be made ready to start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A folder or file could not be had.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// What was there forbids it.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The data directory was made by another major version than the one about to start.
    #[error(
        "the data in {} was made by PostgreSQL {data}, and {server} is about to start on it: apply the file again",
        folder.display()
    )]
    Version {
        /// The data directory.
        folder: PathBuf,
        /// The major version that made it.
        data: u32,
        /// The major version about to start.
        server: u32,
    },
    /// The version of the data cannot be told.
    #[error(transparent)]
    DataVersion(#[from] super::DataVersionError),
    /// A file operation failed.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program that makes data directories could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program that makes data directories needs a user with a name, and none could be arranged.
    #[error("cannot give user {uid} a name for {}, which insists on one", program.display())]
    Name {
        /// The user.
        uid: u32,
        /// The program.
        program: PathBuf,
        /// Why not.
        source: sys::mounts::MountError,
    },
    /// The program that makes data directories refused.
    #[error("{} ended with {status}: {words}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// What it said.
        words: String,
    },
    /// The work came to no end.
    #[error("preparing gave no answer")]
    CutOff(#[source] sys::tasks::Broken),
}

/// The file in which the server of a data directory writes its process id.
const LOCK_FILE: &str = "postmaster.pid";
/// How the lock file beside a server's socket begins.
const SOCKET: &str = ".s.PGSQL.";

/// Removes lock files over which a server would stumble. It passes over one whose process is gone or another user's,
/// after it has seen that the shared memory named there is unused; such a file is left for it to judge. It gives
/// up on one that names any process of its own user: the dead server, as long as nobody has collected it, or a program
/// that has its number now; and on one that is empty, as a loss of power leaves it. Those are removed, unless
/// anything that lives works in the data directory, as all processes of a server do.
///
/// Neither sees a server in another process namespace: a data directory that two containers share can be started
/// in both. The lock of the state directory is what keeps their nodes apart.
fn remove_misleading_locks(place: &Place) -> Result<(), PrepareError> {
    let data = place.data();
    let identity = FolderIdentity::of(&data);
    // Not by its path: in another mount namespace, or since it was moved, it has another.
    let works_there = |process: &sys::process::Seen| {
        !process.zombie && FolderIdentity::of(Path::new(&format!("/proc/{}/cwd", process.pid))) == identity
    };
    if sys::process::list().map_err(PlaceError::File)?.iter().any(works_there) {
        return Ok(());
    }
    let mut locks = vec![data.join(LOCK_FILE)];
    for entry in fs::read_dir(&place.sockets).map_err(at("list", &place.sockets))? {
        let path = entry.map_err(at("list", &place.sockets))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(SOCKET) && name.ends_with(".lock") {
            locks.push(path);
        }
    }
    let owner = fs::symlink_metadata(&data).map_err(at("look at", &data))?.uid();
    for lock in locks {
        if is_misleading(&lock, owner)? {
            sys::files::remove(&lock).map_err(PlaceError::File)?;
        }
    }
    Ok(())
}

/// Whether a lock file names no process, or one that the owner of the data directory has though no server works there.
fn is_misleading(lock: &Path, owner: u32) -> Result<bool, PrepareError> {
    let Some(bytes) = read_small(lock)? else { return Ok(false) };
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // A server that was started for one command writes the number with a minus sign.
    let pid = std::str::from_utf8(first).ok().and_then(|text| text.trim().trim_start_matches('-').parse().ok());
    Ok(pid.is_none_or(|pid| user_of(Pid(pid)) == Some(owner)))
}

/// The user as whom a process runs, a dead one that nobody collected among them; `None` when there is none.
fn user_of(pid: Pid) -> Option<u32> {
    // Takes no descriptor: it fails only where there is none.
    fs::metadata(format!("/proc/{pid}")).ok().map(|about| about.uid())
}

fn at(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::File { doing, path, source }
}

impl Server {
    /// Makes everything ready for a start. To be run before each; does what is missing.
    pub async fn prepare(&self, passwords: &Passwords, now: Timestamp) -> Result<(), PrepareError> {
        let (server, operator) = (self.clone(), passwords.operator.clone());
        let work = sys::tasks::blocking(move || server.prepare_blocking(&operator, now));
        work.await.map_err(PrepareError::CutOff)?
    }

    fn prepare_blocking(&self, operator: &Password, now: Timestamp) -> Result<(), PrepareError> {
        self.place.make()?;
        self.place.socket(".s.PGSQL.65535.lock")?;
        self.remove_unfinished()?;
        let data = self.place.data();
        match super::data_version(&data)? {
            Some(made_by) if made_by != self.installation.version.major => {
                let server = self.installation.version.major;
                return Err(PrepareError::Version { folder: data, data: made_by, server });
            }
            Some(_) => self.place.check_owner(&data)?,
            None => match record::read(&self.place, Kind::Postgres)? {
                Some(found) => {
                    return Err(record::gone(&self.place, &found, "its folder `data` is missing".to_owned()).into());
                }
                None => self.make_data(operator)?,
            },
        }
        remove_misleading_locks(&self.place)?;
        record::note(&self.place, Kind::Postgres, now)?;
        certificate::prepare(&self.place, now)?;
        let config = self.place.config();
        self.place.write(&config.join(settings::FILE_NAME), self.settings().as_bytes(), Access::Group)?;
        self.place.write(&config.join(settings::ACCESS_FILE_NAME), settings::ACCESS.as_bytes(), Access::Group)?;
        Ok(())
    }

    fn remove_unfinished(&self) -> Result<(), PrepareError> {
        for name in sys::files::names(&self.place.folder).map_err(PlaceError::File)? {
            if name.starts_with(UNFINISHED) {
                sys::files::remove(&self.place.folder.join(name)).map_err(PlaceError::File)?;
            }
        }
        Ok(())
    }

    fn make_data(&self, operator: &Password) -> Result<(), PrepareError> {
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| PrepareError::File { doing, path, source }
        };
        // An initdb ends with its node, but not at once: what it still writes goes into a folder of another name,
        // and comes to nothing when that is removed.
        let mut random = [0_u8; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| failed("name", &self.place.folder)(error.into()))?;
        let unfinished = self.place.folder.join(format!("{UNFINISHED}{:016x}", u64::from_be_bytes(random)));
        self.place.make_folder(&unfinished, Access::Server)?;
        self.initdb(&unfinished, operator)?;
        fs::rename(&unfinished, self.place.data()).map_err(failed("rename", &unfinished))?;
        let folder = &self.place.folder;
        fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
    }

    fn initdb(&self, folder: &Path, operator: &Password) -> Result<(), PrepareError> {
        let program = self.installation.beside("initdb");
        let run = |source| PrepareError::Run { program: program.clone(), source };
        let mut command = Command::new(&program);
        command
            .arg("-D")
            .arg(folder)
            .args(["--username", OPERATOR, "--pwfile=/dev/stdin", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--lc-messages=C", "--data-checksums"])
            .args(locale(self.installation.version.major))
            .env_clear()
            .env("TZ", "UTC")
            .current_dir("/")
            .stdin(password_pipe(operator, self.place.user).map_err(run)?);
        sys::process::child::end_with_parent(&mut command);
        let output = match self.place.user {
            None => command.output().map_err(run)?,
            Some(user) => {
                command.uid(user.uid).gid(user.gid);
                self.output_with_name(command, user, &program)?
            }
        };
        match output.status.success() {
            true => Ok(()),
            false => Err(PrepareError::Refused { program, status: output.status, words: last_words(&output.stderr) }),
        }
    }

    /// initdb looks up its own user's name and gives up when there is none; a resource's user is only a
    /// number. So it sees a list of users with this one in it.
    fn output_with_name(
        &self,
        mut command: Command,
        user: UserIds,
        program: &Path,
    ) -> Result<std::process::Output, PrepareError> {
        let UserIds { uid, gid } = user;
        let users = self.place.folder.join("passwd.new");
        let line = format!("{OPERATOR}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin\n");
        self.place.write(&users, line.as_bytes(), Access::Group)?;
        let output = sys::mounts::with_file_over(&users, Path::new("/etc/passwd"), || command.output());
        sys::files::remove(&users).map_err(PlaceError::File)?;
        output
            .map_err(|source| PrepareError::Name { uid, program: program.to_owned(), source })?
            .map_err(|source| PrepareError::Run { program: program.to_owned(), source })
    }
}

/// A database that sorts by code point sorts the same on every machine and after every upgrade of the C
/// library, so that no index breaks; `C.UTF-8` still knows letters from signs.
fn locale(major: u32) -> &'static [&'static str] {
    match major {
        17.. => &["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
        _ if cfg!(target_os = "linux") => &["--locale=C.UTF-8"],
        _ => &["--locale=C"],
    }
}

/// A pipe that holds the password. It is far smaller than a pipe's buffer, so that writing never waits.
fn password_pipe(password: &Password, user: Option<UserIds>) -> io::Result<Stdio> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(password.expose().as_bytes())?;
    // initdb opens the pipe by its name, which asks for permission as opening any file does.
    if let Some(user) = user {
        let (uid, gid) = (rustix::fs::Uid::from_raw(user.uid), rustix::fs::Gid::from_raw(user.gid));
        rustix::fs::fchown(&reader, Some(uid), Some(gid))?;
    }
    Ok(Stdio::from(reader))
}

fn last_words(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(WORDS_BYTES_MAX);
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data directory of no server, with one lock file in it.
    struct Ground(Place);

    impl Ground {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-locks-{name}-{}", std::process::id()));
            let place = Place { resource: "db".parse().unwrap(), sockets: folder.join("sockets"), folder, user: None };
            fs::create_dir_all(place.data()).unwrap();
            fs::create_dir(&place.sockets).unwrap();
            Self(place)
        }

        /// Whether a lock file with this content is still there afterwards.
        #[track_caller]
        fn keeps(&self, content: &str) -> bool {
            let locks = [self.0.data().join(LOCK_FILE), self.0.sockets.join(".s.PGSQL.5432.lock")];
            locks.iter().for_each(|lock| fs::write(lock, content).unwrap());
            remove_misleading_locks(&self.0).unwrap();
            let [data, socket] = locks.map(|lock| lock.exists());
            assert_eq!(data, socket);
            data
        }
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0.folder).unwrap();
        }
    }

    #[test]
    fn a_lock_that_a_server_judges_rightly_stays() {
        let ground = Ground::new("right");
        let mut gone = Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        assert!(ground.keeps(&format!("{}\n/data\n", gone.id())));
    }

    #[test]
    fn a_lock_with_the_number_of_another_process_or_of_none_goes() {
        let ground = Ground::new("wrong");
        assert!(!ground.keeps(&format!("{}\n/data\n", std::process::id())));
        assert!(!ground.keeps(&format!("-{}\n/data\n", std::process::id())));
        assert!(!ground.keeps(""));
    }

    #[test]
    fn a_lock_with_the_number_of_another_users_process_stays() {
        let ground = Ground::new("user");
        // Only root can start one. To everybody else, the first process of the machine is one.
        let mut started =
            sys::process::is_root().then(|| Command::new("sleep").arg("600").uid(65_533).spawn().unwrap());
        let other = started.as_ref().map_or(1, std::process::Child::id);
        let kept = ground.keeps(&format!("{other}\n/data\n"));
        if let Some(started) = &mut started {
            started.kill().unwrap();
            started.wait().unwrap();
        }
        assert!(kept);
    }

    #[test]
    fn a_lock_of_a_dead_server_that_nobody_collected_goes() {
        let ground = Ground::new("zombie");
        let mut server = Command::new("sleep").arg("600").current_dir(ground.0.data()).spawn().unwrap();
        let lock = format!("{}\n/data\n", server.id());
        assert!(ground.keeps(&lock));
        // Seen by what it is: also under another name.
        let moved = ground.0.folder.with_extension("moved");
        fs::rename(&ground.0.folder, &moved).unwrap();
        let place = Place { folder: moved.clone(), sockets: moved.join("sockets"), ..ground.0.clone() };
        remove_misleading_locks(&place).unwrap();
        assert!(place.data().join(LOCK_FILE).exists());
        fs::rename(&moved, &ground.0.folder).unwrap();
        server.kill().unwrap();
        while !sys::process::look(Pid(server.id())).unwrap().unwrap().zombie {
            std::thread::yield_now();
        }
        assert!(!ground.keeps(&lock));
        server.wait().unwrap();
    }
}
