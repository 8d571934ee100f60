//! The ports of the edge come, change and go while clients ask, and whoever dies meanwhile.

use std::net::{SocketAddr, TcpListener, TcpStream};

use serde_json::json;

use crate::edge::{ECHO, Edged, Secured, Tunnel, file, get, get_of, get_path, get_securely};
use crate::processes;
use crate::steps::killed_at;
use crate::world::{NOBODY, World, ended, is_root};

/// A host that the local authority certifies.
const HOST: &str = "shop.localhost";

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Waits until nobody listens on a port any more.
#[track_caller]
fn is_closed(world: &World, port: u16) {
    world.wait_for(&format!("port {port} to be closed"), || TcpStream::connect(local(port)).is_err().then_some(()));
}

/// Fails when a client of the port that stays is refused or cut off while another port comes, changes and goes, when that
/// one is not accepted on once it is applied, or when a port is lost with a node and an edge that die afterwards.
#[test]
fn a_port_that_stays_is_served_while_others_come_and_go() {
    let edged = Edged::up("ports-stay");
    let (world, edge) = (&edged.world, edged.process());
    let (first, second) = (free_port(), free_port());
    let applied = |text: String| {
        world.write(&text);
        world.up();
    };
    let alone = || applied(file(edged.port).replace("shop.example", HOST));
    let beside = |https: u16| {
        applied(Secured::file(edged.port, https));
        assert_eq!(get_securely(world, https, HOST), "blue 200 2");
    };
    let mut tunnel = Tunnel::open(edged.address());
    alone();
    // Where HTTPS is served, plain requests are sent there.
    let ((), asked) = edged.asking_for(HOST, &[200, 308], || {
        beside(first);
        tunnel.echoes("beside the first");
        beside(second);
        is_closed(world, first);
        tunnel.echoes("beside the second");
        alone();
        is_closed(world, second);
        tunnel.echoes("alone");
        beside(first);
    });
    asked.all_went_well("ports came and went", world);
    tunnel.echoes("to the end");
    // The next node has its copies from the shim, which was handed them.
    processes::kill(&world.node().unwrap());
    world.up();
    assert_eq!(edged.process(), edge);
    processes::kill(&edge);
    assert_eq!(get_of(edged.address(), HOST, "/").unwrap().0, 308, "by the next edge");
    assert_eq!(get_securely(world, first, HOST), "blue 200 2");
    world.down();
    is_closed(world, edged.port);
    is_closed(world, first);
}

/// Fails when a connection is closed with the port that it came by, or a new one is still accepted there.
#[test]
fn what_came_by_a_port_that_goes_is_finished() {
    let edged = Edged::up("ports-go");
    let (world, address, new) = (&edged.world, edged.address(), free_port());
    let mut tunnel = Tunnel::open(address);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| get_path(address, "/slow"));
        world.wait_for("the service to be asked", || world.run(&["logs", "web"]).out.contains("slow").then_some(()));
        world.write(&file(new));
        let planned = world.done(&["plan"]).out;
        assert!(planned.contains("open connections go on"), "{planned}");
        let status = world.up();
        assert_eq!(status["edge"]["addresses"], json!([format!("http://shop.example:{new}/")]));
        assert_eq!(get(local(new)).unwrap(), (200, "blue".to_owned()));
        is_closed(world, edged.port);
        assert_eq!(slow.join().unwrap().unwrap(), (200, "blue".to_owned()));
    });
    tunnel.echoes("by a port that is gone");
    world.down();
    is_closed(world, new);
}

/// Fails when a node that dies between binding a port and the edge's word leaves what the next one cannot take over: a port
/// that is not accepted on, one that is not closed, or sockets that an edge which dies then does not find again.
#[test]
fn a_node_killed_while_ports_change_is_followed_by_one_that_has_them() {
    let edged = Edged::up("ports-node");
    let (world, edge) = (&edged.world, edged.process());
    let mut old = edged.port;
    let mut tunnel = Tunnel::open(edged.address());
    // Killed once the file is applied; once the new port is bound; and once the old one is not any more.
    let moments: [&dyn Fn(u16, u16) -> bool; 3] = [
        &|_, _| killed_at(world, 1, &["up", "--wait", "100s"]),
        &|_, new| killed_once(world, || TcpStream::connect(local(new)).is_ok()),
        &|old, _| killed_once(world, || TcpStream::connect(local(old)).is_err()),
    ];
    for kill_at in moments {
        let new = free_port();
        world.write(&file(new));
        // One that is done before it can be killed is no failure: the next moment is another one.
        println!("  killed: {}", kill_at(old, new));
        world.up();
        assert_eq!(get(local(new)).unwrap(), (200, "blue".to_owned()), "{}", world.events());
        is_closed(world, old);
        tunnel.echoes("through it all");
        old = new;
    }
    assert_eq!(edged.process(), edge);
    processes::kill(&edge);
    assert_eq!(get(local(old)).unwrap().0, 200, "whoever connects while there is no edge waits for the next");
    world.down();
    is_closed(world, old);
}

/// Fails when an edge that sees little of the machine's files and is no root's cannot be handed sockets.
#[test]
fn a_plain_users_edge_moves_to_another_port_too() {
    let (old, new) = (free_port(), free_port());
    let world = World::of("ports-plain", &file(old), is_root().then_some(NOBODY));
    world.script("echo.py", ECHO);
    world.up();
    let mut tunnel = Tunnel::open(local(old));
    world.write(&file(new));
    world.up();
    assert_eq!(get(local(new)).unwrap(), (200, "blue".to_owned()));
    is_closed(&world, old);
    tunnel.echoes("by a port that is gone");
    world.down();
}

/// Begins an `up` and kills the node once something holds; whether it ever did before the end.
fn killed_once(world: &World, holds: impl Fn() -> bool) -> bool {
    let mut command = world.begin(&["up", "--wait", "100s"]);
    while !holds() {
        if command.try_wait().unwrap().is_some() {
            return false;
        }
    }
    let killed = world.node().is_some_and(|node| {
        processes::kill(&node);
        world.wait_for("the node to be gone", || processes::look(node.pid).is_none().then_some(()));
        true
    });
    ended(command);
    killed
}
