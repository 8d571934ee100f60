//! What plans say of the edge and of folders.

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use model::ReleaseNumber;

use super::refusals::check_refusals;
use super::steps::check;
use super::{able, running};
use crate::change::{Abilities, Desired, Running, decide};
use crate::lint::lint;
use crate::objectives::derive;
use crate::release;
use crate::sample::{machine, stack};

const ROUTED: &str = "
    service api port=auto
    service web port=auto
    edge http=8080
    route api path=/api/ limit=100/min
    route web
";

#[test]
fn an_edge_starts_with_its_routes_and_stops() {
    check(
        "service api port=auto\nservice web port=auto",
        ROUTED,
        &expect![[r#"
        Plan for shop (production)

        will create
          edge  listens on http 8080, 2 routes
                shop.example/api/ → api (at most 100/min from one address)
                shop.example/ → web

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
    "#]],
    );
    check(
        ROUTED,
        ROUTED,
        &expect![[r#"
        Plan for shop (production)

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
          edge  listens on http 8080, 2 routes

        Nothing to do: everything is as the file says.
    "#]],
    );
    check(
        ROUTED,
        "service api port=auto\nservice web port=auto",
        &expect![[r#"
        Plan for shop (production)

        will remove
          edge  it stops: nothing listens on http 8080 any more

        will keep
          api   release 3, 1 replica
          web   release 3, 1 replica
    "#]],
    );
}

#[test]
fn what_changes_at_the_edge_is_told() {
    check(
        ROUTED,
        "service api port=auto
         service web port=auto
         edge http=8081 strict trust=10.0.0.0/8
         route api path=/api/ limit=5/s timeout=2s body=1MiB
         route api path=/hooks/ methods=POST,PUT",
        &expect![[r#"
            Plan for shop (production)

            will change
              edge  listens on http 8081, 2 routes
                    http 8080 → http 8081: open connections go on, whatever their port
                    shop.example/api/ → api (at most 5/s from one address, answers begin within 2s, bodies up to 1MiB); before: shop.example/api/ → api (at most 100/min from one address)
                    new route: POST PUT shop.example/hooks/ → api
                    no longer a route: shop.example/ → web
                    believes forwarding headers of 10.0.0.0/8
                    answers carry the strict security headers

            will keep
              api   release 3, 1 replica
              web   release 3, 1 replica
        "#]],
    );
}

#[test]
fn a_port_that_cannot_be_had_is_refused_where_it_is_wanted() {
    let port = |number| model::Port::new(number).unwrap();
    let reason = || "nginx (process 7) listens there".to_owned();
    let barred = [(port(8080), reason()), (port(9090), reason())].into();
    check_refusals(
        "",
        ROUTED,
        &Abilities { barred_ports: barred, ..able() },
        &expect![[r#"
        refused: the edge cannot listen on port 8080: nginx (process 7) listens there
    "#]],
    );
}

/// What applying a folder does where `running` is.
fn of_folder(last: Option<&release::Site>, wanted: &release::Site, running: &Running) -> String {
    let mut shop = stack("service web");
    for service in shop.services.values_mut() {
        service.source = model::stack::Source::Static { folder: "dist".into(), spa: wanted.spa };
    }
    let derived = derive(&shop, machine());
    let decision = release::decide_site(last.map(|it| (ReleaseNumber(3), it)), wanted);
    let desired = Desired {
        stack: &shop,
        applied: None,
        derived: &derived,
        releases: &BTreeMap::new(),
        sites: &[("web".parse().unwrap(), (decision, wanted.clone()))].into(),
        unset_secrets: &BTreeSet::new(),
        unmade_secrets: &BTreeSet::new(),
        abilities: &able(),
    };
    let plan = decide(&desired, running);
    assert_eq!(lint(&plan, &shop, running), []);
    let [step] = plan.steps.as_slice() else { panic!("one service has one step") };
    let notes: Vec<String> = step.notes.iter().map(ToString::to_string).collect();
    format!("{}: {}", step.action, notes.join(" | "))
}

#[test]
fn a_folder_is_created_replaced_and_kept() {
    let site = |byte: u8| release::Site { digest: model::Digest([byte; 32]), files: 12, spa: true };
    let runs = |replicas: u32| {
        let mut running = running(&stack("service web"));
        running.services.values_mut().for_each(|it| it.replicas = replicas);
        running
    };
    let files = "12 files; index.html answers where there is none";
    assert_eq!(of_folder(None, &site(1), &Running::default()), format!("create: release 1 | {files}"));
    assert_eq!(of_folder(Some(&site(1)), &site(1), &runs(0)), format!("keep: release 3 | {files}"));
    let replaced = format!("replace: release 3 → 4: other files | {files}");
    assert_eq!(of_folder(Some(&site(1)), &site(2), &runs(0)), replaced);
    assert_eq!(of_folder(None, &site(1), &runs(2)), format!("change: 2 replicas → {files}"));
}
