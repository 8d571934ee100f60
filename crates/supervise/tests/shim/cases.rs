//! One case for each promise of the shim and for each way it can be broken.

use std::time::Duration;

use model::{ByteSize, ExitStatus, Limits};
use supervise::control_group::{self, Support};
use supervise::launch::{EnvironmentValue, UserIds};
use supervise::log::Stream;
use supervise::protocol::{Report, VERSION};
use sys::machine::SHIM_SOCKET;

use crate::on_machine::{
    a_killed_shim_is_seen_and_swept_through_the_machine, a_unit_lives_and_ends_through_the_machine,
    work_is_answered_even_when_it_panics,
};
use crate::unit::{PATIENCE, Unit, pid_from, until};

type Case = (&'static str, fn());

/// A macro keeps each case's name and function together.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        pub(crate) const ALL: &[Case] = &[$((stringify!($name), $name)),*];
    };
}

cases!(
    a_code_and_the_last_lines_are_recorded,
    what_cannot_be_started_says_why,
    an_untraversable_folder_is_named,
    a_stop_is_gentle_first,
    whoever_ignores_the_signal_is_killed_at_the_deadline,
    a_shim_that_is_asked_by_the_system_stops_its_child,
    strays_do_not_outlive_the_child,
    a_killed_shim_takes_its_child_along_and_leaves_a_sweepable_rest,
    a_second_shim_is_refused_while_the_first_lives,
    ten_megabytes_are_kept_while_nobody_is_connected,
    commands_run_in_the_childs_environment,
    a_command_is_killed_at_its_time,
    the_child_has_nothing_that_it_was_not_given,
    services_cannot_reach_a_shim,
    a_shim_is_small_and_closed,
    a_launch_message_that_cannot_be_read_is_not_quoted,
    limits_are_kept,
    limits_that_cannot_be_had_refuse_the_start,
    passing_the_memory_limit_is_told,
    a_full_disk_neither_blocks_the_child_nor_loses_its_exit,
    a_service_with_the_nodes_user_is_confined,
    a_unit_lives_and_ends_through_the_machine,
    a_killed_shim_is_seen_and_swept_through_the_machine,
    work_is_answered_even_when_it_panics,
    all_of_it_holds_for_a_plain_user_too,
);

fn is_root() -> bool {
    sys::process::is_root()
}

fn skip(what: &str) {
    println!("     skipped: {what}");
}

fn a_code_and_the_last_lines_are_recorded() {
    let mut unit = Unit::new("for i in $(seq 30); do echo line $i; done; echo bad >&2; printf end; exit 7");
    let report = unit.run();
    assert_eq!(report.exit.status, ExitStatus::Code(7));
    assert_eq!(report.last_lines.len(), 20);
    assert!(report.last_lines.contains(&"end".to_owned()), "{:?}", report.last_lines);
    let lines = unit.lines();
    assert_eq!(lines.len(), 32);
    assert_eq!(lines[0].line, "line 1");
    assert_eq!(lines.iter().filter(|line| line.stream == Stream::Err).count(), 1);
    until("the shim is gone", || (!unit.lives(unit.shim.as_ref().unwrap())).then_some(()));
    assert!(!unit.folder.join(SHIM_SOCKET).exists());
    assert!(!unit.folder.join("exit.reserve").exists());
}

fn what_cannot_be_started_says_why() {
    let text = std::env::temp_dir().join(format!("mainstay-text-{}", std::process::id()));
    std::fs::write(&text, "hello").unwrap();
    let cases = [
        ("/no/such/program", "cannot run /no/such/program: there is no such file".to_owned()),
        (text.to_str().unwrap(), format!("cannot run {}: it is not executable (chmod +x)", text.display())),
    ];
    for (program, expected) in cases {
        let mut unit = Unit::new("");
        unit.launch.program = program.into();
        let report = unit.run();
        assert_eq!((report.exit.status, report.note), (ExitStatus::NotStarted, Some(expected)));
    }
    let mut unit = Unit::new("");
    unit.launch.folder = "/no/such/folder".into();
    assert_eq!(unit.run().note.unwrap(), "cannot start in /no/such/folder: there is no such folder");
    std::fs::remove_file(&text).unwrap();
}

fn an_untraversable_folder_is_named() {
    if !is_root() {
        return skip("needs root, to start as another user");
    }
    use std::os::unix::fs::PermissionsExt;
    let mut unit = Unit::new("echo never");
    let closed = unit.base.join("closed");
    std::fs::create_dir_all(closed.join("work")).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    unit.launch.folder = closed.join("work");
    unit.launch.user = Some(UserIds { uid: 54321, gid: 54321 });
    let expected =
        format!("user id 54321 cannot reach {0}/work: it may not enter {0} (chmod o+x, or move it)", closed.display());
    assert_eq!(unit.run().note, Some(expected));
}

fn a_stop_is_gentle_first() {
    let mut unit = Unit::new("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");
    let (mut node, _) = unit.up();
    unit.await_line("ready");
    node.stop(PATIENCE);
    let report = node.exited();
    assert_eq!(report.exit.status, ExitStatus::Code(0));
    // The shell may add a word of its own on the other stream.
    assert!(report.last_lines.contains(&"bye".to_owned()), "{:?}", report.last_lines);
    assert_eq!(unit.exit_record(), report);
    assert_eq!(node.hear(), None);
}

fn whoever_ignores_the_signal_is_killed_at_the_deadline() {
    let mut unit = Unit::new("trap '' TERM; echo ready; while :; do sleep 0.01; done");
    let (mut node, _) = unit.up();
    unit.await_line("ready");
    let before = sys::clock::now().steady;
    node.stop(PATIENCE * 10);
    node.stop(Duration::from_millis(200));
    assert_eq!(node.exited().exit.status, ExitStatus::Signal(9));
    let took = sys::clock::now().steady - before;
    assert!(took >= Duration::from_millis(200) && took < PATIENCE, "{took:?}");
}

fn a_shim_that_is_asked_by_the_system_stops_its_child() {
    let mut unit = Unit::new("exec sleep 600");
    let (mut node, child) = unit.up();
    let shim = unit.shim.clone().unwrap();
    sys::process::signal(&unit.boot, &shim, sys::Signal::Hangup).unwrap();
    unit.await_line("the shim got signal 1 and passed it over");
    assert!(unit.lives(&child));
    sys::process::signal(&unit.boot, &shim, sys::Signal::Terminate).unwrap();
    assert_eq!(node.exited().exit.status, ExitStatus::Signal(15));
}

fn strays_do_not_outlive_the_child() {
    // One in the child's group, one in a session of its own without the mark in its environment.
    let mut unit = Unit::new("sleep 600 & setsid env -i sleep 600 & echo $! > stray; exit 3");
    let report = unit.run();
    assert_eq!(report.exit.status, ExitStatus::Code(3));
    let stray = pid_from(&unit.base.join("stray"));
    assert!(sys::process::look(stray).unwrap().is_none_or(|seen| seen.zombie));
    // The shim itself is about to end.
    until("nobody is left", || unit.members().is_empty().then_some(()));
}

fn a_killed_shim_takes_its_child_along_and_leaves_a_sweepable_rest() {
    let mut unit = Unit::new("sleep 600 & (setsid sleep 600 &) ; echo ready; exec sleep 600");
    let (mut node, child) = unit.up();
    unit.await_line("ready");
    let shim = unit.shim.clone().unwrap();
    unit.kill(&shim);
    assert_eq!(node.hear(), None);
    until("the child is gone", || (!unit.lives(&child)).then_some(()));
    assert!(sys::local_socket::connect(&unit.folder, SHIM_SOCKET).is_err());
    assert!(!unit.folder.join("exit.json").exists());
    let rest = unit.members();
    assert!(rest.iter().any(|seen| seen.name == "sleep"), "{rest:?}");
    unit.sweep();
    // And then the unit starts again in the same folder.
    let (mut node, _) = unit.up();
    node.stop(PATIENCE);
    assert_eq!(node.exited().exit.status, ExitStatus::Signal(15));
}

fn a_second_shim_is_refused_while_the_first_lives() {
    let mut unit = Unit::new("exec sleep 600");
    let (mut node, child) = unit.up();
    let first = unit.shim.clone().unwrap();
    let second = unit.start();
    until("the second shim is gone", || (!unit.lives(&second)).then_some(()));
    let said = std::fs::read_to_string(unit.folder.join("shim.log")).unwrap();
    let expected = format!(
        "shim: a process of this unit still lives: {} is in use by process {}\n",
        unit.folder.display(),
        first.pid
    );
    assert_eq!(said, expected);
    assert!(unit.lives(&child));
    assert!(!unit.folder.join("exit.json").exists());
    let (_, hello) = unit.connect();
    let Report::Hello { version, child: greeted, .. } = hello else { panic!("{hello:?}") };
    assert_eq!((version, greeted), (VERSION, Some(child)));
    node.stop(PATIENCE);
    node.exited();
}

fn ten_megabytes_are_kept_while_nobody_is_connected() {
    let mut unit = Unit::new("i=0; yes 0123456789012345678901234567890123456789012345678 | head -c 10000000; exit 0");
    let report = unit.run();
    assert_eq!(report.exit.status, ExitStatus::Code(0));
    unit.launch.log.files_max = 20;
    let lines = unit.lines();
    // 50 bytes a line, wrapped in about 100 more; 21 files of a mebibyte hold the newest of them.
    assert!(lines.len() > 100_000, "{}", lines.len());
    assert!(lines.iter().all(|line| line.line.len() == 49));
    let files: u64 =
        std::fs::read_dir(unit.base.join("log")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(files < 22 << 20, "{files}");
}

fn commands_run_in_the_childs_environment() {
    let mut unit = Unit::new("exec sleep 600");
    let (text, path) = (unit.base.join("text"), format!("{}/text:/usr/bin:/bin", unit.base.display()));
    std::fs::create_dir(&text).unwrap();
    std::fs::write(text.join("sh"), "nothing that can be run").unwrap();
    unit.launch.environment.insert("PATH".into(), EnvironmentValue::from(path.clone()));
    unit.launch.environment.insert("TOKEN".into(), EnvironmentValue::from("t0ken".to_owned()));
    let (mut node, _) = unit.up();
    assert_eq!(node.command(&["sh", "-c", "echo $TOKEN; pwd; exit 4"], 20_000).0, Some(4));
    let (code, output) = node.command(&["sh", "-c", "echo $TOKEN; pwd"], 20_000);
    assert_eq!((code, output), (Some(0), format!("t0ken\n{}\n", unit.base.display())));
    let (code, output) = node.command(&["no-such-command"], 20_000);
    let missing = format!("no-such-command is in none of the folders of PATH ({path})");
    assert_eq!((code, output), (None, missing));
    let (code, output) = node.command(&["text/sh"], 20_000);
    let unstartable = format!("cannot run {}/text/sh: it is not executable (chmod +x)", unit.base.display());
    assert_eq!((code, output), (None, unstartable));
    let (code, output) = node.command(&["sh", "-c", "yes | head -c 1000000"], 20_000);
    assert_eq!((code, output.len()), (Some(0), 512));
    node.stop(PATIENCE);
    node.exited();
}

fn a_command_is_killed_at_its_time() {
    let mut unit = Unit::new("exec sleep 600");
    let (mut node, child) = unit.up();
    let (code, output) = node.command(&["sh", "-c", "echo begun; sleep 600"], 100);
    assert_eq!((code, output.as_str()), (None, "begun\n"));
    assert!(unit.lives(&child));
    node.stop(PATIENCE);
    node.exited();
}

fn the_child_has_nothing_that_it_was_not_given() {
    let mut unit = Unit::new("env; ls /proc/self/fd; ulimit -c");
    let lines = unit.run().last_lines;
    let folder = unit.folder.display();
    // The shell adds PWD and, depending on its kind, two more of its own.
    let home = sys::process::unit::home(&unit.folder).unwrap();
    for line in
        [format!("MAINSTAY_UNIT={folder}"), format!("MAINSTAY_UNIT_HOME={home}"), "PATH=/usr/bin:/bin".to_owned()]
    {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(lines.iter().filter(|line| line.contains('=')).count() <= 6, "{lines:?}");
    // 0, 1, 2, the unit's lock, the folder that `ls` reads; and the limit of core files.
    let numbers = lines.iter().filter(|line| line.parse::<u32>().is_ok()).count();
    assert_eq!(numbers, 5 + 1, "{lines:?}");
    assert_eq!(lines.last().unwrap(), "0");

    // Without a shell between, which would set its own signals right.
    let mut unit = Unit::new("");
    unit.launch.program = "/bin/cat".into();
    unit.launch.arguments = vec!["/proc/self/status".into()];
    unit.run();
    let lines = unit.lines();
    let field = |name: &str| {
        let line = lines.iter().find_map(|line| line.line.strip_prefix(name)).unwrap();
        u64::from_str_radix(line.trim_start_matches([':', '\t']), 16).unwrap()
    };
    assert_eq!((field("NoNewPrivs"), field("SigBlk"), field("SigCgt")), (1, 0, 0));
    // The C library keeps two signals above the ordinary ones to itself.
    assert_eq!(field("SigIgn") & 0x7fff_ffff, 0);
}

fn services_cannot_reach_a_shim() {
    let mut victim = Unit::new("exec sleep 600");
    let (mut node, child) = victim.up();
    // A service of the same user that tries to order its neighbour's shim, and its own, to stop.
    let script = "for s in $A $B; do \
                  perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die; \
                  print $s qq({\"ask\":\"stop\",\"signal\":9,\"deadline_ms\":0}\\n); $s->flush; \
                  sysread($s, $got, 10000); print \"got \", length($got), \"\\n\"' $s 2>&1 | tail -1; done; echo tried; exec sleep 600";
    let mut other = Unit::new(script);
    for (name, folder) in [("A", &victim.folder), ("B", &other.folder)] {
        let path = folder.join(SHIM_SOCKET).to_str().unwrap().to_owned();
        other.launch.environment.insert(name.into(), EnvironmentValue::from(path));
    }
    let (mut other_node, other_child) = other.up();
    other.await_line("tried");
    assert!(victim.lives(&child) && other.lives(&other_child));
    let refused = |unit: &Unit| {
        unit.lines().iter().any(|line| line.stream == Stream::Shim && line.line.ends_with("it runs inside a service"))
    };
    assert!(refused(&victim), "{:?}", victim.lines());
    assert!(refused(&other), "{:?}", other.lines());
    assert!(other.lines().iter().all(|line| !line.line.starts_with("got 1")), "{:?}", other.lines());
    other_node.stop(PATIENCE);
    other_node.exited();
    node.stop(PATIENCE);
    node.exited();
}

fn a_shim_is_small_and_closed() {
    let mut unit = Unit::new("exec sleep 600");
    let (mut node, _) = unit.up();
    let pid = unit.shim.as_ref().unwrap().pid;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    println!("     {} {} {}", field("VmRSS"), field("RssAnon"), field("RssFile"));
    assert_eq!(field("Threads"), "Threads:\t1");
    let anonymous: u64 = field("RssAnon").split_whitespace().nth(1).unwrap().parse().unwrap();
    assert!(anonymous < 1024, "{anonymous} KiB");
    if !is_root() {
        assert!(std::fs::read(format!("/proc/{pid}/environ")).is_err());
    }
    node.stop(PATIENCE);
    node.exited();
}

fn a_launch_message_that_cannot_be_read_is_not_quoted() {
    let unit = Unit::new("");
    let command =
        sys::process::child::ShimCommand { program: std::env::current_exe().unwrap(), words: vec!["shim".into()] };
    let launch = br#"{"unit":"api.3.1","digest":12,"environment":{"TOKEN":"t0ken"}}"#.to_vec();
    let start = sys::ShimStart { folder: unit.folder.clone(), launch, listening: Default::default() };
    command.start(&unit.boot, &start, &[]).unwrap();
    let report = unit.exit_record();
    assert_eq!(report.exit.status, ExitStatus::NotStarted);
    assert_eq!(report.note.unwrap(), "the launch message cannot be read: Data error at byte 29");
}

/// A control group for a unit, where one can be had.
fn grouped(unit: &mut Unit, limits: Limits) -> bool {
    let support = control_group::discover();
    if let Support::Unavailable { reason } = &support {
        skip(reason);
        return false;
    }
    let tag = unit.base.file_name().unwrap().to_str().unwrap().to_owned();
    unit.launch.control_group = support.group(&tag, &unit.launch.unit);
    unit.launch.limits = limits;
    true
}

fn limits_are_kept() {
    let script = "exec perl -e '
        my $children = 0;
        while (defined(my $pid = fork)) { if ($pid == 0) { sleep 600; exit } $children++ }
        print \"$children children\\n\"; close STDOUT; sleep 600'";
    let mut unit = Unit::new(script);
    let limits =
        Limits { cpu: Some(model::CpuShare::millicores(500)), memory: Some(ByteSize::mebibytes(64)), tasks: Some(8) };
    if !grouped(&mut unit, limits) {
        return;
    }
    let (mut node, _) = unit.up();
    let place = unit.launch.control_group.clone().unwrap();
    unit.await_line("7 children");
    let reading = control_group::read(&place).unwrap();
    assert!(reading.tasks == 8 && reading.memory < ByteSize::mebibytes(64), "{reading:?}");
    node.stop(PATIENCE);
    node.exited();
    until("the group is removed", || control_group::read(&place).is_none().then_some(()));
}

fn limits_that_cannot_be_had_refuse_the_start() {
    let mut unit = Unit::new("echo never");
    unit.launch.limits = Limits { tasks: Some(8), ..Limits::default() };
    let report = unit.run();
    assert_eq!(report.exit.status, ExitStatus::NotStarted);
    assert_eq!(report.note.unwrap(), "the limits that are asked for cannot be had: no control group can be made here");
}

fn passing_the_memory_limit_is_told() {
    let mut unit = Unit::new("exec perl -e '$x = chr(1) x (200 << 20); print length $x'");
    let limits = Limits { memory: Some(ByteSize::mebibytes(32)), ..Limits::default() };
    if grouped(&mut unit, limits) {
        let report = unit.run();
        assert_eq!(report.exit.status, ExitStatus::OutOfMemory, "{report:?}");
    }
}

fn a_full_disk_neither_blocks_the_child_nor_loses_its_exit() {
    if !is_root() {
        return skip("needs root, to mount a small file system");
    }
    let disk = std::env::temp_dir().join(format!("mainstay-disk-{}", std::process::id()));
    std::fs::create_dir_all(&disk).unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
        .arg(&disk)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        return skip("no file system may be mounted here");
    }
    let script = "yes 0123456789 | head -c 2000000; : > waiting; while [ ! -e room ]; do sleep 0.01; done; \
                  for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; echo again; done; exit 5";
    let mut unit = Unit::at(&disk, script);
    unit.start();
    until("the child has written twice what the disk holds", || unit.base.join("waiting").exists().then_some(()));
    std::fs::write(unit.base.join("log/api.3.1.000001.log"), "").unwrap();
    std::fs::write(unit.base.join("room"), "").unwrap();
    let report = unit.exit_record();
    assert_eq!(report.exit.status, ExitStatus::Code(5));
    let said: Vec<_> = unit.lines().into_iter().filter(|line| line.stream == Stream::Shim).collect();
    assert!(said.iter().any(|line| line.line.ends_with("lines dropped: no space left on the device")), "{said:?}");
    assert!(unit.lines().iter().any(|line| line.line == "again"));
    drop(unit);
    std::process::Command::new("umount").arg(&disk).status().unwrap();
    std::fs::remove_dir(&disk).unwrap();
}

fn a_service_with_the_nodes_user_is_confined() {
    if is_root() {
        let mut unit = Unit::new("echo ran");
        unit.launch.hidden = vec![unit.base.join("hidden")];
        let note = unit.run().note.unwrap_or_default();
        assert_eq!(note, "cannot hide folders from a process that root starts");
        return;
    }
    // Ways out are tried too: moving what is hidden, unmounting, and looking below the mounts in a namespace in
    // which one is root.
    let script = "cat hidden/key; cat hidden/own/mine; cat open/file; echo new > later; cat later; \
                  kill -0 $VICTIM && echo signalled; cat /proc/$VICTIM/environ /proc/$VICTIM/root/etc/passwd | wc -c; \
                  mv hidden moved; rm -rf hidden; umount $PWD/hidden; mkdir below; \
                  unshare -Urm sh -c 'umount $PWD/hidden; cat hidden/key; mount --bind . below; cat below/hidden/key'; \
                  cat hidden/key; id -u; grep CapEff /proc/self/status";
    let mut victim = Unit::new("setsid sh -c 'echo $$ > stray; exec sleep 600' & exec sleep 600");
    let mut unit = Unit::new(&format!("({script}) 2>/dev/null"));
    for (name, file) in [("hidden", "key"), ("hidden/own", "mine"), ("open", "file")] {
        std::fs::create_dir_all(unit.base.join(name)).unwrap();
        std::fs::write(unit.base.join(name).join(file), format!("in {name}\n")).unwrap();
    }
    let isolation = supervise::isolation::available();
    if !isolation.hides() {
        return skip(&isolation.to_string());
    }
    unit.launch.hidden = vec![unit.base.join("hidden"), unit.base.join("absent")];
    unit.launch.shown = vec![unit.base.join("hidden/own"), unit.base.join("hidden/absent")];
    victim.launch.hidden = unit.launch.hidden.clone();
    let (_node, child) = victim.up();
    unit.launch.environment.insert("VICTIM".into(), EnvironmentValue::from(child.pid.to_string()));
    let lines = unit.run().last_lines;
    let uid = rustix::process::getuid().as_raw().to_string();
    let mut expected = vec!["in hidden/own", "in open", "new", "0", &uid, "CapEff:\t0000000000000000"];
    if isolation == (supervise::isolation::Isolation::Namespaces { signals: false }) {
        expected.insert(3, "signalled");
    }
    assert_eq!(lines, expected);
    assert_eq!(std::fs::read_to_string(unit.base.join("hidden/key")).unwrap(), "in hidden\n");

    let mut inside = Unit::new("echo ran");
    inside.launch.hidden = vec![inside.base.clone()];
    let note = inside.run().note.unwrap_or_default();
    assert!(note.contains("keep the two apart (--state DIR)"), "{note}");

    // In namespaces too, the child goes with its shim, and what it left behind is found.
    let stray = sys::process::identify(&victim.boot, pid_from(&victim.base.join("stray"))).unwrap().unwrap();
    victim.kill(victim.shim.as_ref().unwrap());
    until("the child is gone with its shim", || (!victim.lives(&child)).then_some(()));
    victim.sweep();
    assert!(!victim.lives(&stray));
}

/// Runs this program again as a user without any rights.
fn all_of_it_holds_for_a_plain_user_too() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let base = std::env::temp_dir().join(format!("mainstay-plain-{}", std::process::id()));
    let program = base.join("shim");
    std::fs::create_dir_all(base.join("tmp")).unwrap();
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for (path, mode) in [(&base, 0o755), (&program, 0o755), (&base.join("tmp"), 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let run = std::process::Command::new(&program)
        .env("TMPDIR", base.join("tmp"))
        .uid(54322)
        .gid(54322)
        .current_dir("/")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    println!("{}", out.replace("test ", "     as a plain user: "));
    assert!(run.status.success(), "{out}{err}");
    std::fs::remove_dir_all(&base).unwrap();
}
