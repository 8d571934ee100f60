//! What a release is made of, and that its digest tells contents apart.

use model::stack::{CommandLine, Health, Limits, Listen, Objectives, Replicas, Rollout};
use model::{Span, TimeZoneName};

use super::*;

fn program(byte: u8) -> Program {
    Program::Frozen { digest: Digest([byte; 32]), name: "api".to_owned() }
}

fn line(text: &str) -> CommandLine {
    CommandLine::new(text.split(' ').map(str::to_owned).collect()).unwrap()
}

fn stack() -> Stack {
    let service = Service {
        source: Source::Run(line("./api serve")),
        listen: Listen::Chosen,
        uses: vec!["db".parse().unwrap()],
        needs: Vec::new(),
        secrets: vec!["KEY".parse().unwrap()],
        env: BTreeMap::new(),
        user: None,
        volumes: Vec::new(),
        replicas: Replicas::Derived,
        health: Health { ready: None, live: None, drain: Span::secs(30) },
        limits: Limits::default(),
        release_run: Some(line("./api migrate")),
        rollout: Rollout::Rolling,
        schedule: None,
    };
    Stack {
        name: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        timezone: TimeZoneName::utc(),
        advisory: false,
        server: None,
        objectives: Objectives::default(),
        services: [("api".parse().unwrap(), service)].into(),
        resources: BTreeMap::new(),
        secrets: BTreeMap::new(),
        edge: None,
        backups: None,
    }
}

fn made(edit: impl FnOnce(&mut Stack, &mut BTreeMap<SecretName, u32>)) -> Result<Content, ContentError> {
    let (mut stack, mut secrets) = (stack(), [("KEY".parse().unwrap(), 1)].into());
    edit(&mut stack, &mut secrets);
    let connections = [("db".parse().unwrap(), ConnectionIdentity("api#1".to_owned()))].into();
    let program = program(1);
    let materials = Materials {
        folder: Path::new("/srv/shop"),
        program: &program,
        hook: Some(&program),
        secrets: &secrets,
        connections: &connections,
    };
    content(&stack, &"api".parse().unwrap(), materials)
}

#[test]
fn equal_contents_have_one_digest_and_others_another() {
    let plain = made(|_, _| ()).unwrap();
    assert_eq!(digest(&plain), digest(&made(|_, _| ()).unwrap()));
    // A release must not be replaced because this program was: the form that is digested stays.
    assert_eq!(digest(&plain).short(), "88a1a54450b6");
    let rotated = made(|_, secrets| *secrets.values_mut().next().unwrap() = 2).unwrap();
    assert_ne!(digest(&plain), digest(&rotated));
    let other_zone = made(|stack, _| stack.timezone = "Europe/Berlin".parse().unwrap()).unwrap();
    assert_ne!(digest(&plain), digest(&other_zone));
}

#[test]
fn what_a_release_does_not_run_changes_no_content() {
    let scaled = made(|stack, _| stack.services.values_mut().for_each(|it| it.replicas = Replicas::Fixed(3)));
    assert_eq!(scaled, made(|_, _| ()));
}

#[test]
fn a_record_reads_back() {
    let content = made(|_, _| ()).unwrap();
    let made = "2026-11-20T12:00:00Z".parse().unwrap();
    let record = Record { service: "api".parse().unwrap(), number: ReleaseNumber(1), made, content };
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    assert_eq!(artefacts(&record.content).collect::<Vec<_>>(), [Digest([1; 32]), Digest([1; 32])]);
}

#[test]
fn what_is_missing_is_named() {
    let error = made(|_, secrets| secrets.clear()).unwrap_err();
    assert_eq!(error.to_string(), "secret KEY, which api is to receive, has no value: run `mainstay secret set KEY`");
    let uses_more = |stack: &mut Stack, _: &mut BTreeMap<SecretName, u32>| {
        stack.services.values_mut().for_each(|it| it.uses.push("cache".parse().unwrap()));
    };
    assert_eq!(made(uses_more).unwrap_err().to_string(), "api has no connection to cache yet");
    let error = made(|stack, _| stack.services.clear()).unwrap_err();
    assert_eq!(error, ContentError::Service("api".parse().unwrap()));
    let image = |stack: &mut Stack, _: &mut BTreeMap<SecretName, u32>| {
        stack.services.values_mut().for_each(|it| it.source = Source::Image("nginx".to_owned()));
    };
    assert_eq!(made(image), Err(ContentError::NotRun("api".parse().unwrap())));
}
