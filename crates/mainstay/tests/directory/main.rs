//! The product behind the edge: the built program runs the Company Directory of `examples/directory` by its own file, and
//! people use it over TLS.
//!
//! Start reading at [`product`], then [`serving`], [`limit`], [`photos`] and [`companies`] (what programs ask), and
//! [`in_a_browser`] (what people see). Nothing here knows the program's or the product's insides.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(
    clippy::print_stdout,
    reason = "how many requests were admitted in which time is part of what these tests show"
)]

mod browser;
mod product;

mod companies;
mod in_a_browser;
mod limit;
mod photos;
mod serving;

#[path = "../survival/processes.rs"]
mod processes;
#[path = "../survival/world.rs"]
#[expect(dead_code, reason = "shared with the tests of survival, which need more of it")]
mod world;
