//! What becomes of the file's words in the checked stack: overlays, defaults and what follows from what.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::SourceFile;
use expect_test::{Expect, expect};
use serde_json::Value;

/// One value of the stack, by its path in the stack's JSON form.
#[track_caller]
fn check(text: &str, environment: &str, path: &str, expected: &Expect) {
    let checked = config::check(&SourceFile::new("mainstay.yaml", text), Some(&environment.parse().unwrap()));
    let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
    let stack = serde_json::to_value(checked.stack.unwrap_or_else(|| panic!("{}", problems.join("\n")))).unwrap();
    let found = path.split('.').fold(&stack, |value: &Value, key| &value[key]);
    expected.assert_eq(&found.to_string());
}

fn service(keys: &str) -> String {
    format!("stack: a\nservices: {{ api: {{ run: bin/api{keys} }} }}\n")
}

#[test]
fn what_is_left_out() {
    check(
        &service(""),
        "development",
        "services.api",
        &expect![[
            r#"{"env":{},"health":{"drain":"30s","live":null,"ready":null},"limits":{"cpu":null,"memory":null,"tasks":null},"listen":"none","needs":[],"release_run":null,"replicas":"derived","rollout":"rolling","schedule":null,"secrets":[],"source":{"run":["bin/api"]},"user":null,"uses":[],"volumes":[]}"#
        ]],
    );
    check(
        "stack: a\nresources: { db: { type: postgres } }\n",
        "development",
        "resources.db",
        &expect![[r#"{"postgres":{"memory":268435456,"pool":null,"port":null,"standbys":0,"version":null}}"#]],
    );
    check(
        "stack: a\nresources: { c: { type: redis } }\n",
        "development",
        "resources.c",
        &expect![[r#"{"redis":{"evict":"noeviction","memory":67108864,"port":null,"standbys":0}}"#]],
    );
    check("stack: a\n", "development", "environment", &expect![[r#""development""#]]);
    check("stack: a\n", "development", "timezone", &expect![[r#""UTC""#]]);
}

#[test]
fn who_is_asked_over_the_network_has_a_port() {
    let check = |keys: &str, expected: &Expect| check(&service(keys), "development", "services.api.listen", expected);
    check("", &expect![[r#""none""#]]);
    check(", port: auto", &expect![[r#""chosen""#]]);
    check(", port: 8080", &expect![[r#"{"fixed":8080}"#]]);
    check(", health: { ready: /x }", &expect![[r#""chosen""#]]);
    check(", health: { live: { tcp: true } }", &expect![[r#""chosen""#]]);
    check(", health: { live: { command: bin/ok } }", &expect![[r#""none""#]]);
}

#[test]
fn who_is_routed_has_a_port() {
    let text = format!("{}edge: {{ listen: {{ http: 80 }}, routes: [{{ host: A.example, to: api }}] }}\n", service(""));
    check(&text, "development", "services.api.listen", &expect![[r#""chosen""#]]);
    check(
        &text,
        "development",
        "edge",
        &expect![[
            r#"{"listen":{"http":80,"https":null},"routes":[{"body_max":null,"cors":null,"host":"a.example","limit":null,"methods":[],"path":"/","timeout":null,"to":"api"}],"strict_headers":false,"trust":[]}"#
        ]],
    );
}

#[test]
fn what_holds_for_all_routes_is_every_routes_own() {
    let text = "stack: a
services: { api: { run: b } }
edge:
  listen: { http: 80 }
  trust: [10.0.0.0/8, 192.0.2.1]
  protect: { headers: strict, body: 1MiB }
  routes:
    - { host: \"{tenant}.a.example\", path: /up/, to: api, methods: [POST, PUT], body: 1GiB, timeout: 5s }
    - host: a.example
      to: api
      limit: { rate: 9/s }
      cors: { origins: [\"https://b.example:8443\"], headers: [x-client], credentials: true }
";
    check(
        text,
        "development",
        "edge",
        &expect![[
            r#"{"listen":{"http":80,"https":null},"routes":[{"body_max":1073741824,"cors":null,"host":"{tenant}.a.example","limit":null,"methods":["POST","PUT"],"path":"/up/","timeout":"5s","to":"api"},{"body_max":1048576,"cors":{"credentials":true,"headers":["x-client"],"keep":"10m","methods":[],"origins":["https://b.example:8443"]},"host":"a.example","limit":"9/s","methods":[],"path":"/","timeout":null,"to":"api"}],"strict_headers":true,"trust":["10.0.0.0/8","192.0.2.1/32"]}"#
        ]],
    );
}

/// Else an objective could count on them.
#[test]
fn backups_that_nobody_makes_are_not_in_the_remainder() {
    let checked = |keys: &str| config::check(&SourceFile::new("mainstay.yaml", format!("{}{keys}", service(""))), None);
    let with_backups = checked("backups: { to: [{ folder: /mnt }] }\n");
    assert_eq!(with_backups.stack.unwrap().backups.unwrap().destinations, 1);
    assert_eq!(with_backups.remainder.unwrap().backups, None);
    assert_eq!(checked("").remainder, None);
}

#[test]
fn a_route_keeps_what_is_supported_of_it_in_the_remainder() {
    let edge = "edge:\n  listen: { http: 80 }\n  protect: { headers: strict, waf: block }\n  routes:\n    \
                - { host: a.example, to: api, limit: { rate: 9/s, per: tenant } }\n";
    let text = format!("{}{edge}", service(", port: auto"));
    let remainder = config::check(&SourceFile::new("mainstay.yaml", text), None).remainder;
    let edge = remainder.unwrap().edge.unwrap();
    let limits: Vec<_> = edge.routes.iter().map(|route| route.limit).collect();
    assert_eq!((limits, edge.strict_headers), (vec![Some("9/s".parse().unwrap())], true));
}

#[test]
fn a_fixed_port_makes_a_release_stop_the_old_one_first() {
    check(&service(", port: 80"), "development", "services.api.rollout", &expect![[r#""recreate""#]]);
    check(&service(", port: auto"), "development", "services.api.rollout", &expect![[r#""rolling""#]]);
}

#[test]
fn values_of_env_stay_as_written() {
    let text = service(", env: { A: no, B: 010, C: 1.50, D: \"x y\", E: true, F: 0x1F, G: 1e3, H: \"\" }");
    check(
        &text,
        "development",
        "services.api.env",
        &expect![[r#"{"A":"no","B":"010","C":"1.50","D":"x y","E":"true","F":"0x1F","G":"1e3","H":""}"#]],
    );
}

const LAYERS: &str = "\
stack: a
objectives: { latency: { p95: 1s } }
services:
  api:
    run: bin/api --one
    env: { A: base, B: base }
    secrets: [X, Y]
    limits: { cpu: 1, memory: 64MiB }
    health: { ready: { command: bin/ok } }
resources:
  store: { type: postgres, memory: 1GiB, version: 15 }
secrets: { X: set, Y: set, Z: set }
environments:
  other:
    objectives: { latency: { p99: 2s } }
    services:
      api:
        run: bin/api --two
        env: { B: other, C: other }
        secrets: [Z]
        limits: null
        health: { ready: { tcp: true } }
      extra: { run: bin/extra, secrets: [X, Y] }
    resources:
      store: { type: redis, evict: volatile-ttl }
";

#[test]
fn mappings_merge_and_lists_replace() {
    check(LAYERS, "other", "services.api.env", &expect![[r#"{"A":"base","B":"other","C":"other"}"#]]);
    check(LAYERS, "other", "services.api.secrets", &expect![[r#"["Z"]"#]]);
    check(LAYERS, "other", "services.api.source", &expect![[r#"{"run":["bin/api","--two"]}"#]]);
    check(LAYERS, "other", "services.extra.source", &expect![[r#"{"run":["bin/extra"]}"#]]);
}

#[test]
fn null_deletes() {
    check(LAYERS, "development", "services.api.limits", &expect![[r#"{"cpu":"1","memory":67108864,"tasks":null}"#]]);
    check(LAYERS, "other", "services.api.limits", &expect![[r#"{"cpu":null,"memory":null,"tasks":null}"#]]);
}

#[test]
fn another_kind_replaces_whole() {
    check(
        LAYERS,
        "other",
        "resources.store",
        &expect![[r#"{"redis":{"evict":"volatile-ttl","memory":67108864,"port":null,"standbys":0}}"#]],
    );
    check(LAYERS, "other", "services.api.health.ready", &expect![[r#""tcp""#]]);
    check(LAYERS, "other", "objectives.latency", &expect![[r#"{"quantile":"99%","within":"2s"}"#]]);
}

/// `type` and `run` are tags only where the schema says so.
#[test]
fn a_variable_called_type_is_no_tag() {
    let text = "stack: a\nservices: { api: { run: b, env: { type: x, run: y } } }\n\
                environments: { other: { services: { api: { env: { type: z } } } } }\n";
    check(text, "other", "services.api.env", &expect![[r#"{"run":"y","type":"z"}"#]]);
}

#[test]
fn places_follow_the_overlay() {
    let checked = config::check(&SourceFile::new("mainstay.yaml", LAYERS), Some(&"other".parse().unwrap()));
    let place = |path: &str| checked.places.nearest(path).start.to_string();
    assert_eq!(place("services.api.env.A"), "6:15");
    assert_eq!(place("services.api.env.B"), "19:19");
    assert_eq!(place("services.api.secrets.0"), "20:19");
    assert_eq!(place("services.api.replicas"), "4:3", "what is not there is marked at what is around it");
    assert_eq!(place("services.nobody.replicas"), "3:1");
    assert_eq!(place("nothing"), "1:1");
}
