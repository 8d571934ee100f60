//! The edge as its shim starts it: `mainstay edge FOLDER HTTPS`, on sockets that it inherits.
//!
//! Start reading at [`run`]. Like a shim it is started before the command line is looked at.

use std::ffi::OsString;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use edge::listening::https_of;
use edge::process::{EdgeError, Start};
use model::cause::chain;
use sys::listeners::{self, NotInherited};

/// The edge cannot be what it was started as.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// It was started by hand.
    #[error("the edge is started by the node: `mainstay up` does, where the file has an `edge`")]
    ByHand,
    /// Its sockets.
    #[error(transparent)]
    Sockets(#[from] NotInherited),
    /// Its own memory.
    #[error("cannot keep its memory from other processes")]
    Memory(#[source] std::io::Error),
    /// Random numbers.
    #[error("the kernel gives no random numbers")]
    Random(#[source] rustix::io::Errno),
    /// While it ran.
    #[error(transparent)]
    Edge(#[from] EdgeError),
}

/// Serves until the node or a signal ends it. `inherited` is the value of [`listeners::VARIABLE`].
pub(crate) fn run(words: impl Iterator<Item = OsString>, inherited: Option<&str>) -> ExitCode {
    match start(words, inherited).and_then(|start| Ok(edge::process::run(start)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to say it.
            drop(writeln!(std::io::stderr(), "edge: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn start(mut words: impl Iterator<Item = OsString>, inherited: Option<&str>) -> Result<Start, StartError> {
    let (Some(folder), Some(https), Some(inherited)) = (words.next(), words.next(), inherited) else {
        return Err(StartError::ByHand);
    };
    let sockets = listeners::inherited(inherited)?;
    sys::process::guard_memory().map_err(StartError::Memory)?;
    let descriptors = sys::process::raise_descriptor_limit();
    let mut seed = [0_u8; 8];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).map_err(StartError::Random)?;
    Ok(Start {
        listeners: sockets.into_iter().map(TcpListener::from).collect(),
        https: https.to_str().and_then(https_of),
        folder: PathBuf::from(folder),
        seed: u64::from_ne_bytes(seed),
        descriptors,
        log: Box::new(std::io::stdout()),
    })
}
