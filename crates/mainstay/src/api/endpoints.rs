//! The table of endpoints: the one source of the router and of the OpenAPI document.

use axum::Router;
use axum::routing::{MethodRouter, delete, get, post, put};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::bodies::{
    AcceptedBody, ErrorBody, ErrorKind, EventBody, FileBody, LogLineBody, PlanBody, RunAcceptedBody, RunBody,
    RunStateBody, SecretBody, SecretImportBody, SecretValueBody, StatusBody,
};
use super::handlers;
use super::server::Shared;

/// The HTTP method of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verb {
    /// Reads.
    Get,
    /// Does something.
    Post,
    /// Sets.
    Put,
    /// Removes.
    Delete,
}

impl Verb {
    /// As OpenAPI writes it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "get",
            Verb::Post => "post",
            Verb::Put => "put",
            Verb::Delete => "delete",
        }
    }
}

/// A JSON shape, told to a schema generator.
pub(crate) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// What comes back.
#[derive(Clone, Copy)]
pub(crate) enum Answer {
    /// One JSON value.
    Json(Shape),
    /// One JSON value per line (`application/x-ndjson`), as they come.
    Lines(Shape),
}

/// A part of the path or of the query.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: &'static str,
    /// Whether it is in the path; else it is in the query and may be left out.
    pub(crate) in_path: bool,
    /// `string`, `integer` or `boolean`.
    pub(crate) kind: &'static str,
    /// What it means.
    pub(crate) about: &'static str,
}

/// One endpoint.
pub(crate) struct Endpoint {
    /// Its method.
    pub(crate) verb: Verb,
    /// Its path, parts in braces.
    pub(crate) path: &'static str,
    /// Its name in generated clients.
    pub(crate) name: &'static str,
    /// What it does, one line.
    pub(crate) about: &'static str,
    /// What it takes beside the body.
    pub(crate) parameters: &'static [Parameter],
    /// What it takes as a body.
    pub(crate) body: Option<Shape>,
    /// What it gives.
    pub(crate) answer: Answer,
    /// What carries it out.
    pub(crate) route: MethodRouter<Shared>,
}

const SERVICE: Parameter = Parameter { name: "name", in_path: true, kind: "string", about: "The service." };
const SECRET: Parameter = Parameter { name: "name", in_path: true, kind: "string", about: "The secret." };
const UNIT: Parameter = Parameter { name: "unit", in_path: true, kind: "string", about: "The run's unit." };
const VERSION: Parameter =
    Parameter { name: "version", in_path: false, kind: "integer", about: "Which version; the newest when absent." };
const BECAUSE: Parameter = Parameter {
    name: "because",
    in_path: false,
    kind: "string",
    about: "`file_refused` where no person wants it, but the node was started for a file that is refused.",
};
const WITHIN: Parameter = Parameter {
    name: "within",
    in_path: false,
    kind: "string",
    about: "After how long (90s) the replicas whose turn has not come are left as they are; 60s when absent.",
};
const OF: Parameter = Parameter {
    name: "of",
    in_path: false,
    kind: "string",
    about: "Services, resources or units, separated by commas; all when absent.",
};
const SINCE: Parameter = Parameter {
    name: "since",
    in_path: false,
    kind: "string",
    about: "No line before this: a time (RFC 3339), or how long ago (15m).",
};
const GREP: Parameter =
    Parameter { name: "grep", in_path: false, kind: "string", about: "Only lines that contain this text." };
const AFTER: Parameter =
    Parameter { name: "after", in_path: false, kind: "integer", about: "Only entries after this one." };
const ENTRY: Parameter = Parameter { name: "id", in_path: true, kind: "integer", about: "The entry's number." };
const FOLLOW: Parameter =
    Parameter { name: "follow", in_path: false, kind: "boolean", about: "Whether to go on with what comes." };

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

fn json<T: JsonSchema>() -> Answer {
    Answer::Json(shape::<T>)
}

/// Every endpoint, in the order of the reference.
pub(crate) fn table() -> Vec<Endpoint> {
    let mut table = stack();
    table.extend(services());
    table.extend(secrets());
    table.extend(records());
    table.push(Endpoint {
        verb: Verb::Get,
        path: "/v1/openapi.json",
        name: "openapi",
        about: "This document.",
        parameters: &[],
        body: None,
        answer: json::<serde_json::Value>(),
        route: get(handlers::openapi),
    });
    table
}

fn stack() -> Vec<Endpoint> {
    vec![
        Endpoint {
            verb: Verb::Get,
            path: "/v1/status",
            name: "status",
            about: "How the stack is.",
            parameters: &[],
            body: None,
            answer: json::<StatusBody>(),
            route: get(handlers::status),
        },
        Endpoint {
            verb: Verb::Post,
            path: "/v1/plan",
            name: "plan",
            about: "What applying a file would do. Changes nothing.",
            parameters: &[],
            body: Some(shape::<FileBody>),
            answer: json::<PlanBody>(),
            route: post(handlers::plan),
        },
        Endpoint {
            verb: Verb::Post,
            path: "/v1/apply",
            name: "apply",
            about: "Makes a file the wanted state. Answered when accepted; status and events tell the rest.",
            parameters: &[],
            body: Some(shape::<FileBody>),
            answer: json::<AcceptedBody>(),
            route: post(handlers::apply),
        },
        Endpoint {
            verb: Verb::Post,
            path: "/v1/down",
            name: "down",
            about: "Stops every service and resource, then the node. Data stays.",
            parameters: &[BECAUSE],
            body: None,
            answer: json::<AcceptedBody>(),
            route: post(handlers::down),
        },
    ]
}

fn services() -> Vec<Endpoint> {
    vec![
        Endpoint {
            verb: Verb::Post,
            path: "/v1/services/{name}/restart",
            name: "restart",
            about: "Restarts the replicas of a service, one after the other.",
            parameters: &[SERVICE, WITHIN],
            body: None,
            answer: json::<AcceptedBody>(),
            route: post(handlers::restart),
        },
        Endpoint {
            verb: Verb::Post,
            path: "/v1/services/{name}/runs",
            name: "run",
            about: "Runs a command once with a service's environment, user and limits. One that cannot begin yet waits \
                    while somebody asks how it stands at least every 5 seconds.",
            parameters: &[SERVICE],
            body: Some(shape::<RunBody>),
            answer: json::<RunAcceptedBody>(),
            route: post(handlers::run),
        },
        Endpoint {
            verb: Verb::Get,
            path: "/v1/runs/{unit}",
            name: "run_state",
            about: "How a run stands.",
            parameters: &[UNIT],
            body: None,
            answer: json::<RunStateBody>(),
            route: get(handlers::run_state),
        },
        Endpoint {
            verb: Verb::Get,
            path: "/v1/runs/{unit}/output",
            name: "run_output",
            about: "What a run prints, oldest first, from its beginning until it has ended.",
            parameters: &[UNIT],
            body: None,
            answer: Answer::Lines(shape::<LogLineBody>),
            route: get(handlers::run_output),
        },
    ]
}

fn secrets() -> Vec<Endpoint> {
    vec![
        Endpoint {
            verb: Verb::Get,
            path: "/v1/secrets",
            name: "secrets",
            about: "The secrets without their values.",
            parameters: &[],
            body: None,
            answer: json::<Vec<SecretBody>>(),
            route: get(handlers::secrets),
        },
        Endpoint {
            verb: Verb::Post,
            path: "/v1/secrets",
            name: "import_secrets",
            about: "Sets the secrets of a .env file, all or none; answers with their names.",
            parameters: &[],
            body: Some(shape::<SecretImportBody>),
            answer: Answer::Json(shape::<Vec<String>>),
            route: post(handlers::import_secrets),
        },
        Endpoint {
            verb: Verb::Get,
            path: "/v1/secrets/{name}",
            name: "secret",
            about: "A secret's value. Journaled.",
            parameters: &[SECRET, VERSION],
            body: None,
            answer: json::<SecretValueBody>(),
            route: get(handlers::secret),
        },
        Endpoint {
            verb: Verb::Put,
            path: "/v1/secrets/{name}",
            name: "set_secret",
            about: "Gives a secret a new version.",
            parameters: &[SECRET],
            body: Some(shape::<SecretValueBody>),
            answer: json::<AcceptedBody>(),
            route: put(handlers::set_secret),
        },
        Endpoint {
            verb: Verb::Delete,
            path: "/v1/secrets/{name}",
            name: "remove_secret",
            about: "Removes a secret and all its versions.",
            parameters: &[SECRET],
            body: None,
            answer: json::<AcceptedBody>(),
            route: delete(handlers::remove_secret),
        },
    ]
}

fn records() -> Vec<Endpoint> {
    vec![
        Endpoint {
            verb: Verb::Get,
            path: "/v1/logs",
            name: "logs",
            about: "What the units printed, oldest first.",
            parameters: &[OF, SINCE, GREP, FOLLOW],
            body: None,
            answer: Answer::Lines(shape::<LogLineBody>),
            route: get(handlers::logs),
        },
        Endpoint {
            verb: Verb::Get,
            path: "/v1/events",
            name: "events",
            about: "The journal, oldest first.",
            parameters: &[AFTER, FOLLOW],
            body: None,
            answer: Answer::Lines(shape::<EventBody>),
            route: get(handlers::events),
        },
        Endpoint {
            verb: Verb::Get,
            path: "/v1/events/{id}",
            name: "event",
            about: "One entry of the journal.",
            parameters: &[ENTRY],
            body: None,
            answer: json::<EventBody>(),
            route: get(handlers::event),
        },
    ]
}

/// The router of the table.
pub(crate) fn router(shared: Shared) -> Router {
    table()
        .into_iter()
        .fold(Router::new(), |router, endpoint| router.route(endpoint.path, endpoint.route))
        .fallback(|| async {
            ErrorBody::new(ErrorKind::NotFound, "there is no such call").with_hint("GET /v1/openapi.json lists them")
        })
        .method_not_allowed_fallback(|| async {
            ErrorBody::new(ErrorKind::NotFound, "this path does not take this method")
                .with_hint("GET /v1/openapi.json lists them")
        })
        .with_state(shared)
}
