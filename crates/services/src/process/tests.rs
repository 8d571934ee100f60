//! Units and launches as text.

use expect_test::{Expect, expect};
use model::stack::{Health, Volume};
use model::{Port, ReleaseNumber, Span, TimeZoneName, Timestamp};
use plan::release::{ConnectionIdentity, Content, InPlace};
use supervise::launch::PORT_MARK;

use super::*;

fn line(text: &str) -> CommandLine {
    CommandLine::new(text.split(' ').map(str::to_owned).collect()).unwrap()
}

fn command(text: &str) -> Command {
    let program = Program::Frozen { digest: Digest([0xab; 32]), name: "api".to_owned() };
    Command { line: line(text), program }
}

/// Release 3 of `api`, with a hook and everything else that a release can have.
pub(crate) fn record() -> Record {
    let content = Content {
        command: command("./api serve --verbose"),
        folder: "/srv/shop".into(),
        hook: Some(command("./api migrate")),
        env: [("LEVEL".parse().unwrap(), "debug".to_owned())].into(),
        secrets: [("KEY".parse().unwrap(), 2)].into(),
        connections: [("db".parse().unwrap(), ConnectionIdentity("api#1".to_owned()))].into(),
        listen: Listen::Chosen,
        user: None,
        volumes: vec![Volume { name: "files".parse().unwrap(), variable: "FILES".parse().unwrap() }],
        limits: Limits { cpu: None, memory: Some(ByteSize::mebibytes(64)), tasks: None },
        health: Health {
            ready: Some(Check::Http("/readyz".parse().unwrap())),
            live: Some(Check::Command(line("./api ping"))),
            drain: Span::secs(20),
        },
        timezone: "Europe/Berlin".parse::<TimeZoneName>().unwrap(),
    };
    let made: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    Record { service: "api".parse().unwrap(), number: ReleaseNumber(3), made, content }
}

fn values() -> Values {
    let variable = |name: &str, value: &str| (name.parse().unwrap(), EnvironmentValue::from(value.to_owned()));
    Values {
        connections: [variable("DB_URL", "postgres://api@db")].into(),
        owner_connections: [variable("DB_URL", "postgres://owner@db")].into(),
        secrets: Secrets::of(&record(), secret).unwrap(),
    }
}

/// The vault of these tests.
fn secret(name: &SecretName, version: u32) -> Result<EnvironmentValue, String> {
    match (name.as_str(), version) {
        ("KEY", 2) => Ok(EnvironmentValue::from("s3cret".to_owned())),
        _ => Err(format!("version {version} of {name} is gone")),
    }
}

fn place() -> Place {
    Place {
        artefacts: "/state/artefacts".into(),
        volumes: "/state/volumes/api".into(),
        logs: "/state/logs".into(),
        home: "/state/volumes/api".into(),
        search: "/usr/bin:/bin".to_owned(),
        hidden: vec!["/state".into()],
        shown: vec!["/state/artefacts".into()],
    }
}

fn support() -> Support {
    Support::Unified("/sys/fs/cgroup".into())
}

fn with<T>(record: &Record, limits: LimitsBy, see: impl FnOnce(&Carriage) -> T) -> T {
    see(&Carriage {
        stack: &"shop".parse().unwrap(),
        environment: &"production".parse().unwrap(),
        release: record,
        needs: &["auth".parse().unwrap()],
        values: &values(),
        place: &place(),
        user: Some(UserIds { uid: 60_706, gid: 60_706 }),
        hook: Some(HookApart { user: UserIds { uid: 60_706, gid: 60_707 }, home: "/state/volumes/api/.hook".into() }),
        limits,
    })
}

fn described(wanted: &Wanted<()>) -> String {
    let Wanted { unit, launch, port, ready, live, .. } = wanted;
    assert_eq!(unit.digest, launch.digest);
    assert_eq!(unit.id, launch.unit);
    let environment =
        launch.environment.iter().map(|(name, value)| format!("  {name}={}\n", value.0.replace(PORT_MARK, "(chosen)")));
    let requires: Vec<String> = unit.requires.iter().map(|it| format!("{it:?}")).collect();
    [
        format!("{} as {}\n", unit.id, launch.user.map_or("the node".into(), |it| format!("{}:{}", it.uid, it.gid))),
        format!("in {}: {} {}\n", launch.folder.display(), launch.program.display(), launch.arguments.join(" ")),
        format!("requires {}\n", requires.join(" ")),
        format!("port {port:?}; ready {ready:?}; live {live:?}\n"),
        format!("asked {:?} {:?}\n", unit.ready.map(|it| it.every), unit.live.map(|it| it.every)),
        format!("life {:?}, stop within {:?}\n", unit.life, unit.stop.deadline),
        format!("log {}, hidden {:?} but {:?}\n", launch.log.folder.display(), launch.hidden, launch.shown),
        format!("memory {:?}, group {:?}\n", launch.limits.memory.map(|it| it.to_string()), launch.control_group),
    ]
    .concat()
        + &environment.collect::<String>()
}

fn check(make: impl FnOnce(&Carriage) -> Wanted<()>, expected: &Expect) {
    let support = support();
    let limits = LimitsBy::Groups { support: &support, tag: "k3j" };
    expected.assert_eq(&described(&with(&record(), limits, make)));
}

#[test]
fn a_replica() {
    check(
        |it| it.replica(ReplicaNumber(2)),
        &expect![[r#"
        api.3.2 as 60706:60706
        in /srv/shop: /state/artefacts/abababababababababababababababababababababababababababababababab/api serve --verbose
        requires Resource("db") Service("auth") Success(api.3.release)
        port Chosen; ready Some(Http(UrlPath("/readyz"))); live Some(Command(["./api", "ping"]))
        asked Some(1s) Some(10s)
        life Lasting, stop within 20s
        log /state/logs/api.3.2, hidden ["/state"] but ["/state/artefacts"]
        memory Some("64MiB"), group Some(Unified("/sys/fs/cgroup/mainstay/k3j/api.3.2"))
          DB_URL=postgres://api@db
          FILES=/state/volumes/api/files
          HOME=/state/volumes/api
          KEY=s3cret
          LANG=C.UTF-8
          LEVEL=debug
          MAINSTAY_ENVIRONMENT=production
          MAINSTAY_RELEASE=3
          MAINSTAY_REPLICA=2
          MAINSTAY_SERVICE=api
          MAINSTAY_STACK=shop
          PATH=/usr/bin:/bin
          PORT=(chosen)
          TZ=Europe/Berlin
    "#]],
    );
}

#[test]
fn a_hook_owns_what_it_migrates() {
    check(
        |it| it.hook().unwrap(),
        &expect![[r#"
        api.3.release as 60706:60707
        in /srv/shop: /state/artefacts/abababababababababababababababababababababababababababababababab/api migrate
        requires Resource("db")
        port Unused; ready None; live None
        asked None None
        life Once { retry: true }, stop within 20s
        log /state/logs/api.3.release, hidden ["/state"] but ["/state/artefacts"]
        memory Some("64MiB"), group Some(Unified("/sys/fs/cgroup/mainstay/k3j/api.3.release"))
          DB_URL=postgres://owner@db
          FILES=/state/volumes/api/files
          HOME=/state/volumes/api/.hook
          KEY=s3cret
          LANG=C.UTF-8
          LEVEL=debug
          MAINSTAY_ENVIRONMENT=production
          MAINSTAY_RELEASE=3
          MAINSTAY_SERVICE=api
          MAINSTAY_STACK=shop
          PATH=/usr/bin:/bin
          TZ=Europe/Berlin
    "#]],
    );
}

#[test]
fn a_run_of_the_schedule_and_one_by_hand() {
    check(
        |it| it.run(RunNumber(17), None),
        &expect![[r#"
        api.3.run.17 as 60706:60706
        in /srv/shop: /state/artefacts/abababababababababababababababababababababababababababababababab/api serve --verbose
        requires Resource("db") Service("auth") Success(api.3.release)
        port Unused; ready None; live None
        asked None None
        life Once { retry: false }, stop within 20s
        log /state/logs/api.3.run.17, hidden ["/state"] but ["/state/artefacts"]
        memory Some("64MiB"), group Some(Unified("/sys/fs/cgroup/mainstay/k3j/api.3.run.17"))
          DB_URL=postgres://api@db
          FILES=/state/volumes/api/files
          HOME=/state/volumes/api
          KEY=s3cret
          LANG=C.UTF-8
          LEVEL=debug
          MAINSTAY_ENVIRONMENT=production
          MAINSTAY_RELEASE=3
          MAINSTAY_SERVICE=api
          MAINSTAY_STACK=shop
          PATH=/usr/bin:/bin
          TZ=Europe/Berlin
    "#]],
    );
    let program = Program::InPlace { path: "/usr/bin/psql".into(), why: InPlace::Installed, digest: None };
    let other = Command { line: line("psql -c x"), program };
    let found = with(&record(), LimitsBy::Without, |it| it.run::<()>(RunNumber(18), Some(&other)));
    assert_eq!(found.launch.program.to_str(), Some("/usr/bin/psql"));
    assert_eq!(found.launch.arguments, ["-c", "x"]);
}

#[test]
fn without_checks_a_port_is_enough_and_without_a_port_running_is() {
    let mut record = record();
    record.content.health = Health { ready: None, live: None, drain: Span::secs(5) };
    let replica = |record: &Record| with(record, LimitsBy::Without, |it| it.replica::<()>(ReplicaNumber(1)));
    let chosen = replica(&record);
    assert_eq!((chosen.ready, chosen.unit.ready, chosen.live), (Some(Question::Connect), Some(READY), None));
    let port = Port::new(8080).unwrap();
    record.content.listen = Listen::Fixed(port);
    assert_eq!(replica(&record).port, PortChoice::Fixed(port));
    record.content.listen = Listen::None;
    let silent = replica(&record);
    assert_eq!((silent.ready, silent.unit.ready, silent.port), (None, None, PortChoice::Unused));
    assert!(!silent.launch.environment.contains_key("PORT"));
}

#[test]
fn advisory_goes_without_limits_and_nothing_else_does() {
    let without = with(&record(), LimitsBy::Without, |it| it.replica::<()>(ReplicaNumber(1))).launch;
    assert_eq!((without.limits, without.control_group), (Limits::default(), None));
    let support = Support::Unavailable { reason: "none".to_owned() };
    let limits = LimitsBy::Groups { support: &support, tag: "k3j" };
    let refused = with(&record(), limits, |it| it.replica::<()>(ReplicaNumber(1))).launch;
    assert_eq!((refused.limits.memory, refused.control_group), (Some(ByteSize::mebibytes(64)), None));
}

#[test]
fn a_release_is_carried_with_all_of_its_secrets_or_not_at_all() {
    let mut record = record();
    record.content.secrets.insert("OTHER".parse().unwrap(), 7);
    assert_eq!(Secrets::of(&record, secret).unwrap_err(), "version 7 of OTHER is gone");
}

#[test]
fn no_secret_is_shown() {
    let shown = with(&record(), LimitsBy::Without, |it| format!("{it:?} {:?}", it.replica::<()>(ReplicaNumber(1))));
    assert!(!shown.contains("s3cret"), "{shown}");
}
