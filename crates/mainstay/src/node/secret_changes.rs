//! Secrets read and changed, each journaled exactly if it happened. Start reading at [`Store::change_secrets`].
//!
//! The vault and the journal are two files, and a node can die between them. So what is to be changed is recorded
//! first, then the vault is changed, then the journal tells of it, then the record goes. Whoever finds such a record
//! knows by the vault's generation whether the change was made, and tells what of it the journal does not tell yet.
//! Nothing is ever journaled that was not done.

use std::collections::BTreeSet;

use model::credential::SecretPath;
use model::event::Evidence;
use model::{Actor, EntryId, Happening, SecretName, Timestamp};
use sys::journal::{self, JournalError};
use sys::records::{Change, RecordsError, Stored};
use vault::{AuthorityError, Generation, LocalAuthority, ReadError, SecretValue, SecretVersion, Vault, WriteError};

use super::store::{SeenVault, Store};

/// The only key of kinds that have one record.
const ONLY: &str = "";
/// Entries of the journal that are read at once.
const PAGE_ENTRIES: usize = 256;

/// A secret could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The vault refused.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The vault cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The local authority cannot be opened or made.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// It could not be journaled. A value that was to be read is not given then; a change may be made all the same,
    /// and then no other one is until this one is journaled.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// It could not be recorded.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

/// What is to be done to secrets, and for whom.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Intent {
    at: Timestamp,
    actor: Actor,
    reason: String,
    deed: Deed,
    /// The secrets that the journal is to tell of.
    names: Vec<SecretName>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Set,
    Remove,
}

/// A change that has begun.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Begun {
    intent: Intent,
    /// The vault's generation before it.
    generation: Generation,
    /// The journal's newest entry before it.
    newest: EntryId,
}

impl Stored for Begun {
    const KIND: &'static str = "secret-change";
    const VERSION: u32 = 1;
}

impl Store {
    /// A secret's value for a person; the read is journaled before the value is given.
    pub(crate) fn read_secret(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        name: &SecretName,
        version: Option<u32>,
    ) -> Result<Option<SecretValue>, SecretError> {
        let found = self.vault.get(&SecretPath::Named(name.clone()), version.map(SecretVersion))?;
        let Some((version, value)) = found else { return Ok(None) };
        let what = Happening::SecretRead { secret: name.clone(), version: version.0, unit: None };
        self.tell(at, actor, what, "a person asked for its value", Vec::new())?;
        Ok(Some(value))
    }

    /// Gives several secrets a new version each, all or none.
    pub(crate) fn set_secrets(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        names: &[SecretName],
        values: Vec<SecretValue>,
        reason: &str,
    ) -> Result<Vec<EntryId>, SecretError> {
        let (actor, reason) = (actor.clone(), reason.to_owned());
        let intent = Intent { at, actor, reason, deed: Deed::Set, names: names.to_vec() };
        let paths = names.iter().cloned().map(SecretPath::Named);
        let values: Vec<(SecretPath, SecretValue)> = paths.zip(values).collect();
        let ((), entries) = self.change_secrets(intent, |vault| vault.set_all(&values, at).map(drop))?;
        Ok(entries)
    }

    /// Removes a secret with all its versions; `None` when there is none.
    pub(crate) fn remove_secret(
        &mut self,
        at: Timestamp,
        actor: &Actor,
        name: &SecretName,
    ) -> Result<Option<EntryId>, SecretError> {
        let path = SecretPath::Named(name.clone());
        if self.vault.get(&path, None)?.is_none() {
            return Ok(None);
        }
        let (actor, reason) = (actor.clone(), "a person removed it".to_owned());
        let intent = Intent { at, actor, reason, deed: Deed::Remove, names: vec![name.clone()] };
        let ((), entries) = self.change_secrets(intent, |vault| vault.remove(&path).map(drop))?;
        Ok(entries.first().copied())
    }

    /// Makes a secret or a credential of random bytes unless it is there; tells whether it was made.
    pub(crate) fn ensure_generated(
        &mut self,
        at: Timestamp,
        path: &SecretPath,
        bytes: u32,
    ) -> Result<bool, SecretError> {
        if self.vault.get(path, None)?.is_some() {
            return Ok(false);
        }
        // A resource's password is nobody's to ask for, and not told of.
        let names = match path {
            SecretPath::Named(name) => vec![name.clone()],
            SecretPath::Credential(..) | SecretPath::LocalAuthority => Vec::new(),
        };
        let reason = "the file asks for a generated value".to_owned();
        let intent = Intent { at, actor: Actor::Node, reason, deed: Deed::Set, names };
        self.change_secrets(intent, |vault| vault.generate(path, bytes, at).map(drop))?;
        Ok(true)
    }

    /// The authority that certifies hosts for development, made where there is none that will last. `of` names whose it
    /// is. Its making is nobody's to ask for, and not told of; the certificates are.
    pub(crate) fn local_authority(&mut self, at: Timestamp, of: &str) -> Result<LocalAuthority, SecretError> {
        if let Some(authority) = LocalAuthority::open(&self.vault, at)? {
            return Ok(authority);
        }
        let reason = "the edge serves HTTPS".to_owned();
        let intent = Intent { at, actor: Actor::Node, reason, deed: Deed::Set, names: Vec::new() };
        let (authority, _) = self.change_secrets(intent, |vault| LocalAuthority::create(vault, of, at))?;
        Ok(authority)
    }

    /// Makes a change and journals it. What was made, and the entries.
    fn change_secrets<T, E>(
        &mut self,
        intent: Intent,
        make: impl FnOnce(&Vault) -> Result<T, E>,
    ) -> Result<(T, Vec<EntryId>), SecretError>
    where
        SecretError: From<E>,
    {
        let at = intent.at;
        self.finish_secret_change(at)?;
        self.begin_secret_change(intent)?;
        let made = make(&self.vault);
        let finished = self.finish_secret_change(at);
        // Why it was not made comes first: it may well be why it cannot be finished either, which the next change tries again.
        Ok((made?, finished?))
    }

    fn begin_secret_change(&mut self, intent: Intent) -> Result<(), SecretError> {
        let newest = *self.journal.newest().borrow();
        let begun = Begun { intent, generation: self.vault.generation()?, newest };
        Ok(self.records.put(ONLY, &begun)?)
    }

    /// Journals what is not journaled yet of a change that has begun, if it was made, and is done with it. The entries
    /// that this wrote.
    pub(super) fn finish_secret_change(&mut self, now: Timestamp) -> Result<Vec<EntryId>, SecretError> {
        let Some(begun) = self.records.get::<Begun>(ONLY)? else { return Ok(Vec::new()) };
        let generation = self.vault.generation()?;
        let missing = match generation > begun.generation {
            true => self.unjournaled(&begun)?,
            false => Vec::new(),
        };
        let Intent { at, actor, reason, .. } = begun.intent;
        let late = (at != now).then(|| Evidence { name: "made".to_owned(), seen: at.to_string() });
        let tell = |what| self.tell(now, &actor, what, reason.clone(), late.iter().cloned().collect());
        let entries = missing.into_iter().map(tell).collect::<Result<Vec<EntryId>, JournalError>>()?;
        let mut done = Change::default();
        done.put(ONLY, &SeenVault { generation })?;
        done.remove::<Begun>(ONLY);
        self.records.change(done)?;
        Ok(entries)
    }

    /// What a change that was made comes to and the journal does not tell.
    fn unjournaled(&self, begun: &Begun) -> Result<Vec<Happening>, SecretError> {
        let told = self.told_since(begun.newest)?;
        let mut missing = Vec::new();
        for name in begun.intent.names.iter().filter(|name| !told.contains(&(begun.intent.deed, (*name).clone()))) {
            let secret = name.clone();
            missing.push(match begun.intent.deed {
                Deed::Remove => Happening::SecretRemoved { secret },
                Deed::Set => {
                    let newest = self.vault.get(&SecretPath::Named(secret.clone()), None)?;
                    let (SecretVersion(version), _) = newest.ok_or(ReadError::Damaged { what: "a version is gone" })?;
                    Happening::SecretSet { secret, version }
                }
            });
        }
        Ok(missing)
    }

    /// The changes that the journal tells of after an entry.
    fn told_since(&self, mut after: EntryId) -> Result<BTreeSet<(Deed, SecretName)>, JournalError> {
        let mut told = BTreeSet::new();
        loop {
            let page = journal::page(&self.layout.journal(), after, PAGE_ENTRIES)?;
            let Some(last) = page.last().map(|entry| entry.id) else { return Ok(told) };
            after = last;
            told.extend(page.into_iter().filter_map(|entry| match entry.what {
                Happening::SecretSet { secret, .. } => Some((Deed::Set, secret)),
                Happening::SecretRemoved { secret } => Some((Deed::Remove, secret)),
                _ => None,
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::node::layout::Layout;
    use crate::node::surroundings::Surroundings;

    /// A state directory of one test.
    struct State(PathBuf);

    impl State {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("mainstay-secrets-{name}-{}", std::process::id()));
            sys::files::remove(&folder).unwrap();
            Self(folder)
        }

        fn open(&self) -> Store {
            let around = Surroundings {
                uid: rustix::process::geteuid().as_raw(),
                runtime_dir: Some(self.0.join("run")),
                ..Surroundings::default()
            };
            let layout = Layout::new(&self.0.join("state"), "test", &around, Some(&self.0.join("key")));
            Store::open(layout.unwrap()).unwrap()
        }
    }

    impl Drop for State {
        fn drop(&mut self) {
            sys::files::remove(&self.0).unwrap();
        }
    }

    fn intent(deed: Deed, names: &[&str]) -> Intent {
        let names = names.iter().map(|name| name.parse().unwrap()).collect();
        let actor = Actor::Local { uid: 7 };
        Intent { at: Timestamp::from_millis(1000), actor, reason: "a person set it".to_owned(), deed, names }
    }

    fn value() -> SecretValue {
        SecretValue::new("hunter2".to_owned()).unwrap()
    }

    fn put(store: &Store, names: &[&str]) {
        let path = |name: &&str| (SecretPath::Named(name.parse().unwrap()), value());
        let values: Vec<(SecretPath, SecretValue)> = names.iter().map(path).collect();
        store.vault.set_all(&values, Timestamp::from_millis(1000)).unwrap();
    }

    /// Who did what to which secret, as the journal has it.
    fn told(store: &Store) -> Vec<String> {
        let entries = journal::page(&store.layout.journal(), EntryId(0), 100).unwrap();
        let line = |entry: model::Entry| {
            let what = match entry.what {
                Happening::SecretSet { secret, version } => format!("set {secret} v{version}"),
                Happening::SecretRemoved { secret } => format!("removed {secret}"),
                other => format!("{other:?}"),
            };
            let seen: Vec<String> =
                entry.evidence.into_iter().map(|it| format!(" ({} {})", it.name, it.seen)).collect();
            format!("{}: {what}{}", entry.actor, seen.concat())
        };
        entries.into_iter().map(line).collect()
    }

    const LATE: &str = " (made 1970-01-01T00:00:01.000Z)";

    #[test]
    fn a_change_is_journaled_when_it_is_made() {
        let state = State::new("whole");
        let mut store = state.open();
        let (at, actor) = (Timestamp::from_millis(5), Actor::Local { uid: 7 });
        let names: Vec<SecretName> = ["A", "B"].map(|name| name.parse().unwrap()).into();
        assert_eq!(store.set_secrets(at, &actor, &names, vec![value(), value()], "why").unwrap().len(), 2);
        assert!(store.remove_secret(at, &actor, &names[0]).unwrap().is_some());
        assert_eq!(store.remove_secret(at, &actor, &names[0]).unwrap(), None);
        assert!(store.ensure_generated(at, &"C".parse().unwrap(), 16).unwrap());
        assert!(!store.ensure_generated(at, &"C".parse().unwrap(), 16).unwrap());
        assert!(store.ensure_generated(at, &"db/owner".parse().unwrap(), 16).unwrap());
        let all = ["uid 7: set A v1", "uid 7: set B v1", "uid 7: removed A", "node: set C v1"];
        assert_eq!(told(&store), all);
        drop(store);
        assert_eq!(told(&state.open()), all);
    }

    #[test]
    fn the_local_authority_is_made_once_and_leaves_no_change_to_finish() {
        let state = State::new("authority");
        let mut store = state.open();
        let at = Timestamp::from_millis(5);
        let made = store.local_authority(at, "shop").unwrap().certificate_pem().to_owned();
        assert_eq!(store.local_authority(at, "shop").unwrap().certificate_pem(), made);
        drop(store);
        // A vault of another generation than the one that was noted would be refused.
        let mut store = state.open();
        assert_eq!(store.local_authority(at, "shop").unwrap().certificate_pem(), made);
        assert_eq!(told(&store), Vec::<String>::new());
    }

    #[test]
    fn what_was_made_and_not_journaled_is_journaled_by_the_next_node() {
        let state = State::new("unjournaled");
        let mut store = state.open();
        store.begin_secret_change(intent(Deed::Set, &["A", "B", "C"])).unwrap();
        put(&store, &["A", "B", "C"]);
        let what = Happening::SecretSet { secret: "A".parse().unwrap(), version: 1 };
        store.tell(Timestamp::from_millis(1000), &Actor::Local { uid: 7 }, what, "", Vec::new()).unwrap();
        drop(store);
        let late = ["B", "C"].map(|name| format!("uid 7: set {name} v1{LATE}"));
        for _ in 0..2 {
            assert_eq!(told(&state.open()), ["uid 7: set A v1", &late[0], &late[1]]);
        }
    }

    #[test]
    fn a_removal_that_was_made_is_journaled_by_the_next_node() {
        let state = State::new("removal");
        let mut store = state.open();
        put(&store, &["A"]);
        store.begin_secret_change(intent(Deed::Remove, &["A"])).unwrap();
        store.vault.remove(&"A".parse().unwrap()).unwrap();
        drop(store);
        assert_eq!(told(&state.open()), [format!("uid 7: removed A{LATE}")]);
    }

    #[test]
    fn what_was_not_made_is_never_journaled() {
        let state = State::new("unmade");
        let mut store = state.open();
        put(&store, &["A"]);
        store.begin_secret_change(intent(Deed::Set, &["A"])).unwrap();
        drop(store);
        store = state.open();
        assert_eq!(told(&store), Vec::<String>::new());
        let refused = store.change_secrets(intent(Deed::Set, &["A"]), |_| Err::<(), _>(WriteError::NoNumber));
        assert!(matches!(refused, Err(SecretError::Write(WriteError::NoNumber))), "{refused:?}");
        assert!(store.ensure_generated(Timestamp::from_millis(9), &"db/owner".parse().unwrap(), 16).unwrap());
        assert_eq!(told(&store), Vec::<String>::new(), "another change does not make it look made");
    }
}
