//! The product behind the edge: the built program runs the Company Directory of `examples/directory` by its own file, and
//! people use it over TLS.
//!
//! Start reading at [`product`], then [`serving`], [`limit`], [`photos`] and [`companies`] (what programs ask),
//! [`in_a_browser`] (what people see), and [`under_load`] (what either notices when any of it is killed). Nothing here knows
//! the program's or the product's insides.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "what became of how many requests in which time is part of what these tests show"
)]

mod browser;
mod load;
mod product;

mod companies;
mod in_a_browser;
mod limit;
mod photos;
mod serving;
mod under_load;

#[path = "../survival/processes.rs"]
mod processes;
#[path = "../survival/world.rs"]
#[expect(dead_code, reason = "shared with the tests of survival, which need more of it")]
mod world;
