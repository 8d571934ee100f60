//! An object server as a process of its own, for tests and for trying: `serve STORE-FOLDER CONTROL-FOLDER`.
//!
//! It listens on any free port of the loopback interface, says which on standard output, and waits to be told its
//! settings on the socket `objects.sock` in the control folder.

use std::error::Error;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;

use objects::process::{Start, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(folder), Some(control_folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: serve STORE-FOLDER CONTROL-FOLDER".into());
    };
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    run(Start { listener, folder, control_folder, control_name: "objects.sock".to_owned() })?;
    Ok(())
}
