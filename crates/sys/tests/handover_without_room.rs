//! Hands sockets to a process that is out of descriptors. Alone in its binary: the limit is the whole process's.

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sys::listeners::handover::{Intake, give};

/// Descriptors that this process may have.
const DESCRIPTORS_MAX: u64 = 64;
/// What both ends of a connection take, each with the copy that it waits by.
const CONNECTION: usize = 4;
/// Sockets that are handed over.
const SOCKETS: usize = 4;

/// All descriptors that are left.
fn all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Fails when sockets are used, kept open or acknowledged although others that came with them were lost.
#[tokio::test]
async fn sockets_for_which_there_is_no_room_are_not_taken_in_part() {
    let folder = std::env::temp_dir().join(format!("mainstay-handover-without-room-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut intake = Intake::new(&folder).unwrap();
    let sockets: Vec<OwnedFd> = (0..SOCKETS).map(|_| TcpListener::bind("127.0.0.1:0").unwrap().into()).collect();
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS_MAX), ..getrlimit(Resource::Nofile) }).unwrap();
    let mut taken = all_descriptors();

    // From room for none of them to room for all but one.
    for room in CONNECTION..CONNECTION + SOCKETS {
        taken.truncate(taken.len() - room);
        let error = tokio::select! {
            given = give(&folder, "8443", &sockets) => given.unwrap_err().to_string(),
            handed = intake.next() => panic!("with room for {room}: {handed:?}"),
        };
        assert_eq!(error, "it ended, or is out of descriptors");
        let free = all_descriptors();
        assert_eq!(free.len(), room, "what came is closed");
        taken.extend(free);
    }

    taken.truncate(taken.len() - CONNECTION - SOCKETS);
    let (given, handed) = tokio::join!(give(&folder, "8443", &sockets), intake.next());
    given.unwrap();
    assert_eq!((handed.words.as_str(), handed.sockets.len()), ("8443", SOCKETS));
    std::fs::remove_dir_all(&folder).unwrap();
}
