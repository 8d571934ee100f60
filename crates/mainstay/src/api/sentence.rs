//! What a journal entry says, as a sentence. Reasons and evidence are the entry's own words and stay beside it.

use model::{Entry, Happening};

use crate::terminal::human;

/// What happened, as one sentence without its full stop.
pub(crate) fn sentence(entry: &Entry) -> String {
    match &entry.what {
        Happening::NodeStarted { adopted: 0 } => "the node started".to_owned(),
        Happening::NodeStarted { adopted } => {
            format!("the node started and took over {}", human::count(*adopted, "running unit"))
        }
        Happening::NodeStopped => "the node stopped".to_owned(),
        Happening::Applied { steps: 0 } => "a file was applied (nothing had to change)".to_owned(),
        Happening::Applied { steps } => format!("a file was applied ({})", human::count(*steps, "step")),
        Happening::DownRequested => "the stack was asked to stop".to_owned(),
        Happening::ReleaseMade { service, release } => format!("release {release} of {service} was made"),
        Happening::UnitStarted { unit } => format!("{unit} was started"),
        Happening::UnitReady { unit } => format!("{unit} is ready"),
        Happening::UnitUnready { unit } => format!("{unit} is not ready any more"),
        Happening::UnitExited { unit } => format!("{unit} ended"),
        Happening::UnitRestarted { unit, .. } => format!("{unit} was started again"),
        Happening::CrashLoop { unit } => format!("{unit} keeps failing; it is now started again only rarely"),
        Happening::UnitStopping { unit } => format!("{unit} was asked to stop"),
        Happening::UnitKilled { unit } => format!("{unit} was killed"),
        Happening::UnitAdopted { unit } => format!("{unit} was found running and taken over"),
        Happening::UnitLost { unit } => {
            format!("the process recorded for {unit} is not ours any more and was left alone")
        }
        Happening::UnitBlocked { unit } => format!("{unit} cannot go on"),
        Happening::ResourcePrepared { resource } => format!("{resource} was prepared"),
        Happening::ResourceFailed { resource } => format!("{resource} could not be prepared"),
        Happening::CertificatesIssued { hosts, until } => {
            format!("certificates for {} were issued, good until {until}", human::count(*hosts, "host"))
        }
        Happening::SecretSet { secret, version } => format!("secret {secret} got version {version}"),
        Happening::SecretRead { secret, version, unit: Some(unit) } => {
            format!("version {version} of secret {secret} was read for {unit}")
        }
        Happening::SecretRead { secret, version, unit: None } => {
            format!("version {version} of secret {secret} was read by a person")
        }
        Happening::SecretRemoved { secret } => format!("secret {secret} was removed"),
        Happening::RestartRequested { service } => format!("a restart of {service} was asked for"),
        Happening::RunRequested { service } => format!("a command in the place of {service} was asked for"),
        Happening::RestartGivenUp { service } => format!("the restart of {service} did not come to every replica"),
        Happening::RunGivenUp { unit } => format!("{unit} was given up before it began"),
        Happening::RunsMissed { service, count: missed } => {
            format!("{service} missed {}", human::count(count(*missed), "scheduled run"))
        }
        Happening::EntriesLost { count: 1 } => "the journal lacks an entry before this one".to_owned(),
        Happening::EntriesLost { count } => format!("the journal lacks {count} entries before this one"),
        Happening::Refused { call } => format!("a call was refused: {call}"),
    }
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Actor, EntryId, Timestamp};

    #[track_caller]
    fn check(what: &str, expected: &str) {
        let entry = Entry {
            id: EntryId(1),
            at: Timestamp::from_millis(0),
            actor: Actor::Node,
            what: serde_json::from_str(what).unwrap(),
            reason: String::new(),
            evidence: Vec::new(),
            cause: None,
        };
        assert_eq!(sentence(&entry), expected);
    }

    #[test]
    fn happenings_read_as_sentences() {
        check(r#"{"kind":"node_started","adopted":0}"#, "the node started");
        check(r#"{"kind":"node_started","adopted":3}"#, "the node started and took over 3 running units");
        check(r#"{"kind":"applied","steps":1}"#, "a file was applied (1 step)");
        check(r#"{"kind":"unit_restarted","unit":"api.3.1","attempt":2}"#, "api.3.1 was started again");
        check(
            r#"{"kind":"certificates_issued","hosts":2,"until":"1970-04-01T00:00:00.000Z"}"#,
            "certificates for 2 hosts were issued, good until 1970-04-01T00:00:00.000Z",
        );
        check(
            r#"{"kind":"secret_read","secret":"KEY","version":2,"unit":null}"#,
            "version 2 of secret KEY was read by a person",
        );
        check(r#"{"kind":"runs_missed","service":"digest","count":1}"#, "digest missed 1 scheduled run");
        check(r#"{"kind":"refused","call":"GET /v1/status"}"#, "a call was refused: GET /v1/status");
    }
}
