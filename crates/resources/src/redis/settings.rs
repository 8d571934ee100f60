//! `redis.conf`, whole, and what of the data directory tells that there is data.

use std::fmt::Write;
use std::path::Path;

use model::stack::Redis;

use crate::installation::Product;
use crate::place::{PlaceError, read_small};

/// The name of the settings' file.
pub(crate) const FILE_NAME: &str = "redis.conf";
/// The name of the users' file.
pub(crate) const USERS_FILE_NAME: &str = "users.acl";
/// The folder of the append-only log, below the data directory.
const LOG_FOLDER: &str = "appendonlydir";
/// Lists the files of the append-only log, below the data directory.
pub(crate) const MANIFEST: &str = "appendonlydir/appendonly.aof.manifest";
/// How much of a snapshot's beginning is looked at; its server's version is what it names first.
const SNAPSHOT_HEAD_BYTES: usize = 64;

/// The settings' file. The port is an argument: the node chooses it at start.
pub(crate) fn settings(spec: &Redis, data: &Path, config: &Path, socket: &Path) -> String {
    let mut text = String::from("# Written before each start; changes here are lost.\n");
    let mut set = |name: &str, value: &str| {
        // Writing to a text cannot fail.
        let _: std::fmt::Result = writeln!(text, "{name} {value}");
    };
    // Reached from this machine alone.
    set("bind", "127.0.0.1");
    set("protected-mode", "yes");
    set("unixsocket", &quoted(socket));
    set("unixsocketperm", "700");
    set("tcp-keepalive", "60");
    set("daemonize", "no");
    set("supervised", "no");
    set("logfile", "\"\"");
    set("loglevel", "notice");
    set("always-show-logo", "no");
    set("dir", &quoted(data));
    set("aclfile", &quoted(&config.join(USERS_FILE_NAME)));
    set("enable-debug-command", "no");
    set("enable-module-command", "no");
    set("enable-protected-configs", "no");

    set("maxmemory", &spec.memory.as_bytes().to_string());
    set("maxmemory-policy", spec.evict.as_str());

    // What was acknowledged survives the server's death; at most the last second or two are lost with the machine. A
    // log that was torn by that is used up to the tear.
    set("appendonly", "yes");
    set("appendfilename", "appendonly.aof");
    set("appenddirname", "appendonlydir");
    set("appendfsync", "everysec");
    set("no-appendfsync-on-rewrite", "no");
    set("aof-use-rdb-preamble", "yes");
    set("aof-load-truncated", "yes");
    set("auto-aof-rewrite-percentage", "100");
    set("auto-aof-rewrite-min-size", "64mb");
    // A snapshot an hour, for copies; none at stop, where the log has everything already.
    set("save", "3600 1");
    set("rdbchecksum", "yes");
    set("dbfilename", "dump.rdb");
    set("shutdown-on-sigterm", "nosave");
    // Writes are refused when nothing can be written down.
    set("stop-writes-on-bgsave-error", "yes");
    text
}

/// A text in double quotes, as the settings' file reads it.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether the data directory has an append-only log: a manifest that lists at least one file.
pub(crate) fn has_log(data: &Path) -> Result<bool, PlaceError> {
    let manifest = read_small(&data.join(MANIFEST))?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&manifest).lines().any(|line| line.starts_with("file ")))
}

/// Whose server wrote the log, by the name under which the snapshot that it begins with gives that server's version.
pub(crate) fn product(data: &Path) -> Result<Option<Product>, PlaceError> {
    let manifest = read_small(&data.join(MANIFEST))?.unwrap_or_default();
    match base(&String::from_utf8_lossy(&manifest)) {
        Some(name) => Ok(read_small(&data.join(LOG_FOLDER).join(name))?.and_then(|snapshot| writer(&snapshot))),
        None => Ok(None),
    }
}

/// The file that the manifest marks as the base of the log: `file NAME seq 1 type b`.
fn base(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find(|line| line.starts_with("file ") && line.ends_with(" type b"))?;
    line.split(' ').nth(1).filter(|name| !name.contains('/'))
}

fn writer(snapshot: &[u8]) -> Option<Product> {
    let head = &snapshot[..snapshot.len().min(SNAPSHOT_HEAD_BYTES)];
    let names = |key: &[u8]| head.windows(key.len()).any(|part| part == key);
    match (names(b"redis-ver"), names(b"valkey-ver")) {
        (true, false) => Some(Product::Redis),
        (false, true) => Some(Product::Valkey),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use model::ByteSize;
    use model::stack::Eviction;

    use super::*;

    #[test]
    fn the_whole_file() {
        let spec = Redis { memory: ByteSize::mebibytes(128), evict: Eviction::AllkeysLru, port: None, standbys: 0 };
        let text = settings(
            &spec,
            Path::new("/state/a \"b\"/data"),
            Path::new("/state/config"),
            Path::new("/run/x/cache/redis.sock"),
        );
        expect![[r##"
            # Written before each start; changes here are lost.
            bind 127.0.0.1
            protected-mode yes
            unixsocket "/run/x/cache/redis.sock"
            unixsocketperm 700
            tcp-keepalive 60
            daemonize no
            supervised no
            logfile ""
            loglevel notice
            always-show-logo no
            dir "/state/a \"b\"/data"
            aclfile "/state/config/users.acl"
            enable-debug-command no
            enable-module-command no
            enable-protected-configs no
            maxmemory 134217728
            maxmemory-policy allkeys-lru
            appendonly yes
            appendfilename appendonly.aof
            appenddirname appendonlydir
            appendfsync everysec
            no-appendfsync-on-rewrite no
            aof-use-rdb-preamble yes
            aof-load-truncated yes
            auto-aof-rewrite-percentage 100
            auto-aof-rewrite-min-size 64mb
            save 3600 1
            rdbchecksum yes
            dbfilename dump.rdb
            shutdown-on-sigterm nosave
            stop-writes-on-bgsave-error yes
        "##]]
        .assert_eq(&text);
    }

    #[test]
    fn the_log_tells_whose_it_is() {
        let manifest = "file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n";
        assert_eq!(base(manifest), Some("appendonly.aof.2.base.rdb"));
        assert_eq!(base("file ../../key seq 1 type b\n"), None);
        assert_eq!(base("file appendonly.aof.1.incr.aof seq 1 type i\n"), None);
        assert_eq!(writer(b"REDIS0012\xfa\tredis-ver\x058.0.2\xfa"), Some(Product::Redis));
        assert_eq!(writer(b"REDIS0011\xfa\nvalkey-ver\x058.1.1\xfa"), Some(Product::Valkey));
        assert_eq!(writer(b"*2\r\n$6\r\nSELECT\r\n"), None);
    }
}
