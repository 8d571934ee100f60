//! Another user lies in wait for the port of a data service, to receive the passwords that are meant for it.
//!
//! Start reading at [`nobody_takes_a_data_services_port_while_it_is_away`].

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, TryRecvError, TrySendError};

use serde_json::Value;

use crate::world::{World, unit};
use crate::{NOBODY, is_root, processes};

/// The port of `stated` is to follow.
const FILE: &str = "\
stack: wait
services:
  web: { run: sleep 1000000, uses: [db, cache, photos] }
resources:
  db: { type: postgres, memory: 64MiB }
  cache: { type: redis, memory: 16MiB }
  photos: { type: objects, buckets: [photos] }
  stated: { type: redis, memory: 16MiB, port: ";

/// Those whose port the node chose.
const CHOSEN: [&str; 3] = ["db", "cache", "photos"];

/// What `/proc/PID/status` says of a process with no right of root's but to listen on privileged ports, bit 10, and of one
/// with none.
const THAT_ONE: &str = "0000000000000400";
const NONE: &str = "0000000000000000";

#[test]
fn nobody_takes_a_data_services_port_while_it_is_away() {
    if !is_root() {
        println!("skipped: needs root, who alone may listen on privileged ports");
        return;
    }
    let privileged_below = unprivileged_from();
    if privileged_below < 1024 {
        println!("skipped: everybody may listen on ports from {privileged_below} on here");
        return;
    }
    let stated = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let world = World::new("ports", &format!("{FILE}{stated} }}\n"));
    let status = world.up();
    for name in CHOSEN {
        let port = port(&status, name);
        assert!(port < privileged_below, "{name} listens on {port}");
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert_eq!(rights(&world, name), [THAT_ONE; 4], "{name}");
        assert_eq!(taken_meanwhile(&world, name, port), BTreeSet::from([ErrorKind::PermissionDenied]), "{name}");
        assert_eq!(self::port(&world.status().unwrap(), name), port, "{name} came back elsewhere");
    }
    // One that needs no right has none.
    assert_eq!(port(&status, "stated"), stated);
    assert_eq!(rights(&world, "stated"), [NONE; 4]);
    world.done(&["down"]);
}

/// What another user is told who tries to listen on the port of a resource while that is killed and started again.
fn taken_meanwhile(world: &World, resource: &str, port: u16) -> BTreeSet<ErrorKind> {
    let (waits, waiting) = mpsc::sync_channel(1);
    // Dropped also where this test fails.
    let (end, ended) = mpsc::channel::<()>();
    std::thread::scope(move |scope| {
        let attacker = scope.spawn(move || {
            // Of this thread alone; its rights of root go with it.
            let nobody = rustix::process::Uid::from_raw(NOBODY);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            let mut refusals = BTreeSet::new();
            while ended.try_recv() == Err(TryRecvError::Empty) {
                let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
                refusals.insert(bound.expect_err("another user listens on the port").kind());
                // Only the first is waited for.
                let _: Result<(), TrySendError<()>> = waits.try_send(());
                // The machine is to start the server meanwhile.
                std::thread::yield_now();
            }
            refusals
        });
        waiting.recv().unwrap();
        let old = world.child(resource);
        processes::kill(&old);
        world.replaced(resource, &old);
        drop(end);
        attacker.join().unwrap()
    })
}

/// The rights of root's that the process of a resource has, may take up, and hands on.
fn rights(world: &World, resource: &str) -> [String; 4] {
    let status = fs::read_to_string(format!("/proc/{}/status", world.child(resource).pid)).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1", "{resource}");
    ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"].map(field)
}

fn port(status: &Value, resource: &str) -> u16 {
    let address = unit(status, resource).unwrap()["address"].as_str().unwrap().to_owned();
    address.rsplit(':').next().unwrap().parse().unwrap()
}

fn unprivileged_from() -> u16 {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    text.trim().parse().unwrap()
}
