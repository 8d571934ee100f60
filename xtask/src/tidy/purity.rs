//! Decisions are pure: some crates may not reach the operating system, a clock or a runtime at all.

use super::Finding;
use super::edges::Manifest;
use crate::repository::File;

/// Crates whose functions depend on their arguments alone.
const PURE: &[&str] = &["model", "config", "plan", "http1"];

/// Crates that reach the world, and so may not be needed by a pure one.
const WORLDLY: &[&str] =
    &["tokio", "hyper", "hyper-util", "axum", "rustix", "procfs", "libc", "nix", "landlock", "redb"];

/// Paths that reach the world. Types of `std::net` such as addresses are values and stay allowed.
const REFUSED: &[(&str, &str)] = &[
    ("std::fs", "take the text as an argument"),
    ("TcpStream", "connections belong to `sys`"),
    ("TcpListener", "listeners belong to `sys`"),
    ("UdpSocket", "sockets belong to `sys`"),
    ("std::os::unix::net", "sockets belong to `sys`"),
    ("std::env", "take the value as an argument"),
    ("std::process", "return what to run as a value"),
    ("std::thread", "threads belong to `sys`"),
    ("SystemTime::now", "take `now` as an argument"),
    ("Instant::now", "take `now` as an argument"),
    ("tokio::", "return a decision, another crate carries it out"),
];

/// Pure crates whose manifests ask for a crate that is not.
pub(super) fn check_manifests(manifests: &[Manifest]) -> Vec<Finding> {
    let pure = manifests.iter().filter(|manifest| PURE.contains(&manifest.name.as_str()));
    pure.flat_map(|manifest| {
        manifest.dependencies.iter().filter(|name| WORLDLY.contains(&name.as_str())).map(|name| {
            Finding::new(&manifest.path, 1, format!("`{}` is pure and may not depend on `{name}`", manifest.name))
        })
    })
    .collect()
}

/// Lines of pure crates that reach the world. Their tests may.
pub(super) fn check_sources(files: &[File]) -> Vec<Finding> {
    let pure = |file: &&File| PURE.iter().any(|name| file.path.starts_with(&format!("crates/{name}/src/")));
    files.iter().filter(pure).filter(|file| file.is_rust()).flat_map(check_source).collect()
}

fn check_source(file: &File) -> Vec<Finding> {
    let statements = file.code().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let refused = |(number, line): (usize, &str)| {
        let found = REFUSED.iter().find(|(path, _)| line.contains(path));
        found.map(|(path, instead)| Finding::new(&file.path, number, format!("`{path}` in a pure crate: {instead}")))
    };
    statements.filter_map(refused).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::check_sources;
    use crate::tidy::tests::check_text;

    #[test]
    fn the_world_is_found_in_pure_code_only() {
        let text = "use std::fs;\n// std::fs is not used\nlet t = Instant::now();\n\n#[cfg(test)]\nmod tests {\n    use std::env;\n}\n";
        expect![[r#"
            crates/plan/src/a.rs:1: `std::fs` in a pure crate: take the text as an argument
            crates/plan/src/a.rs:3: `Instant::now` in a pure crate: take `now` as an argument
        "#]]
        .assert_eq(&check_text(check_sources, &[("crates/plan/src/a.rs", text), ("crates/sys/src/a.rs", text)]));
    }

    #[test]
    fn addresses_are_values() {
        let file = ("crates/model/src/a.rs", "use std::net::SocketAddr;\n");
        assert_eq!(check_text(check_sources, &[file]), "");
    }
}
