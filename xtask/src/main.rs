//! Development tasks: `cargo xtask tidy | docs | bench | bench-edge | mutations | fuzz | differential | conformance-s3`. Start
//! reading at [`tidy`], which `cargo test` runs as well.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

mod programs;
mod repository;

mod tidy;

mod bench;
mod conformance_s3;
mod differential;
mod docs;
mod fuzz;
mod mutations;
#[cfg(test)]
mod samples;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask COMMAND

  tidy    checks what the compiler does not: edges between crates, purity, names, lengths, words, links
  docs    writes generated documentation and expected outputs again
  bench   measures the release build with examples/directory and writes docs/benchmarks.md
          (--cold-build also measures a build from nothing, in a target folder of its own)
  bench-edge [--rounds N]
          measures the edge beside nginx and HAProxy and writes docs/benchmarks-edge.md; the median of N runs (3) counts
  mutations [NAME]
          breaks a copy of the code one line at a time and says which seed of the simulation caught it
  fuzz [MINUTES]
          goes on with each fuzzer for that long (5)
  differential
          compares crates/http1 with other servers and writes docs/differential.md
  conformance-s3
          tries crates/objects with the SDK for Python, and compares it with moto";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => return report(&tidy::findings()),
        ["docs"] => docs::regenerate().map_err(|error| with_causes(&error)),
        ["bench"] => bench::run(bench::ColdBuild::Keep).map_err(|error| with_causes(&error)),
        ["bench", "--cold-build"] => bench::run(bench::ColdBuild::Measure).map_err(|error| with_causes(&error)),
        ["bench-edge"] => bench::edge::run(bench::edge::ROUNDS).map_err(|error| with_causes(&error)),
        ["bench-edge", "--rounds", rounds] => match rounds.parse() {
            Ok(rounds) => bench::edge::run(rounds).map_err(|error| with_causes(&error)),
            Err(_) => Err(format!("--rounds takes a number from 1, not `{rounds}`")),
        },
        ["mutations"] => mutations::run("").map_err(|error| with_causes(&error)),
        ["mutations", only] => mutations::run(only).map_err(|error| with_causes(&error)),
        ["fuzz"] => fuzz::run(fuzz::MINUTES).map_err(|error| with_causes(&error)),
        ["fuzz", minutes] => fuzz::run(minutes).map_err(|error| with_causes(&error)),
        ["conformance-s3"] => conformance_s3::run().map_err(|error| with_causes(&error)),
        ["differential"] => differential::run().map_err(|error| with_causes(&error)),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn report(findings: &[tidy::Finding]) -> ExitCode {
    findings.iter().for_each(|finding| println!("{finding}"));
    match findings.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// An error and everything that led to it, on one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    line
}
