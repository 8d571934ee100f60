//! Two hundred requests a second of a directory in use, and fifty people who watch it.
//!
//! Start reading at [`Load`]. Requests are begun by a schedule, whatever becomes of those before
//! ([`Crew::ask_on_schedule`]), and each is asked once: [`record`] has what became of them, [`kept`] what the product has
//! acknowledged.

mod client;
mod kept;
mod record;
mod watcher;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use sys::tasks::{Task, Tasks};
use tokio::runtime::Runtime;
use tokio::time::interval;

use crate::product::Product;
use crate::world::steady;

use client::{Caller, Client, Question};
pub(crate) use kept::ReadBack;
use kept::{ADDED, Added, Kept, Photo};
pub(crate) use record::{Ask, Figures};
use record::{Outcome, Record};
pub(crate) use watcher::Loss;
use watcher::Watcher;

/// From one request to the next.
const PERIOD: Duration = Duration::from_millis(5);
/// What is asked, over and over. Photos take the place of some.
const MIX: [Ask; 20] = [
    Ask::Session,
    Ask::List,
    Ask::Profile,
    Ask::Page,
    Ask::Search,
    Ask::Profile,
    Ask::Session,
    Ask::Page,
    Ask::List,
    Ask::Profile,
    Ask::Add,
    Ask::Session,
    Ask::Search,
    Ask::Page,
    Ask::Profile,
    Ask::List,
    Ask::Profile,
    Ask::Page,
    Ask::Session,
    Ask::Search,
];
/// How many requests may be under way: those of five seconds.
const UNDER_WAY_MAX: usize = 1000;
/// Whose people ask and watch: an admin of each.
const COMPANIES: [&str; 5] = ["acme", "birch", "cobalt", "delta", "ember"];
/// All who watch, as many at each company.
pub(crate) const WATCHERS: usize = 50;
/// What people are looked for by.
const NAMES: [&str; 4] = ["ada", "noor", "silva", "weber"];
/// Addresses of the frontend.
const PAGES: [&str; 4] = ["/", "/style.css", "/app/main.js", "/people/7"];

/// How photos are uploaded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uploads {
    /// One of so many requests is one.
    one_of: u64,
    /// How long each is.
    bytes: usize,
}

impl Uploads {
    /// One a second, which the edge can have taken by another replica.
    pub(crate) const USUAL: Self = Self { one_of: 200, bytes: 32 << 10 };
    /// Five a second, each of which is on its way for a while.
    pub(crate) const LARGE: Self = Self { one_of: 40, bytes: 512 << 10 };
}

/// The load on a product, until it is dropped.
pub(crate) struct Load {
    crew: Arc<Crew>,
    schedule: Task,
    runtime: Runtime,
}

/// Everybody who asks and watches.
struct Crew {
    tasks: Tasks,
    client: Arc<Client>,
    companies: Vec<Company>,
    watchers: Vec<Arc<Watcher>>,
    record: Record,
    kept: Kept,
    uploads: Mutex<Uploads>,
    photos_begun: AtomicUsize,
}

/// A company of the product.
struct Company {
    tenant: &'static str,
    admin: Caller,
    /// Everybody who was there before.
    people: Vec<u64>,
}

impl Load {
    /// Logs in, opens the WebSockets and begins to ask.
    pub(crate) fn begin(product: &Product) -> Self {
        let tasks = Tasks::default();
        let client = Arc::new(Client::new(&product.authority(), product.https, tasks.clone()));
        let crew = Arc::new(Crew {
            tasks,
            client,
            companies: (1..).zip(COMPANIES).map(|(number, tenant)| Company::of(product, number, tenant)).collect(),
            watchers: (0..WATCHERS).map(|number| Arc::new(Watcher::new(number % COMPANIES.len()))).collect(),
            record: Record::default(),
            kept: Kept::default(),
            uploads: Mutex::new(Uploads::USUAL),
            photos_begun: AtomicUsize::new(0),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let entered = runtime.enter();
        for watcher in &crew.watchers {
            let admin = crew.companies[watcher.company].admin.clone();
            let watching = Arc::clone(watcher).watch(Arc::clone(&crew.client), admin);
            drop(crew.tasks.spawn("load", "watcher", watching));
        }
        let schedule = crew.tasks.spawn("load", "schedule", Arc::clone(&crew).ask_on_schedule());
        drop(entered);
        Self { crew, schedule, runtime }
    }

    /// How photos are uploaded from now on.
    pub(crate) fn upload(&self, uploads: Uploads) {
        *self.crew.uploads.lock().unwrap_or_else(PoisonError::into_inner) = uploads;
    }

    /// Whether a request of this kind is under way.
    pub(crate) fn is_under_way(&self, ask: Ask) -> bool {
        self.crew.record.is_under_way(ask)
    }

    /// Whether the last requests that ended, so many, were all due since then and went well.
    pub(crate) fn went_well(&self, since: Duration, count: usize) -> bool {
        self.crew.record.went_well(since, count)
    }

    /// Why the last requests that ended, so many, failed, and how many for which reason.
    pub(crate) fn last_failures(&self, count: usize) -> BTreeMap<String, usize> {
        self.crew.record.last_failures(count)
    }

    /// What became of the requests of a time, once all of them have ended.
    pub(crate) fn figures(&self, time: &Range<Duration>) -> Option<Figures> {
        self.crew.record.figures(time)
    }

    /// How many WebSockets are open and were told of somebody who was to be added since then.
    pub(crate) fn watchers_told(&self, since: Duration) -> usize {
        let first: Vec<Option<u64>> =
            (0..COMPANIES.len()).map(|company| self.crew.kept.first_added(company, since)).collect();
        let told = |watcher: &&Arc<Watcher>| first[watcher.company].is_some_and(|person| watcher.has_heard_of(person));
        self.crew.watchers.iter().filter(told).count()
    }

    /// The WebSockets that ended in a time.
    pub(crate) fn losses(&self, time: &Range<Duration>) -> Vec<Loss> {
        let all = self.crew.watchers.iter().flat_map(|watcher| watcher.losses());
        all.filter(|loss| time.contains(&loss.at)).collect()
    }

    /// Asks no more, and looks for everything that was acknowledged, and at every photo that is shown.
    pub(crate) fn end(self) -> ReadBack {
        self.schedule.abort();
        let admins: Vec<Caller> = self.crew.companies.iter().map(|company| company.admin.clone()).collect();
        self.runtime.block_on(self.crew.kept.read_back(&self.crew.client, &admins))
    }
}

impl Company {
    /// The company of this number, whose admin asks from a loopback address of their own.
    fn of(product: &Product, number: u8, tenant: &'static str) -> Self {
        let admin = product.visitor(tenant).logged_in(&format!("admin@{tenant}.example"));
        let mut people = Vec::new();
        let mut next = Some("/api/people?limit=100".to_owned());
        while let Some(path) = next {
            let part = admin.get(&path).json();
            people.extend(part["people"].as_array().unwrap().iter().map(|it| it["id"].as_u64().unwrap()));
            next = part["next"].as_str().map(|next| format!("/api/people?limit=100&after={next}"));
        }
        let (host, cookie, from) = (Product::host(tenant), admin.cookie().to_owned(), Ipv4Addr::new(127, 0, 1, number));
        Self { tenant, admin: Caller { host, cookie, from }, people }
    }
}

/// A request that is about to be sent.
struct Request {
    company: usize,
    question: Question,
    /// The status of a good answer.
    good: u16,
    gives: Gives,
}

/// What a request gives the product to keep.
enum Gives {
    Nothing,
    /// A person with this address.
    Person(String),
    /// The photo of this number.
    Photo(usize),
}

impl Crew {
    /// Begins one request every [`PERIOD`]. One that a busy machine begins late was due when it was due.
    async fn ask_on_schedule(self: Arc<Self>) -> Result<(), Infallible> {
        let mut ticks = interval(PERIOD);
        let mut due = steady();
        for number in 0.. {
            ticks.tick().await;
            self.begin(number, due);
            due += PERIOD;
        }
        Ok(())
    }

    fn begin(self: &Arc<Self>, number: u64, due: Duration) {
        let uploads = *self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        let ask = if number.is_multiple_of(uploads.one_of) { Ask::Photo } else { MIX[index(number, MIX.len())] };
        if self.record.begun(number, ask, due) > UNDER_WAY_MAX {
            let failure = Some(format!("{UNDER_WAY_MAX} were under way"));
            self.record.ended(number, Outcome { ask, due, ended: due, opened: due, failure });
            return;
        }
        let request = match ask {
            Ask::Photo => self.photo(uploads.bytes),
            Ask::Add => self.add(number),
            Ask::Session => self.read(number, "/api/session"),
            Ask::List => self.read(number, "/api/people"),
            Ask::Search => self.read(number, format!("/api/people?search={}", pick(number, &NAMES))),
            Ask::Profile => self.read(number, format!("/api/people/{}", pick(number, &self.company(number).people))),
            Ask::Page => self.read(number, *pick(number, &PAGES)),
        };
        let crew = Arc::clone(self);
        let asking = async move {
            let outcome = crew.ask(ask, request, due).await;
            crew.record.ended(number, outcome);
            Ok::<_, Infallible>(())
        };
        drop(self.tasks.spawn("load", "request", asking));
    }

    async fn ask(&self, ask: Ask, request: Request, due: Duration) -> Outcome {
        let Request { company, question, good, gives } = request;
        let exchange = self.client.ask(&self.companies[company].admin, question).await;
        let failure = match exchange.answer {
            Ok(answer) if answer.status == good => {
                self.acknowledged(company, gives, &answer.json(), due);
                None
            }
            Ok(answer) => Some(format!("{} {}", answer.status.as_u16(), reason(&answer.json()))),
            Err(why) => Some(why),
        };
        Outcome { ask, due, ended: steady(), opened: exchange.opened, failure }
    }

    fn acknowledged(&self, company: usize, gives: Gives, answer: &Value, due: Duration) {
        match gives {
            Gives::Nothing => {}
            Gives::Person(email) => {
                let person = answer["id"].as_u64().unwrap();
                self.kept.person_is_added(Added { company, person, email, due });
            }
            Gives::Photo(number) => self.kept.photo_is_acknowledged(number),
        }
    }

    /// Which company's turn it is: the next one after each round of [`MIX`].
    fn turn(&self, number: u64) -> usize {
        index(number / MIX.len() as u64, self.companies.len())
    }

    fn company(&self, number: u64) -> &Company {
        &self.companies[self.turn(number)]
    }

    fn read(&self, number: u64, path: impl Into<String>) -> Request {
        Request { company: self.turn(number), question: Question::get(path), good: 200, gives: Gives::Nothing }
    }

    fn add(&self, number: u64) -> Request {
        let email = format!("added.{number}@{}.example", self.company(number).tenant);
        let person = json!({
            "name": format!("{ADDED} {number}"), "email": email, "title": "Newcomer", "department": "Support",
            "started_on": "2026-11-02",
        });
        let body = Some(("application/json", person.to_string().into()));
        let question = Question { method: Method::POST, path: "/api/people".to_owned(), body };
        Request { company: self.turn(number), question, good: 201, gives: Gives::Person(email) }
    }

    /// A photo of the next one who has none.
    fn photo(&self, bytes: usize) -> Request {
        let number = self.photos_begun.fetch_add(1, Ordering::Relaxed);
        let company = number % self.companies.len();
        let person = self.companies[company].people[number / self.companies.len()];
        let photo = Photo { company, person, number, bytes, is_acknowledged: false };
        let body = Some(("image/png", photo.content()));
        self.kept.photo_is_sent(photo);
        let question = Question { method: Method::PUT, path: format!("/api/photos/{person}"), body };
        Request { company, question, good: 204, gives: Gives::Photo(number) }
    }
}

fn index(number: u64, length: usize) -> usize {
    usize::try_from(number).unwrap() % length
}

/// One of these, by the round of [`MIX`] and the place in it.
fn pick<T>(number: u64, from: &[T]) -> &T {
    &from[index(number + number / MIX.len() as u64, from.len())]
}

/// The code that the product, or the edge in its place, gives as its reason.
fn reason(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or("without a reason")
}
