//! A request whose head was read: judged, and written as its service gets it. Start reading at [`From::prepare`].
//!
//! The same for every version of HTTP that clients speak.

use std::rc::Rc;

use http1::{Asked, Body, BodyDecoder, BodyEncoder, Edits, Field, Limits, Refusal, RequestHead, Target};

use super::BODY_BYTES_MAX;
use super::carry::Carrying;
use super::forward::Forwarding;
use super::origin::Origin;
use super::record::Record;
use super::respond::{Additions, Own};
use crate::admission::{Account, Admitted};
use crate::answer::Reason;
use crate::client::h1::Incoming;
use crate::deadline::Deadline;
use crate::decide::{self, Request, Verdict};
use crate::folder::{self, Conditions, Wanted};
use crate::live::Live;
use crate::outgoing::{Outgoing, Rest};
use crate::policy::encoding::Preference;
use crate::policy::forwarded::{self, Claims, Client, Peer};
use crate::policy::hops;
use crate::settled::Settled;
use crate::table::RouteIndex;
use crate::trace::Trace;
use crate::worker::Worker;

/// The field that tells a service whose request it is.
const TENANT: &str = "X-Tenant";

/// A request whose head was read and judged.
pub(super) struct Prepared {
    pub(super) verdict: Verdict,
    pub(super) route: Option<RouteIndex>,
    pub(super) additions: Additions,
    pub(super) asked: Asked,
    pub(super) incoming: Incoming,
    /// What is asked of a folder, where the route leads to one.
    pub(super) wanted: Option<Wanted>,
    /// The codings that the answer may be compressed in.
    pub(super) codings: Preference,
    /// The largest body that is taken.
    pub(super) body_max: u64,
    /// Whether a body comes behind the head.
    pub(super) unread: bool,
    /// Whether the client waits to be asked for it.
    pub(super) held_back: bool,
    /// The head as the service gets it.
    pub(super) onward: Vec<u8>,
    pub(super) accept: Option<String>,
    pub(super) idempotent: bool,
    /// Where a redirection leads.
    pub(super) location: Option<String>,
}

/// Where a request comes from.
pub(super) struct From<'f> {
    pub(super) worker: &'f Worker,
    pub(super) live: &'f Live,
    pub(super) origin: &'f Origin,
}

impl From<'_> {
    /// What is to be done about a request. `onward` is memory for its head.
    pub(super) fn prepare(
        &self,
        head: &RequestHead<'_>,
        mut onward: Vec<u8>,
        record: &mut Record,
    ) -> Result<Prepared, Reason> {
        let host = head.host().ok_or(Reason::Refused(Refusal::MissingHost))?;
        let first = |name: &[u8]| first(head, name);
        let client = self.client(head);
        let (method, path) = (text(head.method()), text(head.target().path()));
        let request =
            Request { method, host: host.name(), path, field: &first, certified: self.origin.certified.as_deref() };
        let mut decision = decide::decide(self.live, client, request, sys::clock::now().steady);
        let trace = Trace::of(first(b"traceparent"), &|| self.worker.draw());
        record.client = client.address;
        record.method = method.to_owned();
        record.host = text(host.name()).to_owned();
        record.path = path.to_owned();
        record.request_id =
            first(b"x-request-id").filter(|id| is_id(id)).map_or_else(|| trace.id().to_owned(), str::to_owned);
        record.trace_id = trace.id().to_owned();
        record.route = decision.route;
        record.tenant = decision.tenant.as_deref().map(str::to_owned);
        let route = decision.route.and_then(|route| self.live.route(route));
        record.service = route.map(|route| route.to.clone());

        let body_max = route.and_then(|route| route.body_max).map_or(BODY_BYTES_MAX, |max| max.as_bytes());
        let decoder = BodyDecoder::new(head.body(), Limits::default(), body_max).or_else(|refusal| {
            decision.verdict = Verdict::Refuse(Reason::Refused(refusal));
            BodyDecoder::new(Body::None, Limits::default(), 0).map_err(Reason::Refused)
        })?;
        let folder = route.filter(|_| decision.verdict == Verdict::Pass).and_then(|route| self.live.folder(&route.to));
        let wanted = folder.map(|_| wanted(head, &decision.path));
        let encoder = match decision.verdict {
            Verdict::Pass if wanted.is_none() => {
                let passing = Passing { client, host, path: &decision.path, trace: &trace };
                Some(passing.write(head, record, &mut onward)?).filter(|_| !decoder.is_finished())
            }
            _ => None,
        };
        Ok(Prepared {
            location: decision.https_address(text(host.name()), head.target()),
            route: decision.route,
            verdict: decision.verdict,
            additions: self.additions(decision.fields, record),
            asked: head.asked(),
            unread: !matches!(head.body(), Body::None | Body::Length(0)),
            held_back: head.expects_continue(),
            incoming: Incoming { decoder, encoder },
            codings: codings(head, wanted.is_some()),
            wanted,
            body_max,
            onward,
            accept: first(b"accept").map(str::to_owned),
            idempotent: matches!(method, "GET" | "HEAD" | "OPTIONS" | "PUT" | "DELETE"),
        })
    }

    fn client(&self, head: &RequestHead<'_>) -> Client {
        let values = |name| head.fields().values(name).map(text);
        let claims =
            Claims { chain: values(b"x-forwarded-for").collect(), scheme: values(b"x-forwarded-proto").last() };
        let peer = Peer { address: self.origin.peer.ip(), secure: self.origin.is_secure() };
        forwarded::client(peer, &self.live.settings.trust, &claims)
    }

    fn additions(&self, mut fields: Vec<(&'static str, String)>, record: &Record) -> Additions {
        fields.push(("X-Request-Id", record.request_id.clone()));
        Additions { fields, strict: self.live.settings.strict_headers }
    }
}

impl Prepared {
    /// The answer that the verdict already is; `None` where the request is to be passed on.
    pub(super) fn own(&mut self, record: &mut Record) -> Option<Own> {
        match self.verdict {
            Verdict::Refuse(reason) => Some(self.refusal(reason, record)),
            Verdict::Preflight | Verdict::Options => Some(Own::empty(204, None)),
            Verdict::Redirect { .. } => Some(Own::empty(308, self.location.take())),
            Verdict::Pass => None,
        }
    }

    /// The request on its way to a replica, in memory of this connection's. To be asked once.
    pub(super) fn outgoing(&mut self, payer: &Rc<Admitted>) -> Outgoing {
        let rest = match self.incoming.encoder {
            None => Rest::Nothing,
            Some(_) if self.held_back => Rest::HeldBack,
            Some(_) => Rest::Coming,
        };
        Outgoing::new(std::mem::take(&mut self.onward), rest, Account::new(payer))
    }

    /// How it gets to its answer; the reason why there is no way. To be asked once.
    pub(super) fn carrying<'f>(
        &mut self,
        live: &'f Settled,
        worker: &'f Worker,
        deadline: &'f Deadline,
        payer: &'f Rc<Admitted>,
    ) -> Result<Carrying<'f>, Reason> {
        let route = self.route.and_then(|route| live.route(route)).ok_or(Reason::NoRoute)?;
        let forwarding = Forwarding {
            worker,
            live,
            deadline,
            payer,
            service: &route.to,
            asked: self.asked,
            timeout: route.timeout.duration(),
            idempotent: self.idempotent,
        };
        let folder = live.folder(&route.to).zip(self.wanted.take());
        Ok(Carrying { forwarding, folder, codings: self.codings })
    }

    /// The edge's answer for a reason, which is noted.
    pub(super) fn refusal(&self, reason: Reason, record: &mut Record) -> Own {
        record.reason = Some(reason);
        Own::refusal(reason, &record.request_id, self.accept.as_deref())
    }
}

/// What a service is told besides what the client says.
struct Passing<'p> {
    client: Client,
    host: http1::Host<'p>,
    /// The normal path.
    path: &'p str,
    trace: &'p Trace,
}

impl Passing<'_> {
    /// Writes the head as the service gets it.
    fn write(&self, head: &RequestHead<'_>, record: &Record, onward: &mut Vec<u8>) -> Result<BodyEncoder, Reason> {
        let mut fields = Vec::from(forwarded::fields(self.client, text(self.host.as_bytes())));
        fields.push(("X-Request-Id", record.request_id.clone()));
        fields.push(("traceparent", self.trace.field()));
        fields.extend(record.tenant.clone().map(|tenant| (TENANT, tenant)));
        let hops = hops::left(text(head.method()), first(head, b"max-forwards"));
        // None that is 0 is passed on.
        fields.extend(hops.map(|hops| ("Max-Forwards", hops.saturating_sub(1).to_string())));
        let set: Vec<Field<'_>> =
            fields.iter().filter_map(|(name, value)| Field::new(name.as_bytes(), value.as_bytes()).ok()).collect();
        let rewritten = rewritten(self.path, head.target());
        let target = match &rewritten {
            Some(text) => Target::parse(text.as_bytes()).map_err(Reason::Refused)?,
            None => head.target(),
        };
        // Nobody but the edge says which tenant it is.
        let edits =
            Edits { set: &set, remove: &[TENANT.as_bytes()], without_claims: !self.client.vouched, ..Edits::default() };
        Ok(head.forward(&http1::request::Onward { target, host: self.host, edits }, onward))
    }
}

/// What was checked to be ASCII when it was read, or may be anything and then counts as empty.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// The first value of a field.
fn first<'h>(head: &RequestHead<'h>, name: &[u8]) -> Option<&'h str> {
    head.fields().iter().find(|field| field.is(name)).map(|field| text(field.value()))
}

/// All values of a field that is a list.
fn list(head: &RequestHead<'_>, name: &[u8]) -> Option<String> {
    let values: Vec<&str> = head.fields().values(name).map(text).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// What a request asks of a folder.
fn wanted(head: &RequestHead<'_>, path: &str) -> Wanted {
    let value = |name: &[u8]| first(head, name).map(str::to_owned);
    let conditions = Conditions {
        if_match: list(head, b"if-match"),
        if_unmodified_since: value(b"if-unmodified-since"),
        if_none_match: list(head, b"if-none-match"),
        if_modified_since: value(b"if-modified-since"),
        range: value(b"range"),
        if_range: value(b"if-range"),
    };
    Wanted {
        path: path.to_owned(),
        query: head.target().query().map(|query| text(query).to_owned()),
        conditions,
        takes_page: folder::takes_page(list(head, b"accept").as_deref()),
    }
}

/// The codings that an answer may be compressed in. None where that could tell another site a secret: the length of a
/// compressed answer shows whether a guess that came with the request stands in it (BREACH, 2013). That needs a page of
/// another site which makes a browser ask with the user's credentials, and browsers say so (`Sec-Fetch-Site`). Hosts of two
/// tenants are other sites to each other here, though browsers call them one. The files of a folder hold no secret.
fn codings(head: &RequestHead<'_>, of_folder: bool) -> Preference {
    let foreign = first(head, b"sec-fetch-site").is_some_and(|site| matches!(site, "cross-site" | "same-site"));
    let credentials = || [&b"cookie"[..], b"authorization"].iter().any(|name| first(head, name).is_some());
    match foreign && !of_folder && credentials() {
        true => Preference::default(),
        false => Preference::of(list(head, b"accept-encoding").as_deref()),
    }
}

/// The target with the normal path, where that differs from what was sent.
fn rewritten(path: &str, target: Target<'_>) -> Option<String> {
    if path.as_bytes() == target.path() {
        return None;
    }
    let query = target.query().map(|query| format!("?{}", String::from_utf8_lossy(query)));
    Some(format!("{path}{}", query.unwrap_or_default()))
}

/// Whether a request id of a client is taken over: short, and nothing that a log or a page could mistake.
fn is_id(id: &str) -> bool {
    const BYTES_MAX: usize = 128;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=BYTES_MAX).contains(&id.len()) && id.bytes().all(plain)
}
