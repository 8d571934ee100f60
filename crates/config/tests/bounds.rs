//! Files as large and as odd as they may be are refused or read, and neither takes for ever.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use config::{RuleId, Severity, SourceFile};

/// How many problems there are, and the first rule that is broken.
fn check(text: String) -> (usize, Option<RuleId>) {
    let checked = config::check(&SourceFile::new("large.yaml", text), Some(&"production".parse().unwrap()));
    let errors = checked.problems.iter().find(|problem| problem.severity == Severity::Error);
    (checked.problems.len(), errors.map(|problem| problem.rule))
}

fn services(count: usize, keys: &str) -> String {
    let services: String = (0..count).map(|n| format!("  service-{n}: {{ run: bin/x{keys} }}\n")).collect();
    format!(
        "stack: a\nservices:\n{services}environments:\n  production:\n    services:\n{}",
        services.replace("  s", "      s")
    )
}

#[test]
fn text() {
    assert_eq!(check("#".repeat(config::TEXT_BYTES_MAX + 1)), (1, Some(RuleId::TooLarge)));
}

#[test]
fn nesting() {
    for opening in
        ["[", "{a: ", "- ", "? ", "[{", "a:\n ", "\"", "'", "[[[[", "&a ", "!a ", "a: b\n", "a", "é", "\n", ": "]
    {
        let repeated = opening.repeat(200_000.min(config::TEXT_BYTES_MAX / opening.len()));
        assert!(check(repeated.clone()).1.is_some(), "{opening:?}");
        assert!(check(format!("stack: a\nx-large: {repeated}")).0 <= config::PROBLEMS_MAX, "{opening:?}");
    }
}

#[test]
fn values() {
    let many = format!("stack: a\nx-large: [{}]\n", "1, ".repeat(config::NODES_MAX));
    assert_eq!(check(many), (1, Some(RuleId::TooLarge)));
}

#[test]
fn keys() {
    let long = "a".repeat(config::KEY_BYTES_MAX + 1);
    assert_eq!(
        check(format!("stack: a\n{long}: {{ b: c }}\nenvironments: {{ production: {{}} }}\n")),
        (1, Some(RuleId::TooLarge))
    );
}

#[test]
fn many_services_with_nothing_wrong() {
    assert_eq!(check(services(3000, "")), (0, None));
}

#[test]
fn many_services_with_everything_wrong() {
    let unknown = ", uses: [servixe], needs: [service-9999, servixe], secrets: [ABCDEFGHIJKLMNOP], abcdefghijkl: 1";
    assert_eq!(check(services(700, unknown)), (config::PROBLEMS_MAX, Some(RuleId::UnknownKey)));
}

#[test]
fn many_services_with_what_is_not_supported() {
    let unsupported = ", uses: [queue], replicas: { min: 2 }, rollout: { strategy: canary, approve: 1% }";
    let text = format!("{}    resources: {{ queue: {{ type: rabbitmq }} }}\n", services(400, unsupported));
    assert_eq!(check(text), (config::PROBLEMS_MAX, None));
}

#[test]
fn a_long_chain_of_needs() {
    let chain: String = (0..4000).map(|n| format!("  s{n}: {{ run: x, needs: [s{}] }}\n", (n + 1) % 4000)).collect();
    let text = format!("stack: a\nservices:\n{chain}environments: {{ production: {{}} }}\n");
    assert_eq!(check(text), (1, Some(RuleId::NeedsCycle)));
}

#[test]
fn long_values_are_shown_in_part() {
    let text = format!("stack: {}\n", "A".repeat(100_000));
    let checked = config::check(&SourceFile::new("large.yaml", text), None);
    assert!(checked.problems[0].to_string().chars().count() < 1000);
}
