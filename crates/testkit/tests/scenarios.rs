//! Every scenario of `scenarios/` gives the trace below its dashed line. `UPDATE=1` writes the traces anew;
//! read the difference before you keep it.

use std::fs;
use std::path::Path;

const LINE: &str = "----\n";

#[test]
fn scenarios_give_their_traces() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut wrong = Vec::new();
    for path in &names {
        let text = fs::read_to_string(path).unwrap();
        let (commands, expected) = text.split_once(LINE).unwrap_or((&text, ""));
        let name = path.file_name().unwrap().to_string_lossy();
        match testkit::scenario::play(commands) {
            Err(error) => wrong.push(format!("{name}:{}: {}", error.line, error.wrong)),
            Ok(trace) if trace == expected => {}
            Ok(trace) if std::env::var_os("UPDATE").is_some() => {
                fs::write(path, format!("{commands}{LINE}{trace}")).unwrap();
            }
            Ok(trace) => wrong.push(format!("{name} gives another trace:\n{trace}")),
        }
    }
    assert!(names.len() >= 12, "only {} scenarios were found", names.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
