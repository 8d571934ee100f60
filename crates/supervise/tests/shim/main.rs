//! The real shim on real processes. This test has no harness of the standard library: the shim is this very
//! program, called as `… shim FOLDER HOME`, and it must have a single thread.
//!
//! Start reading at [`unit::Unit`], what each test starts. Words on the command line pick tests by name.

#![expect(clippy::unwrap_used, reason = "a test without the usual harness, which clippy does not take for one")]
#![expect(clippy::print_stdout, reason = "the results are printed")]

mod cases;
mod on_machine;
mod unit;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [first, folder, ..] = words.as_slice()
        && first == "shim"
    {
        return supervise::shim::run(Path::new(folder), None);
    }
    let filters: Vec<&String> = words.iter().filter(|word| !word.starts_with('-')).collect();
    let mut failed = 0;
    for (name, case) in cases::ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        match std::panic::catch_unwind(case) {
            Ok(()) => println!("test {name} ... ok"),
            Err(_) => {
                failed += 1;
                println!("test {name} ... FAILED");
            }
        }
    }
    println!("{failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
