//! The kinds of data services behind one face. Start reading at [`Server`].

use std::collections::BTreeMap;
use std::path::PathBuf;

use model::cause::chain;
use model::credential::Holder;
use model::stack::{Postgres, Redis, Resource};
use model::{CpuShare, Port, ResourceName, Timestamp};
use resources::installation::Installations;
use resources::objects::Program;
use resources::{Operated, Passwords, Place, Variables};
use supervise::launch::{LogPolicy, UserIds};
use sys::TaskOutcome;
use sys::listeners::{HeldSockets, Listening};

use crate::{OBJECTS_COMMAND, OWN_PROGRAM};

/// A data service of the stack.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// PostgreSQL.
    Postgres(resources::postgres::Server),
    /// Redis.
    Redis(resources::redis::Server),
    /// The object store.
    Objects(resources::objects::Server),
}

/// What data services this machine has software for.
#[derive(Debug)]
pub(crate) struct Software {
    postgres: Installations,
    redis: Installations,
}

impl Software {
    /// Looks for it. Runs programs: blocks for some milliseconds, and for a few seconds where one of them hangs.
    pub(crate) fn discover(search_path: &[PathBuf]) -> Self {
        Self { postgres: resources::postgres::discover(search_path), redis: resources::redis::discover(search_path) }
    }
}

impl Server {
    /// The server of a resource on this port, or why there is none.
    pub(crate) fn new(
        place: Place,
        resource: &Resource,
        port: Port,
        software: &Software,
        cpu: CpuShare,
    ) -> Result<Self, String> {
        match resource {
            Resource::Postgres(asked) => {
                let spec = Postgres { port: Some(port), ..asked.clone() };
                resources::postgres::Server::new(place, &spec, &software.postgres, cpu)
                    .map(Server::Postgres)
                    .map_err(|error| chain(&error))
            }
            Resource::Redis(asked) => {
                let spec = Redis { port: Some(port), ..asked.clone() };
                resources::redis::Server::new(place, &spec, &software.redis).map(Server::Redis).map_err(|e| chain(&e))
            }
            Resource::Objects(asked) => {
                let program = Program { path: OWN_PROGRAM.into(), words: vec![OBJECTS_COMMAND.to_owned()] };
                Ok(Server::Objects(resources::objects::Server::new(place, asked, port, program)))
            }
            Resource::RabbitMq(_) => Err(format!("a resource of type {} is not supported yet", resource.kind())),
        }
    }

    /// What runs.
    pub(crate) fn operated(&self, passwords: &Passwords, log: LogPolicy) -> Operated {
        match self {
            Server::Postgres(server) => server.operated(passwords, log),
            Server::Redis(server) => server.operated(passwords, log),
            Server::Objects(server) => server.operated(passwords, log),
        }
    }

    /// The version of the software that runs; `None` where that is this program's own, whichever release of it.
    pub(crate) fn version(&self) -> Option<String> {
        match self {
            Server::Postgres(server) => Some(server.installation().version.to_string()),
            Server::Redis(server) => Some(server.installation().version.to_string()),
            Server::Objects(_) => None,
        }
    }

    /// The major version of its data.
    pub(crate) fn major(&self) -> u32 {
        match self {
            Server::Postgres(server) => server.installation().version.major,
            Server::Redis(server) => server.installation().version.major,
            Server::Objects(_) => objects::store::FORMAT,
        }
    }

    /// The variables with which a holder reaches it.
    pub(crate) fn connection(&self, port: Port, holder: &Holder, passwords: &Passwords) -> Option<Variables> {
        match self {
            Server::Postgres(server) => server.connection(port, holder, passwords),
            Server::Redis(server) => server.connection(port, holder, passwords),
            Server::Objects(server) => server.connection(holder, passwords),
        }
    }

    /// What those variables say beside who it is and where, for a release to be made anew when it changes.
    pub(crate) fn told_beside(&self) -> Option<String> {
        match self {
            Server::Postgres(_) | Server::Redis(_) => None,
            Server::Objects(server) => Some(format!("buckets {}", server.bucket_list())),
        }
    }
}

/// Work that supervision begins and this program carries out.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// On a data service.
    Server {
        /// When it is done.
        stage: Stage,
        /// Which.
        server: Box<Server>,
        /// Of its logins.
        passwords: Passwords,
    },
    /// Making the folder of the edge's sockets.
    EdgeFolder {
        /// Which.
        folder: PathBuf,
        /// Whose it is to be.
        user: Option<UserIds>,
    },
    /// Having the edge listen where it is to.
    EdgeSockets {
        /// Its unit's folder, where its shim is found.
        unit: PathBuf,
        /// The folder in which it waits for its sockets.
        folder: PathBuf,
        /// Where it is to listen.
        listening: Listening,
        /// What it is told about the sockets.
        https: String,
    },
}

/// When work on a data service is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before each start.
    Prepare,
    /// Once it answers.
    Complete,
}

impl Task {
    /// Does it, where these are the sockets that the node holds.
    pub(crate) async fn carry_out(self, held: HeldSockets, now: Timestamp) -> TaskOutcome {
        match self {
            Task::Server { stage, server, passwords } => server.work(stage, &passwords, now).await,
            Task::EdgeFolder { folder, user } => super::edge::unit::prepare(&folder, user),
            Task::EdgeSockets { unit, folder, listening, https } => {
                super::edge::unit::listen(&held, &unit, &folder, &listening, &https).await
            }
        }
    }
}

impl Server {
    async fn work(&self, stage: Stage, passwords: &Passwords, now: Timestamp) -> TaskOutcome {
        match (stage, self) {
            (Stage::Prepare, Server::Postgres(server)) => {
                server.prepare(passwords, now).await.map_err(|error| chain(&error))
            }
            (Stage::Complete, Server::Postgres(server)) => {
                server.complete(passwords).await.map_err(|error| chain(&error))
            }
            (Stage::Prepare, Server::Redis(server)) => {
                server.prepare(passwords, now).await.map_err(|error| chain(&error))
            }
            (Stage::Complete, Server::Redis(server)) => {
                server.complete(passwords, now).await.map_err(|error| chain(&error))
            }
            (Stage::Prepare, Server::Objects(server)) => server.prepare().await.map_err(|error| chain(&error)),
            (Stage::Complete, Server::Objects(server)) => {
                server.complete(passwords, now).await.map_err(|error| chain(&error))
            }
        }
    }
}

/// Who logs in to each resource of a stack, beside the node itself.
pub(crate) fn holders(stack: &model::Stack) -> BTreeMap<ResourceName, Vec<Holder>> {
    let mut holders: BTreeMap<ResourceName, Vec<Holder>> = BTreeMap::new();
    for (name, resource) in &stack.resources {
        let users = stack.services.iter().filter(|(_, service)| service.uses.contains(name));
        let services = users.map(|(service, _)| Holder::Service(service.clone()));
        let owner = matches!(resource, Resource::Postgres(_)).then_some(Holder::Owner);
        holders.insert(name.clone(), owner.into_iter().chain(services).collect());
    }
    holders
}
