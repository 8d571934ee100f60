//! Each part of the platform is killed, and the file applied 200 times, while 200 requests a second are asked and 50
//! WebSockets are open.
//!
//! Each deed is an [`Episode`]: it lasts until requests go well again and every WebSocket is told of what is new, and prints
//! one line of what became of the requests meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use crate::load::{Ask, Figures, Load, Loss, ReadBack, Uploads, WATCHERS};
use crate::processes::{self, Process};
use crate::product::Product;
use crate::world::steady;

/// So many requests that go well in a row, two seconds' worth, are the end of an episode.
const CALM: usize = 400;
/// How long whatever was killed may take to come back. Far more than it does: how long that is gets printed.
const BACK_MAX: Duration = Duration::from_secs(10);
/// How long it may take until requests go well again, once whatever was killed is back.
const WELL_AGAIN_MAX: Duration = Duration::from_secs(60);
/// How often the object server is killed: each time something else is on its way.
const OBJECT_SERVER_KILLS: usize = 3;
/// How often the file is applied.
const APPLICATIONS: usize = 200;
/// How the routes of the environment begin, and those of no other.
const FIRST_ROUTE: &str = "      routes:\n        - { host: \"{tenant}.directory.localhost\", path: /api/, to: api }\n";

/// Fails when a kill costs more than what the killed alone had in hand, when something has to be helped to its feet, when
/// anything that was acknowledged is gone or not whole, or when an application of the file is noticed by anybody.
#[test]
fn each_part_dies_under_load_and_nothing_acknowledged_is_lost() {
    let product = Product::up_in("directory-under-load", "bench");
    let stage = Stage { product: &product, load: Load::begin(&product) };
    stage.episode("nothing happens", || ()).nobody_noticed();
    a_replica_is_killed(&stage);
    the_node_is_killed(&stage);
    the_edge_is_killed(&stage);
    postgres_is_killed(&stage);
    redis_is_killed(&stage);
    the_object_server_is_killed(&stage);
    the_file_is_applied(&stage);
    let ReadBack { people, photos, photos_besides, wrong } = stage.load.end();
    println!(
        "LOAD read back: {people} people and {photos} photos that were acknowledged, {photos_besides} photos that were not"
    );
    assert_eq!(wrong, Vec::<String>::new());
    assert!(people > 100 && photos > 20, "{people} people, {photos} photos");
    product.world.down();
}

fn a_replica_is_killed(stage: &Stage<'_>) {
    let others = |mut units: Units| {
        units.retain(|(unit, _)| unit != "api.1.1");
        units
    };
    let before = others(stage.units());
    let episode = stage.episode("an API replica is killed", || stage.kill_and_wait("api.1.1", || ()));
    episode.says("replaced after", episode.result.back);
    let idempotent: Vec<_> = episode.figures.failed().filter(|outcome| outcome.ask.is_idempotent()).collect();
    assert!(idempotent.is_empty(), "{idempotent:#?}");
    let later: Vec<_> = episode.figures.failed().filter(|outcome| outcome.due > episode.result.gone).collect();
    assert!(later.is_empty(), "asked when it was gone: {later:#?}");
    assert!(episode.result.back < BACK_MAX);
    assert_eq!(others(stage.units()), before);
}

fn the_node_is_killed(stage: &Stage<'_>) {
    let before = stage.units();
    let episode = stage.episode("the node is killed", || {
        let gone = stage.kill(&stage.product.world.node().unwrap());
        stage.goes_well(gone);
        stage.product.apply();
    });
    episode.nobody_noticed();
    assert_eq!(stage.units(), before);
}

fn the_edge_is_killed(stage: &Stage<'_>) {
    let world = &stage.product.world;
    let old = world.child("edge");
    let episode = stage.episode("the edge is killed", || {
        let begun = steady();
        (begun, stage.kill(&old))
    });
    let (begun, gone) = episode.result;
    let back = episode.figures.first_good_since(gone).unwrap().saturating_sub(begun);
    episode.says("first good answer after", back);
    assert!(back < BACK_MAX);
    let turned_away: Vec<_> = episode.figures.failed().filter(|outcome| outcome.opened > gone).collect();
    assert!(turned_away.is_empty(), "connected when it was gone: {turned_away:#?}");
    assert_ne!(world.child("edge"), old);
}

fn postgres_is_killed(stage: &Stage<'_>) {
    let episode = stage.episode("PostgreSQL is killed", || stage.kill_and_wait("db", || ()));
    episode.says("ready after", episode.result.back);
    episode.says("last failed request after", episode.figures.last_failed_after(episode.result.begun));
}

fn redis_is_killed(stage: &Stage<'_>) {
    let visitor = stage.product.visitor("harbor").logged_in("user@harbor.example");
    let episode = stage.episode("Redis is killed", || stage.kill_and_wait("cache", || ()));
    episode.says("ready after", episode.result.back);
    episode.says("last failed request after", episode.figures.last_failed_after(episode.result.begun));
    assert_eq!(visitor.get("/api/session").status, 200, "the session of just before is gone");
}

fn the_object_server_is_killed(stage: &Stage<'_>) {
    let world = &stage.product.world;
    stage.load.upload(Uploads::LARGE);
    let episode = stage.episode("the object server is killed in the midst of uploads", || {
        stage.goes_well(steady());
        let upload = || {
            world.wait_for("an upload", || stage.load.is_under_way(Ask::Photo).then_some(()));
        };
        let kill = |_| stage.kill_and_wait("photos", upload);
        (0..OBJECT_SERVER_KILLS).map(kill).collect::<Vec<_>>()
    });
    stage.load.upload(Uploads::USUAL);
    for Killed { begun, back, .. } in &episode.result {
        let photos = episode.figures.outcomes.iter().filter(|outcome| outcome.ask == Ask::Photo);
        let on_their_way = photos.filter(|photo| photo.due < *begun && photo.ended > *begun).count();
        episode.says(&format!("{on_their_way} photos on their way, ready after"), *back);
    }
    let others: Vec<_> = episode.figures.failed().filter(|outcome| outcome.ask != Ask::Photo).collect();
    assert!(others.is_empty(), "{others:#?}");
}

fn the_file_is_applied(stage: &Stage<'_>) {
    let (product, before) = (stage.product, stage.units());
    assert!(product.file.contains(FIRST_ROUTE), "{}", product.file);
    let visitor = product.visitor("acme");
    let episode = stage.episode("the file is applied 200 times", || {
        for turn in 0..APPLICATIONS {
            product.world.write(&file_of(turn, &product.file));
            let applied = product.apply();
            assert!(!applied.out.contains("Nothing to do"), "{}", applied.out);
        }
        // The frontend answers whatever has no other route with its page.
        assert_eq!(visitor.get(&format!("{}x", route_of(APPLICATIONS - 1))).status, 404);
    });
    episode.nobody_noticed();
    assert_eq!(stage.units(), before);
}

/// The file of a turn. Every other one changes a route and the headers of the edge, the others what no process knows of.
fn file_of(turn: usize, file: &str) -> String {
    let route = format!(
        "{FIRST_ROUTE}        - {{ host: \"{{tenant}}.directory.localhost\", path: {}, to: api }}\n",
        route_of(turn)
    );
    let headers = if (turn / 2).is_multiple_of(2) { "headers: off" } else { "headers: strict" };
    file.replace(FIRST_ROUTE, &route)
        .replace("headers: strict", headers)
        .replace("availability: 99.9%", &format!("availability: 99.{}%", 100 + turn))
}

fn route_of(turn: usize) -> String {
    format!("/turn-{}/", turn / 2)
}

/// The process of each unit.
type Units = Vec<(String, Process)>;

/// The product, and the load on it.
struct Stage<'a> {
    product: &'a Product,
    load: Load,
}

/// When a unit was killed, was gone, and how long it took until all was ready again.
struct Killed {
    begun: Duration,
    gone: Duration,
    back: Duration,
}

impl Stage<'_> {
    /// Does something, and says what became of the requests until they go well and every WebSocket is told of what is new.
    fn episode<T>(&self, name: &'static str, happens: impl FnOnce() -> T) -> Episode<T> {
        let (world, begun) = (&self.product.world, steady());
        let result = happens();
        let since = steady();
        self.goes_well(since);
        let all_told = || (self.load.watchers_told(since) == WATCHERS).then_some(());
        world.wait_for("every WebSocket to be open and told", all_told);
        let time: Range<Duration> = begun..steady();
        let (figures, _) = world.wait_for("requests to end", || self.load.figures(&time));
        let lost = self.load.losses(&time);
        let why: BTreeSet<&str> = lost.iter().map(|loss| &*loss.why).collect();
        println!("LOAD {name}: {figures}; {} of {WATCHERS} WebSockets lost {why:?}", lost.len());
        Episode { name, result, figures, lost }
    }

    /// Waits until requests that were due since then have gone well for a while.
    #[track_caller]
    fn goes_well(&self, since: Duration) {
        let is_over = || {
            let goes_well = self.load.went_well(since, CALM);
            (goes_well || steady().saturating_sub(since) > WELL_AGAIN_MAX).then_some(goes_well)
        };
        let (goes_well, _) = self.product.world.wait_for("requests to go well", is_over);
        assert!(goes_well, "{:#?}\n{}", self.load.last_failures(CALM), self.product.world.events());
    }

    /// Kills a process, and says when it was gone.
    fn kill(&self, process: &Process) -> Duration {
        processes::kill(process);
        let is_gone = || processes::look(process.pid).is_none_or(|now| now.started != process.started);
        self.product.world.wait_for("the killed to be gone", || is_gone().then_some(()));
        steady()
    }

    /// Kills what runs a unit once its moment has come, and waits until another process does, and everything is ready.
    fn kill_and_wait(&self, unit: &str, moment: impl FnOnce()) -> Killed {
        let world = &self.product.world;
        let old = world.child(unit);
        moment();
        let begun = steady();
        let gone = self.kill(&old);
        world.replaced(unit, &old);
        Killed { begun, gone, back: steady().saturating_sub(begun) }
    }

    fn units(&self) -> Units {
        processes::children(&self.product.world.state).into_iter().collect()
    }
}

/// What happened, and what became of the requests meanwhile.
struct Episode<T> {
    name: &'static str,
    result: T,
    figures: Figures,
    lost: Vec<Loss>,
}

impl<T> Episode<T> {
    #[track_caller]
    fn nobody_noticed(&self) {
        let failed: Vec<_> = self.figures.failed().collect();
        assert!(failed.is_empty() && self.lost.is_empty(), "{}: {failed:#?}\n{:#?}", self.name, self.lost);
    }

    fn says(&self, what: &str, took: Duration) {
        println!("LOAD {}: {what} {:.2} s", self.name, took.as_secs_f64());
    }
}
