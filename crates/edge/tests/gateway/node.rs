//! A node that does not listen.

use edge::control::{ToEdge, ToNode};

use crate::bench::{Authority, Bench, PATIENCE, echo, until};

#[test]
fn a_node_that_does_not_listen_holds_up_nothing() {
    let mut bench = Bench::new(&[echo()]);
    bench.node.set_write_timeout(Some(PATIENCE)).unwrap();
    let mut unusable = bench.certificates.clone();
    unusable.list = vec![Authority::new().certificate(&["acme.test"])];
    unusable.list[0].chain.clear();
    // Each is answered, and nobody reads the answers: far more than a socket holds.
    for number in 1..2000 {
        unusable.number = number;
        bench.tell(&ToEdge::Certificates(Box::new(unusable.clone())));
    }
    bench.settings.strict_headers = true;
    bench.settings.number += 1;
    bench.tell(&ToEdge::Settings(Box::new(bench.settings.clone())));
    until(|| bench.connect().get("/").field("x-frame-options").map(drop));
    // What it hears once it listens again is whole, and ends with the newest.
    let newest = |message: &ToNode| matches!(message, ToNode::CertificatesRefused { certificates: 1999, .. });
    bench.hear_until(|message| newest(&message).then_some(()));
    let applied = ToNode::Applied { settings: bench.settings.number };
    bench.hear_until(|message| (message == applied).then_some(()));
}
