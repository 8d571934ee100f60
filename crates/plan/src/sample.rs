//! Stacks for tests, from a line per thing: `service api port=auto replicas=2 uses=db`.

use model::edge::{Edge, Ports, Route};
use model::stack::{
    Backups, Capacity, CommandLine, Health, LatencyObjective, Limits, Listen, Objectives, Objects, Postgres, Redis,
    Replicas, Resource, Rollout, Schedule, SecretSource, Service, Source,
};
use model::{Digest, Percent, ResourceName, Span, Stack, TimeZoneName};

use crate::release::{Command, ConnectionIdentity, Content, Program};

/// What a service of a sample releases: a frozen program, and everything its line says.
pub(crate) fn content(service: &Service) -> Content {
    let Source::Run(line) = &service.source else { panic!("samples run commands") };
    let program = Program::Frozen { digest: Digest([1; 32]), name: "server".to_owned() };
    let command = |line: &CommandLine| Command { line: line.clone(), program: program.clone() };
    let identity = |name: &ResourceName| (name.clone(), ConnectionIdentity(format!("{name}#1")));
    Content {
        command: command(line),
        folder: "/srv/shop".into(),
        hook: service.release_run.as_ref().map(command),
        env: service.env.clone(),
        secrets: service.secrets.iter().map(|name| (name.clone(), 1)).collect(),
        connections: service.uses.iter().map(identity).collect(),
        listen: service.listen,
        user: service.user.clone(),
        volumes: service.volumes.clone(),
        limits: service.limits,
        health: service.health.clone(),
        timezone: TimeZoneName::utc(),
    }
}

/// A machine that holds every sample that does not say otherwise.
pub(crate) fn machine() -> Capacity {
    Capacity { cpu: "4".parse().unwrap(), memory: "8GiB".parse().unwrap() }
}

/// The stack that `text` describes.
pub(crate) fn stack(text: &str) -> Stack {
    let mut stack = Stack {
        name: "shop".parse().unwrap(),
        environment: "production".parse().unwrap(),
        timezone: TimeZoneName::utc(),
        advisory: false,
        server: None,
        objectives: Objectives::default(),
        services: [].into(),
        resources: [].into(),
        secrets: [].into(),
        edge: None,
        backups: None,
    };
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        read_line(&mut stack, &words);
    }
    stack
}

fn read_line(stack: &mut Stack, words: &[&str]) {
    match *words {
        ["availability", share] => stack.objectives.availability = Some(share.parse().unwrap()),
        ["latency", quantile, within] => {
            let quantile: Percent = format!("{}%", &quantile[1..]).parse().unwrap();
            stack.objectives.latency = Some(LatencyObjective { quantile, within: within.parse().unwrap() });
        }
        ["rto", span] => stack.objectives.rto = Some(span.parse().unwrap()),
        ["rpo", span] => stack.objectives.rpo = Some(span.parse().unwrap()),
        ["server", cpu, memory] => {
            stack.server = Some(Capacity { cpu: cpu.parse().unwrap(), memory: memory.parse().unwrap() });
        }
        ["advisory"] => stack.advisory = true,
        ["backups", destinations] => {
            stack.backups =
                Some(Backups { schedule: "0 2 * * *".to_owned(), destinations: destinations.parse().unwrap() });
        }
        ["secret", name, "generate", bytes] => {
            let source = SecretSource::Generate { bytes: bytes.parse().unwrap() };
            stack.secrets.insert(name.parse().unwrap(), source);
        }
        ["secret", name] => drop(stack.secrets.insert(name.parse().unwrap(), SecretSource::Set)),
        ["service", name, ref keys @ ..] => drop(stack.services.insert(name.parse().unwrap(), service(keys))),
        ["resource", name, kind, ref keys @ ..] => {
            drop(stack.resources.insert(name.parse().unwrap(), resource(kind, keys)));
        }
        ["edge", ref keys @ ..] => {
            let edge = edge(stack);
            let port = |key| value(keys, key).map(|it| model::Port::new(it.parse().unwrap()).unwrap());
            edge.listen = Ports { https: port("https"), http: port("http") };
            edge.strict_headers = keys.contains(&"strict");
            edge.trust = list(keys, "trust").map(|network| network.parse().unwrap()).collect();
        }
        ["route", to, ref keys @ ..] => edge(stack).routes.push(Route {
            host: value(keys, "host").unwrap_or("shop.example").parse().unwrap(),
            path: value(keys, "path").unwrap_or("/").parse().unwrap(),
            methods: list(keys, "methods").map(str::to_owned).collect(),
            to: to.parse().unwrap(),
            limit: value(keys, "limit").map(|rate| rate.parse().unwrap()),
            timeout: value(keys, "timeout").map(|span| span.parse().unwrap()),
            body_max: value(keys, "body").map(|size| size.parse().unwrap()),
            cors: None,
        }),
        _ => panic!("the sample language has no {words:?}"),
    }
}

/// The edge of a stack; one that listens on port 80 where nothing was said.
fn edge(stack: &mut Stack) -> &mut Edge {
    let listen = Ports { https: None, http: model::Port::new(80) };
    stack.edge.get_or_insert(Edge { listen, trust: Vec::new(), routes: Vec::new(), strict_headers: false })
}

fn service(keys: &[&str]) -> Service {
    Service {
        source: Source::Run(CommandLine::new(vec!["./server".to_owned()]).unwrap()),
        listen: match value(keys, "port") {
            None => Listen::None,
            Some("auto") => Listen::Chosen,
            Some(number) => Listen::Fixed(model::Port::new(number.parse().unwrap()).unwrap()),
        },
        uses: list(keys, "uses").map(|name| name.parse().unwrap()).collect(),
        needs: list(keys, "needs").map(|name| name.parse().unwrap()).collect(),
        secrets: list(keys, "secrets").map(|name| name.parse().unwrap()).collect(),
        env: [].into(),
        user: value(keys, "user").map(str::to_owned),
        volumes: Vec::new(),
        replicas: match value(keys, "replicas") {
            None => Replicas::Derived,
            Some(text) => match text.split_once("..") {
                None => Replicas::Fixed(text.parse().unwrap()),
                Some((min, max)) => {
                    Replicas::Scaled { min: min.parse().unwrap(), max: max.parse().unwrap(), cpu: Percent::whole(80) }
                }
            },
        },
        health: Health { ready: None, live: None, drain: Span::secs(30) },
        limits: Limits {
            cpu: value(keys, "cpu").map(|it| it.parse().unwrap()),
            memory: value(keys, "memory").map(|it| it.parse().unwrap()),
            tasks: None,
        },
        release_run: value(keys, "release").map(|word| CommandLine::new(vec![word.to_owned()]).unwrap()),
        rollout: match value(keys, "rollout") {
            Some("recreate") => Rollout::Recreate,
            _ => Rollout::Rolling,
        },
        schedule: value(keys, "schedule").map(|cron| Schedule { cron: cron.replace('_', " "), overlap: false }),
    }
}

fn resource(kind: &str, keys: &[&str]) -> Resource {
    let memory = value(keys, "memory").unwrap_or("256MiB").parse().unwrap();
    let standbys = value(keys, "standbys").map_or(0, |it| it.parse().unwrap());
    let port = value(keys, "port").map(|it| model::Port::new(it.parse().unwrap()).unwrap());
    match kind {
        "postgres" => {
            let version = value(keys, "version").map(|it| it.parse().unwrap());
            Resource::Postgres(Postgres { version, memory, port, standbys, pool: None })
        }
        "redis" => {
            let wanted = value(keys, "evict").unwrap_or("noeviction");
            let evict = model::stack::Eviction::ALL.into_iter().find(|it| it.as_str() == wanted).unwrap();
            Resource::Redis(Redis { memory, evict, port, standbys })
        }
        "objects" => {
            let buckets = list(keys, "buckets").map(|name| name.parse().unwrap()).collect();
            Resource::Objects(Objects { buckets, versions: keys.contains(&"versions") })
        }
        _ => panic!("the sample language has no {kind}"),
    }
}

fn value<'a>(keys: &[&'a str], key: &str) -> Option<&'a str> {
    keys.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
}

fn list<'a>(keys: &[&'a str], key: &str) -> impl Iterator<Item = &'a str> {
    value(keys, key).into_iter().flat_map(|names| names.split(','))
}
