//! PostgreSQL, operated.
//!
//! Start reading at [`Server`]. The files it writes are in [`settings`], the data directory's making in
//! [`prepare`], databases and roles in [`roles`].

mod prepare;
mod roles;
mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::stack::Postgres;
use model::{CpuShare, Holder, Port};
use plan::supervision::{GentleSignal, StopPolicy};
use supervise::launch::{EnvironmentValue, LogPolicy, PORT_MARK};
use supervise::supervisor::Question;

use crate::connection::{Connection, Variables};
use crate::installation::{ExistingData, Installation, Installations, Program};
use crate::operated::{Command, Operated, STOP_DEADLINE, operated};
use crate::place::{PlaceError, read_small};
use crate::{Passwords, Place};

pub use prepare::PrepareError;
pub use roles::CompleteError;

/// The node's own role: the only superuser, reached over the private socket alone.
pub const OPERATOR: &str = "mainstay";

/// One PostgreSQL server of a stack.
#[derive(Debug, Clone)]
pub struct Server {
    place: Place,
    installation: Installation,
    spec: Postgres,
    cpu: CpuShare,
}

/// What is asked for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// No installed version will do.
    #[error(transparent)]
    Installation(#[from] crate::installation::ChooseError),
    /// The version of the data cannot be told.
    #[error("cannot tell which version made the data in {}", folder.display())]
    DataVersion {
        /// The data directory.
        folder: PathBuf,
        /// Why not.
        source: DataVersionError,
    },
    /// Something that is not carried out yet.
    #[error("`{0}` of a postgres resource is not supported yet: remove it")]
    Unsupported(&'static str),
}

/// Why the version of data cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum DataVersionError {
    /// The file cannot be read.
    #[error(transparent)]
    Read(#[from] PlaceError),
    /// The file says nothing that is known.
    #[error("its PG_VERSION is missing or holds no version")]
    Unknown,
}

/// What PostgreSQL servers this machine has. Runs programs: not for an async task's own thread.
pub fn discover(search_path: &[PathBuf]) -> Installations {
    crate::installation::discover(Program::Postgres, &crate::installation::candidates(Program::Postgres, search_path))
}

impl Server {
    /// A server for a resource, of an installed version that fits what is asked for and what is there.
    /// `cpu` is what the machine has to give.
    pub fn new(
        place: Place,
        spec: &Postgres,
        installations: &Installations,
        cpu: CpuShare,
    ) -> Result<Self, ServerError> {
        if spec.standbys > 0 {
            return Err(ServerError::Unsupported("standbys"));
        }
        if spec.pool.is_some() {
            return Err(ServerError::Unsupported("pool"));
        }
        let folder = place.data();
        let data = data_version(&folder)
            .map_err(|source| ServerError::DataVersion { folder: folder.clone(), source })?
            .map(|major| ExistingData { folder, major });
        let installation = installations.choose(spec.version, data.as_ref())?.clone();
        Ok(Self { place, installation, spec: spec.clone(), cpu })
    }

    /// Where it lives.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The version that runs.
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// The server as supervision runs it. Who may log in, and with which password, decides what
    /// completes it.
    pub fn operated(&self, passwords: &Passwords, log: LogPolicy) -> Operated {
        let command = Command {
            program: self.installation.server.clone(),
            arguments: vec![
                "-D".to_owned(),
                self.place.data().display().to_string(),
                format!("--config-file={}", self.place.config().join(settings::FILE_NAME).display()),
                "-p".to_owned(),
                PORT_MARK.to_owned(),
            ],
            environment: BTreeMap::from([("TZ".to_owned(), EnvironmentValue::from("UTC".to_owned()))]),
            settings: format!("{}\n{}\n{}", self.installation.version, self.settings(), settings::ACCESS),
            completion: passwords.digest(roles::FORMAT),
            stop: StopPolicy { gently: GentleSignal::Interrupt, deadline: STOP_DEADLINE },
            ready: readiness(),
            live: None,
        };
        operated(&self.place, self.spec.port, log, command)
    }

    /// The variables with which a holder of a password reaches the database. Without one of its own it
    /// has none.
    pub fn connection(&self, port: Port, holder: &Holder, passwords: &Passwords) -> Option<Variables> {
        let password = passwords.others.get(holder)?;
        let user = roles::role(&self.place.resource, holder);
        let database = roles::database(&self.place.resource);
        let connection = Connection {
            resource: &self.place.resource,
            scheme: "postgres",
            port,
            user: &user,
            password,
            database: Some(&database),
        };
        Some(connection.variables())
    }

    fn settings(&self) -> String {
        settings::settings(&settings::Basis {
            memory: self.spec.memory,
            cpu: self.cpu,
            version: self.installation.version,
            name: self.place.resource.as_str(),
            data: &self.place.data(),
            config: &self.place.config(),
            sockets: &self.place.sockets,
        })
    }
}

/// The major version that made a data directory; `None` when there is no data directory.
fn data_version(folder: &std::path::Path) -> Result<Option<u32>, DataVersionError> {
    if !folder.exists() {
        return Ok(None);
    }
    let bytes = read_small(&folder.join("PG_VERSION"))?.ok_or(DataVersionError::Unknown)?;
    let text = String::from_utf8_lossy(&bytes);
    text.trim().parse().map(Some).map_err(|_| DataVersionError::Unknown)
}

/// Whether a server that is given a start-up message asks for a password, which it does once it takes
/// connections; while it starts or recovers it answers with an error (`E`). The user need not exist: the server does
/// not say so before the password.
fn readiness() -> Question {
    let mut message = Vec::new();
    let body: Vec<u8> = [196_608_u32.to_be_bytes().as_slice(), b"user\0readiness\0database\0postgres\0\0"].concat();
    message.extend(u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes());
    message.extend(body);
    Question::Exchange { at: None, send: message, expect: b"R".to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_up_message_has_its_length() {
        let Question::Exchange { send, .. } = readiness() else { panic!("not an exchange") };
        assert_eq!(usize::try_from(u32::from_be_bytes(send[..4].try_into().unwrap())).unwrap(), send.len());
    }
}
