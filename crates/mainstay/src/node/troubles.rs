//! What needs attention beside the units: one text for each thing that goes wrong, kept until it goes well.
//!
//! Start reading at [`Troubles`]. Nothing is logged and forgotten here: `status` shows all of it.

use std::collections::BTreeMap;

use model::ServiceName;
use plan::change::Subject;

/// What a trouble is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum About {
    /// What is to run now cannot be written down.
    Look,
    /// That everything is to stop cannot be written down.
    Down,
    /// It cannot be told how a part of the stack is to run.
    Hold(Subject),
    /// The schedule of a service, or a run of it.
    Runs(ServiceName),
    /// A new version of a secret has not reached the services that receive it.
    NewSecret,
    /// The edge has no certificates, or not those that it is to have.
    Certificates,
    /// What old releases and runs left cannot be removed.
    Remains,
}

/// What goes wrong now.
#[derive(Debug, Default)]
pub(crate) struct Troubles(BTreeMap<About, String>);

impl Troubles {
    /// Notes what goes wrong; of one thing the last that was said.
    pub(crate) fn note(&mut self, about: About, what: String) {
        self.0.insert(about, what);
    }

    /// Notes that it goes well.
    pub(crate) fn clear(&mut self, about: &About) {
        self.0.remove(about);
    }

    /// Notes all that is held, and that nothing else is any more.
    pub(crate) fn note_holds(&mut self, holds: impl IntoIterator<Item = (Subject, String)>) {
        self.0.retain(|about, _| !matches!(about, About::Hold(_)));
        let held = |(subject, why)| {
            let what = format!(
                "{subject} is held, so what runs of it goes on as it was last told, and nothing new of it is started: \
                 {why}"
            );
            (About::Hold(subject), what)
        };
        self.0.extend(holds.into_iter().map(held));
    }

    /// All that is held.
    pub(crate) fn held(&self) -> impl Iterator<Item = &Subject> {
        self.0.keys().filter_map(|about| match about {
            About::Hold(subject) => Some(subject),
            About::Look | About::Down | About::Runs(_) | About::NewSecret | About::Certificates | About::Remains => {
                None
            }
        })
    }

    /// What is said about one thing.
    pub(crate) fn of(&self, about: &About) -> Option<&str> {
        self.0.get(about).map(String::as_str)
    }

    /// Forgets the services that are not among these, so that this does not grow with time.
    pub(crate) fn keep(&mut self, is_known: impl Fn(&ServiceName) -> bool) {
        self.0.retain(|about, _| match about {
            About::Runs(service) => is_known(service),
            About::Look | About::Down | About::Hold(_) | About::NewSecret | About::Certificates | About::Remains => {
                true
            }
        });
    }

    /// All of it, for people.
    pub(crate) fn texts(&self) -> impl Iterator<Item = String> {
        self.0.values().cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_well_takes_back_only_its_own_trouble() {
        let mut troubles = Troubles::default();
        troubles.note(About::NewSecret, "refused".to_owned());
        troubles.note(About::Look, "blind".to_owned());
        troubles.note(About::Look, "still blind".to_owned());
        assert_eq!(troubles.texts().collect::<Vec<_>>(), ["still blind", "refused"]);
        troubles.clear(&About::Look);
        assert_eq!((troubles.of(&About::Look), troubles.of(&About::NewSecret)), (None, Some("refused")));
    }

    #[test]
    fn what_is_held_no_more_is_not_told_any_more() {
        let mut troubles = Troubles::default();
        let web = Subject::Service("web".parse().unwrap());
        troubles.note(About::Look, "blind".to_owned());
        troubles.note_holds([(web.clone(), "KEY is gone".to_owned())]);
        let told = "service web is held, so what runs of it goes on as it was last told, and nothing new of it is \
                    started: KEY is gone";
        assert_eq!(troubles.of(&About::Hold(web.clone())), Some(told));
        assert_eq!(troubles.held().collect::<Vec<_>>(), [&web]);
        troubles.note_holds([]);
        assert_eq!(troubles.texts().collect::<Vec<_>>(), ["blind"]);
    }

    #[test]
    fn services_that_are_gone_are_forgotten() {
        let mut troubles = Troubles::default();
        troubles.note(About::Runs("digest".parse().unwrap()), "unreadable".to_owned());
        troubles.note(About::Remains, "denied".to_owned());
        troubles.keep(|_| false);
        assert_eq!(troubles.texts().collect::<Vec<_>>(), ["denied"]);
    }
}
