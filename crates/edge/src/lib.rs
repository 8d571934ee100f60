//! The gateway: everything between a client's socket and a replica's socket.
//!
//! Start reading at [`settings`], what the node tells it, and [`table`], how a request finds its route. Invariant: the
//! edge does not know who starts replicas, holds no key at rest, and every bound in here has a name.

pub mod certificates;
pub mod control;
pub mod listening;
pub mod process;
pub mod settings;

pub mod answer;
pub mod balance;
pub mod evidence;
pub mod host;
pub mod path;
pub mod policy;
pub mod table;

mod accept;
mod access_log;
mod admission;
mod compress;
mod decide;
mod exchange;
mod folder;
mod live;
mod outbox;
mod outgoing;
mod patience;
mod serve;
mod settled;
mod tls;
mod trace;

mod buffer;
mod client;
mod deadline;
mod thread;
mod upstream;
mod worker;
