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
              hint: copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: the control socket belongs to the node's user and root
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
              hint: write a number
            mainstay.yaml:20:41: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            mainstay.yaml:23:5: unsupported[not-supported-yet]: not supported yet: containers
              hint: start the program itself with `run`
            mainstay.yaml:32:39: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:32:42: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            mainstay.yaml:35:17: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: use one from elsewhere, with `env` and `secrets`
            mainstay.yaml:43:10: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:43:38: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:47:36: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            mainstay.yaml:49:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: the control socket belongs to the node's user and root
            mainstay.yaml:72:48: unsupported[not-supported-yet]: not supported yet: blue-green releases
              hint: write `strategy: rolling`
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
              hint: write a number
            mainstay.yaml:20:41: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            mainstay.yaml:21:26: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `strategy: rolling`
            mainstay.yaml:23:5: unsupported[not-supported-yet]: not supported yet: containers
              hint: start the program itself with `run`
            mainstay.yaml:32:39: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            mainstay.yaml:32:42: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            mainstay.yaml:35:17: unsupported[not-supported-yet]: not supported yet: RabbitMQ
              hint: use one from elsewhere, with `env` and `secrets`
            mainstay.yaml:43:10: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:43:38: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            mainstay.yaml:47:36: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            mainstay.yaml:49:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: copy the data by a scheduled service of yours
            mainstay.yaml:55:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            mainstay.yaml:56:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
            mainstay.yaml:58:1: unsupported[not-supported-yet]: not supported yet: users and tokens
              hint: the control socket belongs to the node's user and root
            stack: yes
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
            sketch.yaml:49:36: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
            stack: yes
        "#]],
    );
    check(
        "staging",
        &expect![[r#"
            sketch.yaml:19:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number
            sketch.yaml:22:59: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            sketch.yaml:23:26: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `strategy: rolling`
            sketch.yaml:34:35: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            sketch.yaml:34:38: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            sketch.yaml:44:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            sketch.yaml:49:36: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
            stack: yes
        "#]],
    );
    check(
        "production",
        &expect![[r#"
            sketch.yaml:19:5: unsupported[not-supported-yet]: not supported yet: scaling between bounds
              hint: write a number
            sketch.yaml:22:59: unsupported[not-supported-yet]: not supported yet: guarding database migrations
              hint: delete the key
            sketch.yaml:23:26: unsupported[not-supported-yet]: not supported yet: canary releases
              hint: write `strategy: rolling`
            sketch.yaml:34:35: unsupported[not-supported-yet]: not supported yet: standby copies of a resource
              hint: write 0, or delete the key
            sketch.yaml:34:38: unsupported[not-supported-yet]: not supported yet: pooling of connections
              hint: delete the key
            sketch.yaml:44:3: unsupported[not-supported-yet]: not supported yet: certificates of a public authority
              hint: write `tls: local`
            sketch.yaml:49:36: unsupported[not-supported-yet]: not supported yet: the web application firewall
              hint: write `waf: off`, or delete the key
            sketch.yaml:51:1: unsupported[not-supported-yet]: not supported yet: backups
              hint: copy the data by a scheduled service of yours
            sketch.yaml:58:1: unsupported[not-supported-yet]: not supported yet: keeping metrics, logs and traces
              hint: `mainstay logs` shows recent output
            sketch.yaml:59:1: unsupported[not-supported-yet]: not supported yet: alerts
              hint: watch `mainstay status`
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
