//! How many connections are let in.

use edge::control::ToNode;
use edge::settings::ConnectionLimits;

use crate::bench::{Bench, echo, until};

#[test]
fn a_connection_that_is_one_too_many_is_told_so_and_counted() {
    for (limits, status, code) in [
        (ConnectionLimits { total: 2, per_client: 9 }, 503, "overloaded"),
        (ConnectionLimits { total: 9, per_client: 2 }, 429, "too_many_connections"),
    ] {
        let mut bench = Bench::new(&[echo()]);
        bench.apply(|settings| settings.connections = limits);
        let mut open = [bench.connect(), bench.connect()];
        assert!(open.iter_mut().all(|client| client.get("/").status == 200));
        let mut third = bench.connect();
        let answer = third.answer();
        assert_eq!((answer.status, answer.text().contains(code)), (status, true), "{}", answer.text());
        assert!(third.is_ended());
        let turned_away = loop {
            open[0].get("/");
            if let ToNode::Evidence { turned_away, .. } = bench.hear() {
                break turned_away;
            }
        };
        assert_eq!(turned_away.by_limits, 1);
        drop(open);
        until(|| (bench.connect().try_get("/")? == 200).then_some(()));
    }
}
