//! Whole files checked for each of their environments.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fmt::Write;
use std::path::Path;

use config::SourceFile;
use expect_test::{Expect, expect};

fn environment(name: &str) -> model::EnvironmentName {
    name.parse().unwrap()
}

fn problems(name: &str, text: &str, environment_name: &str) -> String {
    let checked = config::check(&SourceFile::new(name, text), Some(&environment(environment_name)));
    let mut shown = String::new();
    for problem in &checked.problems {
        writeln!(shown, "{problem}").unwrap();
    }
    writeln!(shown, "stack: {}", if checked.stack.is_some() { "yes" } else { "no" }).unwrap();
    shown
}

#[track_caller]
fn check(text: &str, environment_name: &str, expected: &Expect) {
    expected.assert_eq(&problems("mainstay.yaml", text, environment_name));
}

const LATER: &str = include_str!("samples/later.yaml");

#[test]
fn development_asks_for_less() {
    check(
        LATER,
        "development",
        &expect![[r#"
            mainstay.yaml:49:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: delete it: the control socket belongs to the node's user and root
            stack: yes
        "#]],
    );
}

#[test]
fn staging_lists_its_unsupported_lines() {
    check(
        LATER,
        "staging",
        &expect![[r#"
            mainstay.yaml:17:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:20:41: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            mainstay.yaml:21:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:23:5: unsupported[not-supported-yet]: not supported yet: containers
              hint: start the program itself with `run`
            mainstay.yaml:24:22: unsupported[not-supported-yet]: with the unsupported lines deleted, there is no resource `post`
              hint: delete it too
            mainstay.yaml:32:29: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:32:42: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            mainstay.yaml:35:3: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:43:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:45:7: unsupported[not-supported-yet]: with the unsupported lines deleted, the local authority certifies no bookshop.example: somebody may own it
              hint: use a name under localhost, test, internal, local, home.arpa, or listen on `http` alone
            mainstay.yaml:47:31: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            mainstay.yaml:49:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: delete it: the control socket belongs to the node's user and root
            mainstay.yaml:66:67: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.orders.release.schema` deletes nothing: the file does not set it above (in environment `development`)
              hint: delete it too
            mainstay.yaml:68:41: unsupported[not-supported-yet]: with the unsupported lines deleted, `resources.ledger.pool` deletes nothing: the file does not set it above (in environment `development`)
              hint: delete it too
            mainstay.yaml:72:27: unsupported[not-supported-yet]: not supported yet: blue-green releases
              hint: write `rollout: { strategy: rolling }`
            stack: yes
        "#]],
    );
}

#[test]
fn production_lists_its_unsupported_lines() {
    check(
        LATER,
        "production",
        &expect![[r#"
            mainstay.yaml:17:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:20:41: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            mainstay.yaml:21:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:23:5: unsupported[not-supported-yet]: not supported yet: containers
              hint: start the program itself with `run`
            mainstay.yaml:24:22: unsupported[not-supported-yet]: with the unsupported lines deleted, there is no resource `post`
              hint: delete it too
            mainstay.yaml:32:29: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:32:42: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            mainstay.yaml:35:3: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:43:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:45:7: unsupported[not-supported-yet]: with the unsupported lines deleted, the local authority certifies no bookshop.example: somebody may own it
              hint: use a name under localhost, test, internal, local, home.arpa, or listen on `http` alone
            mainstay.yaml:47:31: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            mainstay.yaml:49:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: delete it: the control socket belongs to the node's user and root
            mainstay.yaml:66:67: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.orders.release.schema` deletes nothing: the file does not set it above (in environment `development`)
              hint: delete it too
            mainstay.yaml:68:41: unsupported[not-supported-yet]: with the unsupported lines deleted, `resources.ledger.pool` deletes nothing: the file does not set it above (in environment `development`)
              hint: delete it too
            stack: yes
        "#]],
    );
}

/// Each environment adds to what is not supported, hides it, replaces it or takes something out of it.
const LAYERED: &str = "\
stack: atlas
services:
  tiles:
    run: bin/tiles
    uses:
      - maps
      - letters
    replicas: { min: 2, max: 6 }
    rollout:
      strategy: canary
      steps: [10%, 50%]
      approve: 50%
resources:
  maps:
    type: postgres
    standbys: 1
  letters:
    type: rabbitmq
    memory: 256MiB
edge:
  listen: { http: 80 }
  routes:
    - host: atlas.example
      to: tiles
      limit:
        rate: 10/s
        per: tenant
telemetry:
  keep: 14d
backups:
  to: [{ folder: /mnt/copies }]
environments:
  development:
    advisory: true
    telemetry:
      keep: 1d
    backups: { to: [{ folder: copies }] }
    services: { tiles: { replicas: 2, rollout: { strategy: rolling } } }
  staging:
    advisory: true
    services: { tiles: { rollout: { approve: null } } }
    resources: { letters: { memory: 128MiB } }
    telemetry: null
  production:
    server: { cpu: 8, memory: 32GiB }
    services:
      tiles:
        replicas: { min: 3 }
        rollout:
          strategy: blue-green
        limits: { memory: 1GiB }
    resources:
      maps:
        standbys: 2
        memory: 512MiB
    edge:
      routes:
        - host: atlas.example
          to: tiles
          limit:
            rate: 100/s
            per: token
";

#[test]
fn what_an_environment_adds_is_named_beside_what_it_adds_to() {
    check(
        LAYERED,
        "development",
        &expect![[r#"
            mainstay.yaml:7:9: unsupported[not-supported-yet]: with the unsupported lines deleted, there is no resource `letters`
              hint: delete it too
            mainstay.yaml:16:5: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:17:3: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:27:9: unsupported[not-supported-yet]: not supported yet: limits for each tenant
              hint: write `per: ip`
            mainstay.yaml:28:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:30:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:35:5: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:37:5: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:42:18: unsupported[not-supported-yet]: with the unsupported lines deleted, `resources.letters` lacks `type` (in environment `staging`)
              hint: delete it too
            mainstay.yaml:43:5: unsupported[not-supported-yet]: with the unsupported lines deleted, `telemetry` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete it too
            stack: yes
        "#]],
    );
}

#[test]
fn what_an_environment_hides_is_named_with_what_hides_it() {
    check(
        LAYERED,
        "production",
        &expect![[r#"
            mainstay.yaml:7:9: unsupported[not-supported-yet]: with the unsupported lines deleted, there is no resource `letters`
              hint: delete it too
            mainstay.yaml:8:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:9:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:16:5: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:17:3: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:28:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            mainstay.yaml:30:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:41:37: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.tiles.rollout.approve` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete it too
            mainstay.yaml:42:18: unsupported[not-supported-yet]: with the unsupported lines deleted, `resources.letters` lacks `type` (in environment `staging`)
              hint: delete it too
            mainstay.yaml:43:5: unsupported[not-supported-yet]: with the unsupported lines deleted, `telemetry` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete it too
            mainstay.yaml:48:9: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:49:9: unsupported[not-supported-yet]: not supported yet: blue-green releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:54:9: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:62:13: unsupported[not-supported-yet]: not supported yet: limits for each token
              hint: write `per: ip`
            stack: yes
        "#]],
    );
}

#[test]
fn what_an_environment_takes_out_of_it_is_named_with_it() {
    check(
        LAYERED,
        "staging",
        &expect![[r#"
            mainstay.yaml:7:9: unsupported[not-supported-yet]: with the unsupported lines deleted, there is no resource `letters`
              hint: delete it too
            mainstay.yaml:8:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:9:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:16:5: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:17:3: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:27:9: unsupported[not-supported-yet]: not supported yet: limits for each tenant
              hint: write `per: ip`
            mainstay.yaml:30:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            mainstay.yaml:41:37: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.tiles.rollout.approve` deletes nothing: the file does not set it above
              hint: delete it too
            mainstay.yaml:42:18: unsupported[not-supported-yet]: with the unsupported lines deleted, `resources.letters` lacks `type`
              hint: delete it too
            stack: yes
        "#]],
    );
}

/// The lines that are named, with what is indented below them, are not there any more.
fn without_what_is_named(text: &str, environment_name: &str) -> String {
    let checked = config::check(&SourceFile::new("mainstay.yaml", text), Some(&environment(environment_name)));
    let named: Vec<usize> = checked.problems.iter().map(|problem| problem.place.start.line).collect();
    let mut below = None;
    let mut kept = String::new();
    for (index, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        below = below.filter(|above| indent > *above).or(named.contains(&(index + 1)).then_some(indent));
        if below.is_none() {
            writeln!(kept, "{line}").unwrap();
        }
    }
    kept
}

#[test]
fn one_round_names_all_that_is_to_go() {
    for name in ["development", "staging", "production"] {
        let left = without_what_is_named(LAYERED, name);
        assert_eq!(problems("mainstay.yaml", &left, name), "stack: yes\n", "{name}\n{left}");
    }
}

#[test]
fn what_is_not_supported_need_not_be_whole() {
    let incomplete = "\
stack: atlas
services: { tiles: { run: bin/tiles, replicas: { min: 3 }, rollout: { strategy: canary, approve: 5% } } }
resources: { letters: { type: rabbitmq } }
edge: { listen: { https: 443 }, tls: { challenge: dns } }
backups: {}
environments: { production: { alerts: { night: {} } } }
";
    check(
        incomplete,
        "development",
        &expect![[r#"
            mainstay.yaml:2:38: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            mainstay.yaml:2:60: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            mainstay.yaml:3:14: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: delete it, and use one from elsewhere with `env` and `secrets`
            mainstay.yaml:4:33: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:5:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            stack: yes
        "#]],
    );
}

#[test]
fn an_environment_that_only_deletes_adds_nothing() {
    let text = "\
stack: atlas
services: { tiles: { run: bin/tiles } }
environments: { staging: { services: { tiles: { rollout: { approve: null } } }, edge: { listen: { https: null } } } }
";
    check(
        text,
        "staging",
        &expect![[r#"
            mainstay.yaml:3:60: error[deletes-nothing]: `services.tiles.rollout.approve` deletes nothing: the file does not set it above
              hint: delete the line
            mainstay.yaml:3:99: error[deletes-nothing]: `edge.listen.https` deletes nothing: the file does not set it above
              hint: delete the line
            stack: no
        "#]],
    );
    check(
        text,
        "development",
        &expect![[r#"
            mainstay.yaml:3:60: error[deletes-nothing]: `services.tiles.rollout.approve` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete the line
            mainstay.yaml:3:99: error[deletes-nothing]: `edge.listen.https` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete the line
            stack: no
        "#]],
    );
}

/// The file that the shape was designed against lies beside the checkout of those who have it.
#[test]
fn the_design_sketch_has_unsupported_lines_only() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/mainstay.sketch.yaml");
    let Ok(text) = std::fs::read_to_string(beside) else {
        println!("oracle not present");
        return;
    };
    let check = |name: &str, expected: &Expect| expected.assert_eq(&problems("sketch.yaml", &text, name));
    check(
        "development",
        &expect![[r#"
            sketch.yaml:22:59: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            sketch.yaml:34:38: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            sketch.yaml:49:31: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            sketch.yaml:74:5: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            stack: yes
        "#]],
    );
    check(
        "staging",
        &expect![[r#"
            sketch.yaml:19:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            sketch.yaml:22:59: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            sketch.yaml:23:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            sketch.yaml:34:25: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            sketch.yaml:34:38: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            sketch.yaml:44:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            sketch.yaml:46:7: unsupported[not-supported-yet]: with the unsupported lines deleted, the local authority certifies no {tenant}.directory.example: somebody may own it
              hint: use a name under localhost, test, internal, local, home.arpa, or listen on `http` alone
            sketch.yaml:49:31: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            sketch.yaml:76:35: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.api.rollout.approve` deletes nothing: the file does not set it above
              hint: delete it too
            stack: yes
        "#]],
    );
    check(
        "production",
        &expect![[r#"
            sketch.yaml:19:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            sketch.yaml:22:59: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            sketch.yaml:23:5: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `rollout: { strategy: rolling }`
            sketch.yaml:34:25: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            sketch.yaml:34:38: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            sketch.yaml:44:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            sketch.yaml:46:7: unsupported[not-supported-yet]: with the unsupported lines deleted, the local authority certifies no {tenant}.directory.example: somebody may own it
              hint: use a name under localhost, test, internal, local, home.arpa, or listen on `http` alone
            sketch.yaml:49:31: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: delete it, and copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: delete it: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: delete it, and watch `mainstay status`
            sketch.yaml:76:35: unsupported[not-supported-yet]: with the unsupported lines deleted, `services.api.rollout.approve` deletes nothing: the file does not set it above (in environment `staging`)
              hint: delete it too
            sketch.yaml:79:24: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number, such as your `min`
            stack: yes
        "#]],
    );
}

#[test]
fn valid_samples_have_no_problems() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/valid");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let source = SourceFile::new(path.display().to_string(), text.clone());
        for environment in [config::check(&source, None).environments, vec![environment("development")]].concat() {
            assert_eq!(problems("valid", &text, environment.as_str()), "stack: yes\n", "{}", path.display());
        }
        seen += 1;
    }
    assert_eq!(seen, 3);
}
