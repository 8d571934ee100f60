//! The object server as its shim starts it: `mainstay object-server STORE SOCKETS PORT`.
//!
//! Start reading at [`run`]. Like a shim it is started before the command line is looked at.

use std::ffi::OsString;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use model::Port;
use model::cause::chain;
use objects::process::{ServerError, Start};
use resources::objects::CONTROL_SOCKET;

/// The object server cannot be what it was started as.
#[derive(Debug, thiserror::Error)]
enum StartError {
    /// It was started by hand.
    #[error(
        "object servers are started by the node: `mainstay up` does, where the file has a resource of type objects"
    )]
    ByHand,
    /// Its port.
    #[error("cannot listen at {at}")]
    Listen {
        /// Where.
        at: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// Its own memory.
    #[error("cannot keep its memory from other processes")]
    Memory(#[source] std::io::Error),
    /// While it ran.
    #[error(transparent)]
    Server(#[from] ServerError),
}

/// Serves until a signal ends it.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    match start(words).and_then(|start| Ok(objects::process::run(start)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to say it.
            drop(writeln!(std::io::stderr(), "object server: {}", chain(&error)));
            ExitCode::FAILURE
        }
    }
}

fn start(mut words: impl Iterator<Item = OsString>) -> Result<Start, StartError> {
    let (Some(folder), Some(sockets), Some(port)) = (words.next(), words.next(), words.next()) else {
        return Err(StartError::ByHand);
    };
    let port = port.to_str().and_then(|text| text.parse().ok()).and_then(Port::new).ok_or(StartError::ByHand)?;
    sys::process::guard_memory().map_err(StartError::Memory)?;
    // Each connection is a descriptor, and so is each content that is read or written.
    sys::process::raise_descriptor_limit();
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
    let listener = TcpListener::bind(at).map_err(|source| StartError::Listen { at, source })?;
    Ok(Start {
        listener,
        folder: PathBuf::from(folder),
        control_folder: PathBuf::from(sockets),
        control_name: CONTROL_SOCKET.to_owned(),
    })
}
