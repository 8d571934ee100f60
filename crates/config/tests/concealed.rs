//! What may be a secret's value is not repeated, wherever in the file somebody wrote it.

use config::SourceFile;
use expect_test::{Expect, expect};

/// Everything that is said of a file, and the file as it may be shown.
#[track_caller]
fn check(text: &str, expected: &Expect) {
    let source = SourceFile::new("mainstay.yaml", text);
    let checked = config::check(&source, None);
    let problems: Vec<String> = checked.problems.iter().map(|problem| format!("{problem}\n")).collect();
    let said = format!("{}{}", problems.concat(), config::shown(&source));
    assert!(!said.contains("hunter2") && !format!("{:?}", checked.problems).contains("hunter2"), "{said}");
    assert_eq!(config::shown(&source).len(), text.len());
    assert!(checked.stack.is_none());
    expected.assert_eq(&said);
}

#[test]
fn a_value_in_place_of_its_source() {
    check(
        "stack: shop\nservices: { api: { run: bin/api, secrets: [K, L, M] } }\nsecrets:\n  K: hunter2\n  \
         L: { value: \"hunter2 ä\" }\n  M: [hunter2]\n  N: |\n    hunter2\n    hunter2\n  O: \"hunter2\"\n",
        &expect![[r#"
            mainstay.yaml:4:3: error[invalid-value]: the secret `K` has something else than where its value comes from
              hint: the value never stands in the file: write `K: set`, then `mainstay secret set K`; or let it be made: `K: { generate: 32B }`
            mainstay.yaml:5:3: error[invalid-value]: the secret `L` has something else than where its value comes from
              hint: the value never stands in the file: write `L: set`, then `mainstay secret set L`; or let it be made: `L: { generate: 32B }`
            mainstay.yaml:6:3: error[invalid-value]: the secret `M` has something else than where its value comes from
              hint: the value never stands in the file: write `M: set`, then `mainstay secret set M`; or let it be made: `M: { generate: 32B }`
            mainstay.yaml:7:3: error[invalid-value]: the secret `N` has something else than where its value comes from
              hint: the value never stands in the file: write `N: set`, then `mainstay secret set N`; or let it be made: `N: { generate: 32B }`
            mainstay.yaml:7:3: warning[unused-secret]: no service receives the secret `N`
              hint: list it under `secrets` of a service, or delete it
            mainstay.yaml:10:3: error[invalid-value]: the secret `O` has something else than where its value comes from
              hint: the value never stands in the file: write `O: set`, then `mainstay secret set O`; or let it be made: `O: { generate: 32B }`
            mainstay.yaml:10:3: warning[unused-secret]: no service receives the secret `O`
              hint: list it under `secrets` of a service, or delete it
            stack: shop
            services: { api: { run: bin/api, secrets: [K, L, M] } }
            secrets:
              K: *******
              L: { value: ******** *** }
              M: *********
              N: |
                *******
                *******
              O: *********
        "#]],
    );
}

#[test]
fn a_value_in_an_environment() {
    check(
        "stack: shop\nservices: { api: { run: bin/api, secrets: [K] } }\nsecrets: { K: set }\nenvironments:\n  \
         production: { secrets: { K: hunter2 } }\n",
        &expect![[r#"
            mainstay.yaml:5:28: error[invalid-value]: the secret `K` has something else than where its value comes from (in environment `production`)
              hint: the value never stands in the file: write `K: set`, then `mainstay secret set K`; or let it be made: `K: { generate: 32B }`
            stack: shop
            services: { api: { run: bin/api, secrets: [K] } }
            secrets: { K: set }
            environments:
              production: { secrets: { K: ******* } }
        "#]],
    );
}

#[test]
fn a_value_in_place_of_all_declarations() {
    check(
        "stack: shop\nservices: { api: { run: bin/api } }\nsecrets: [K=hunter2]\n",
        &expect![[r#"
        mainstay.yaml:3:10: error[wrong-kind]: `secrets` is a list; wanted: a mapping from the name of a secret
        stack: shop
        services: { api: { run: bin/api } }
        secrets: ***********
    "#]],
    );
}

#[test]
fn a_value_beside_a_name_that_a_service_receives() {
    let with = |received: &str| format!("stack: shop\nservices: {{ api: {{ run: bin/api, secrets: {received} }} }}\n");
    check(
        &with("[K=hunter2]"),
        &expect![[r#"
        mainstay.yaml:2:44: error[invalid-name]: "K=…" cannot be the name of a secret: '=' cannot stand here: a variable's name is letters, digits and '_', and does not start with a digit
          hint: write `K`
        stack: shop
        services: { api: { run: bin/api, secrets: [*********] } }
    "#]],
    );
    check(
        &with("K=hunter2"),
        &expect![[r#"
        mainstay.yaml:2:43: error[wrong-kind]: `services.api.secrets` is a single value; wanted: a list
        stack: shop
        services: { api: { run: bin/api, secrets: ********* } }
    "#]],
    );
    check(
        &with("{ K: hunter2 }"),
        &expect![[r#"
        mainstay.yaml:2:43: error[wrong-kind]: `services.api.secrets` is a mapping; wanted: a list
        stack: shop
        services: { api: { run: bin/api, secrets: { K: ******* } } }
    "#]],
    );
    check(
        &with("[{ K: hunter2 }]"),
        &expect![[r#"
        mainstay.yaml:2:44: error[wrong-kind]: `services.api.secrets.0` is a mapping; wanted: the name of a secret
        stack: shop
        services: { api: { run: bin/api, secrets: [{ K: ******* }] } }
    "#]],
    );
}
