//! `postgresql.conf` and `pg_hba.conf`, whole, as a function of what the server may take.

use std::fmt::Write;
use std::path::Path;

use model::{ByteSize, CpuShare};

use crate::installation::Version;

/// The name of the settings' file.
pub(crate) const FILE_NAME: &str = "postgresql.conf";
/// The name of the access rules' file.
pub(crate) const ACCESS_FILE_NAME: &str = "pg_hba.conf";

/// Who may connect, how. The superuser comes through the private socket alone; nobody comes without a password.
/// Loopback is offered without TLS too, for clients that know none: it never leaves the machine.
pub(crate) const ACCESS: &str = "\
# Written before each start; changes here are lost.
# TYPE     DATABASE     USER      ADDRESS       METHOD
local      all          all                     scram-sha-256
local      replication  mainstay                scram-sha-256
host       all          mainstay  127.0.0.1/32  reject
hostssl    all          all       127.0.0.1/32  scram-sha-256
host       all          all       127.0.0.1/32  scram-sha-256
";

/// What the settings follow from.
pub(crate) struct Basis<'a> {
    pub(crate) memory: ByteSize,
    pub(crate) cpu: CpuShare,
    pub(crate) version: Version,
    pub(crate) name: &'a str,
    pub(crate) data: &'a Path,
    pub(crate) config: &'a Path,
    pub(crate) sockets: &'a Path,
}

/// What of the memory share goes where.
struct Sizes {
    shared_buffers: u64,
    effective_cache_size: u64,
    work_mem: u64,
    maintenance_work_mem: u64,
    connections: u64,
}

const MIB: u64 = 1 << 20;
/// What one connection takes when it does little.
const CONNECTION_BYTES: u64 = 5 * MIB;

/// A quarter of the memory is PostgreSQL's own cache, as its manual advises; the kernel's cache works for it as well.
/// Half is for the connections' sorts, of which a query may have several at once.
fn sizes(memory: ByteSize) -> Sizes {
    let memory = memory.as_bytes();
    let shared_buffers = (memory / 4).max(16 * MIB);
    let connections = (memory / CONNECTION_BYTES).clamp(25, 400);
    Sizes {
        shared_buffers,
        effective_cache_size: (memory / 4 * 3).max(32 * MIB),
        work_mem: (memory / 2 / connections).clamp(MIB, 64 * MIB),
        maintenance_work_mem: (memory / 16).clamp(16 * MIB, 1024 * MIB),
        connections,
    }
}

/// The settings' file.
pub(crate) fn settings(basis: &Basis<'_>) -> String {
    let mut file = Lines(String::from("# Written before each start; changes here are lost.\n"));
    place(&mut file, basis);
    access(&mut file, basis);
    memory(&mut file, basis);
    durability(&mut file);
    log(&mut file);
    file.0
}

struct Lines(String);

impl Lines {
    fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        // Writing to a text cannot fail.
        let _: std::fmt::Result = writeln!(self.0, "{name} = {value}");
    }
}

fn place(file: &mut Lines, basis: &Basis<'_>) {
    file.set("data_directory", quoted(basis.data));
    file.set("hba_file", quoted(&basis.config.join(ACCESS_FILE_NAME)));
    file.set("ident_file", quoted(&basis.data.join("pg_ident.conf")));
    file.set("cluster_name", quoted(Path::new(basis.name)));
}

/// Reached from this machine alone. The port is an argument: the node chooses it at start.
fn access(file: &mut Lines, basis: &Basis<'_>) {
    file.set("listen_addresses", "'127.0.0.1'");
    file.set("unix_socket_directories", quoted(basis.sockets));
    file.set("unix_socket_permissions", "0700");
    file.set("max_connections", sizes(basis.memory).connections);
    file.set("password_encryption", "scram-sha-256");
    file.set("ssl", "on");
    file.set("ssl_cert_file", quoted(&basis.config.join("server.crt")));
    file.set("ssl_key_file", quoted(&basis.config.join("server.key")));
    file.set("ssl_min_protocol_version", "'TLSv1.2'");
    // A lost client's locks are given back soon.
    file.set("tcp_keepalives_idle", "60");
    if basis.version.major >= 14 {
        file.set("client_connection_check_interval", "10s");
    }
}

fn memory(file: &mut Lines, basis: &Basis<'_>) {
    let sizes = sizes(basis.memory);
    let cores = basis.cpu.as_millicores().div_ceil(1000).max(1);
    file.set("shared_buffers", kilobytes(sizes.shared_buffers));
    file.set("effective_cache_size", kilobytes(sizes.effective_cache_size));
    file.set("work_mem", kilobytes(sizes.work_mem));
    file.set("maintenance_work_mem", kilobytes(sizes.maintenance_work_mem));
    file.set("max_worker_processes", (cores + 4).max(8));
    file.set("max_parallel_workers", cores);
    file.set("max_parallel_workers_per_gather", (cores / 2).min(4));
    file.set("max_parallel_maintenance_workers", (cores / 2).min(4));
    file.set("random_page_cost", "1.1");
}

/// An acknowledged commit is on disk. Ready for copies and for base backups over the replication protocol. Nothing is
/// archived yet: an archiver that is on without a place to archive to keeps every segment for ever, and one that
/// only pretends would report success. Turning it on costs one restart.
fn durability(file: &mut Lines) {
    file.set("fsync", "on");
    file.set("full_page_writes", "on");
    file.set("synchronous_commit", "on");
    file.set("wal_level", "replica");
    file.set("wal_compression", "on");
    file.set("max_wal_senders", "10");
    file.set("max_replication_slots", "10");
    // A copy that stopped reading must not fill the disk.
    file.set("max_slot_wal_keep_size", "4GB");
    file.set("archive_mode", "off");
    file.set("min_wal_size", "80MB");
    file.set("max_wal_size", "1GB");
    file.set("checkpoint_completion_target", "0.9");
}

fn log(file: &mut Lines) {
    file.set("log_destination", "stderr");
    file.set("logging_collector", "off");
    file.set("log_line_prefix", "'[%p] %q%u@%d '");
    file.set("log_timezone", "'UTC'");
    file.set("log_lock_waits", "on");
    file.set("log_temp_files", "10MB");
    file.set("log_checkpoints", "off");
    // Parameters are the users' data, which has no place in a log.
    file.set("log_parameter_max_length", "0");
    file.set("log_parameter_max_length_on_error", "0");
    file.set("lc_messages", "'C'");
    file.set("timezone", "'UTC'");
}

fn kilobytes(bytes: u64) -> String {
    format!("{}kB", bytes / 1024)
}

/// A text in single quotes, as the settings' file reads it.
fn quoted(text: &Path) -> String {
    format!("'{}'", text.display().to_string().replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(memory: u64, cores: u32, major: u32, wanted: &[&str], expected: &Expect) {
        let text = settings(&Basis {
            memory: ByteSize::mebibytes(memory),
            cpu: CpuShare::millicores(cores * 1000),
            version: Version { major, minor: 0 },
            name: "db",
            data: Path::new("/state/it's/data"),
            config: Path::new("/state/it's/config"),
            sockets: Path::new("/run/x/db"),
        });
        let shown = text.lines().filter(|line| wanted.is_empty() || wanted.iter().any(|name| line.starts_with(name)));
        expected.assert_eq(&shown.map(|line| format!("{line}\n")).collect::<String>());
    }

    const SIZES: &[&str] = &[
        "shared_buffers",
        "effective_cache_size",
        "work_mem",
        "maintenance_work_mem",
        "max_connections",
        "max_parallel",
    ];

    #[test]
    fn the_whole_file() {
        check(
            512,
            2,
            15,
            &[],
            &expect![[r#"
                # Written before each start; changes here are lost.
                data_directory = '/state/it''s/data'
                hba_file = '/state/it''s/config/pg_hba.conf'
                ident_file = '/state/it''s/data/pg_ident.conf'
                cluster_name = 'db'
                listen_addresses = '127.0.0.1'
                unix_socket_directories = '/run/x/db'
                unix_socket_permissions = 0700
                max_connections = 102
                password_encryption = scram-sha-256
                ssl = on
                ssl_cert_file = '/state/it''s/config/server.crt'
                ssl_key_file = '/state/it''s/config/server.key'
                ssl_min_protocol_version = 'TLSv1.2'
                tcp_keepalives_idle = 60
                client_connection_check_interval = 10s
                shared_buffers = 131072kB
                effective_cache_size = 393216kB
                work_mem = 2570kB
                maintenance_work_mem = 32768kB
                max_worker_processes = 8
                max_parallel_workers = 2
                max_parallel_workers_per_gather = 1
                max_parallel_maintenance_workers = 1
                random_page_cost = 1.1
                fsync = on
                full_page_writes = on
                synchronous_commit = on
                wal_level = replica
                wal_compression = on
                max_wal_senders = 10
                max_replication_slots = 10
                max_slot_wal_keep_size = 4GB
                archive_mode = off
                min_wal_size = 80MB
                max_wal_size = 1GB
                checkpoint_completion_target = 0.9
                log_destination = stderr
                logging_collector = off
                log_line_prefix = '[%p] %q%u@%d '
                log_timezone = 'UTC'
                log_lock_waits = on
                log_temp_files = 10MB
                log_checkpoints = off
                log_parameter_max_length = 0
                log_parameter_max_length_on_error = 0
                lc_messages = 'C'
                timezone = 'UTC'
            "#]],
        );
    }

    #[test]
    fn sizes_follow_the_memory_share() {
        check(
            64,
            1,
            13,
            SIZES,
            &expect![[r#"
            max_connections = 25
            shared_buffers = 16384kB
            effective_cache_size = 49152kB
            work_mem = 1310kB
            maintenance_work_mem = 16384kB
            max_parallel_workers = 1
            max_parallel_workers_per_gather = 0
            max_parallel_maintenance_workers = 0
        "#]],
        );
        check(
            8192,
            8,
            17,
            SIZES,
            &expect![[r#"
            max_connections = 400
            shared_buffers = 2097152kB
            effective_cache_size = 6291456kB
            work_mem = 10485kB
            maintenance_work_mem = 524288kB
            max_parallel_workers = 8
            max_parallel_workers_per_gather = 4
            max_parallel_maintenance_workers = 4
        "#]],
        );
    }

    #[test]
    fn older_versions_get_nothing_they_do_not_know() {
        check(512, 2, 13, &["client_connection_check_interval"], &expect![[r""]]);
    }
}
