//! Which user ids the state directories of this machine have given out, so that no two stacks share one.
//!
//! Start reading at [`give_out`]. The registry is one file beside root's vault keys, `users.json`, changed
//! under a lock: `{"format":1,"states":{"/srv/shop/.mainstay":[60706,60707]}}`. A state directory that no
//! longer exists gives its ids back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Stack;
use services::user::{Exhausted, Owner, allocate};
use sys::lock::{Lock, LockError};

/// The folder of the registry; only root's nodes have users of their own to give.
pub(crate) const FOLDER: &str = "/etc/mainstay";
const FILE: &str = "users.json";
const LOCK: &str = "users.lock";
const FORMAT: u32 = 1;
/// How often another node's change is waited for, and how long each time: a change takes milliseconds.
const TRIES_MAX: u32 = 100;
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The services and resources of a stack cannot be given user ids.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserIdError {
    /// None is left.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Another state directory has it. What runs as it could look into the services of both.
    #[error(
        "{owner} has user id {uid}, which the stack in {} was given while this state directory was not here: nothing is \
         changed. Where that stack is not needed any more, run `mainstay down --state {}`, remove {} and try again; \
         where it is, bring this one up on another machine",
        other.display(), other.display(), other.display()
    )]
    Shared {
        /// Who has it here.
        owner: Owner,
        /// The user id.
        uid: u32,
        /// The other state directory.
        other: PathBuf,
    },
    /// The registry cannot be read or written.
    #[error(transparent)]
    File(#[from] sys::FileError),
    /// Its folder cannot be made.
    #[error("cannot make {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Somebody holds it for too long.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It is not what is written.
    #[error("{} is damaged or of a newer program: compare it with the state directories it names", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Registry {
    format: u32,
    states: BTreeMap<PathBuf, BTreeSet<u32>>,
}

/// Gives each of `wanted` a user id that no account and no other state directory has, and notes those of `state`. Whoever
/// is `known` there keeps its own. A directory that is gone may have been moved, or come back: its ids are given to others
/// only once no more are left. `folder` is [`FOLDER`] but in tests.
pub(crate) fn give_out(
    folder: &Path,
    state: &Path,
    known: &BTreeMap<Owner, u32>,
    wanted: impl IntoIterator<Item = Owner>,
    accounts: &BTreeSet<u32>,
) -> Result<BTreeMap<Owner, u32>, UserIdError> {
    std::fs::create_dir_all(folder).map_err(|source| UserIdError::Folder { path: folder.to_owned(), source })?;
    let held = take_lock(folder)?;
    let path = folder.join(FILE);
    let mut registry = read(&path)?;
    let before = registry.clone();
    let given = registry.give(state, known, wanted, accounts)?;
    if registry != before {
        let bytes = serde_json::to_vec(&registry).map_err(|_| UserIdError::Damaged { path: path.clone() })?;
        sys::files::replace(&path, &bytes)?;
    }
    drop(held);
    Ok(given)
}

/// Whether [`give_out`] would give what it is asked for, as far as can be told now. Changes nothing.
pub(crate) fn foresee(
    folder: &Path,
    state: &Path,
    known: &BTreeMap<Owner, u32>,
    wanted: impl IntoIterator<Item = Owner>,
    accounts: &BTreeSet<u32>,
) -> Result<(), UserIdError> {
    read(&folder.join(FILE))?.give(state, known, wanted, accounts).map(drop)
}

/// Who has a user id in a stack: each service, each hook and each resource.
pub(crate) fn owners(stack: &Stack) -> impl Iterator<Item = Owner> {
    let services = stack.services.keys().cloned().map(Owner::Service);
    let hooks = stack.services.iter().filter(|(_, service)| service.release_run.is_some());
    let hooks = hooks.map(|(name, _)| Owner::Hook(name.clone()));
    let resources = stack.resources.keys().cloned().map(Owner::Resource);
    services.chain(hooks).chain(resources).chain(stack.edge.is_some().then_some(Owner::Edge))
}

impl Registry {
    /// Gives the owners of a state directory their ids.
    fn give(
        &mut self,
        state: &Path,
        known: &BTreeMap<Owner, u32>,
        wanted: impl IntoIterator<Item = Owner>,
        accounts: &BTreeSet<u32>,
    ) -> Result<BTreeMap<Owner, u32>, UserIdError> {
        self.states.remove(state);
        self.give_up(known.values());
        let others = self.owners();
        if let Some((owner, uid, other)) = known.iter().find_map(|(owner, uid)| Some((owner, uid, others.get(uid)?))) {
            return Err(UserIdError::Shared { owner: owner.clone(), uid: *uid, other: other.clone() });
        }
        let wanted: Vec<Owner> = wanted.into_iter().collect();
        let avoiding = |registry: &Self| registry.owners().into_keys().chain(accounts.iter().copied()).collect();
        let given = allocate(known, wanted.clone(), &avoiding(self)).or_else(|_| {
            self.states.retain(|other, _| other.exists());
            allocate(known, wanted, &avoiding(self))
        })?;
        self.states.insert(state.to_owned(), given.values().copied().collect());
        Ok(given)
    }

    /// The ids with the state directory that has each.
    fn owners(&self) -> BTreeMap<u32, PathBuf> {
        self.states.iter().flat_map(|(state, ids)| ids.iter().map(|id| (*id, state.clone()))).collect()
    }

    /// Takes these ids from the directories that are gone.
    fn give_up<'i>(&mut self, ids: impl IntoIterator<Item = &'i u32>) {
        let ids: BTreeSet<u32> = ids.into_iter().copied().collect();
        for (_, of_gone) in self.states.iter_mut().filter(|(state, _)| !state.exists()) {
            of_gone.retain(|id| !ids.contains(id));
        }
        self.states.retain(|_, of| !of.is_empty());
    }
}

fn read(path: &Path) -> Result<Registry, UserIdError> {
    let Some(bytes) = sys::files::read(path)? else {
        return Ok(Registry { format: FORMAT, states: BTreeMap::new() });
    };
    match serde_json::from_slice::<Registry>(&bytes) {
        Ok(registry) if registry.format == FORMAT => Ok(registry),
        _ => Err(UserIdError::Damaged { path: path.to_owned() }),
    }
}

fn take_lock(folder: &Path) -> Result<Lock, LockError> {
    for _ in 1..TRIES_MAX {
        match Lock::take(folder, LOCK) {
            Err(LockError::Held { .. }) => std::thread::sleep(TRY_EVERY),
            other => return other,
        }
    }
    Lock::take(folder, LOCK)
}

#[cfg(test)]
mod tests {
    use services::user::{UID_FIRST, UID_LAST};

    use super::*;

    /// The ids that are to be had, from the first one.
    const FREE: std::ops::RangeInclusive<u32> = 1..=4;

    /// Two state directories and a registry.
    struct Ground(PathBuf);

    impl Ground {
        fn new(name: &str) -> Self {
            let ground = Self(std::env::temp_dir().join(format!("mainstay-uids-{name}-{}", std::process::id())));
            ["a", "b"].into_iter().for_each(|state| ground.make(state));
            ground
        }

        fn make(&self, state: &str) {
            std::fs::create_dir_all(self.0.join(state)).unwrap();
        }

        fn remove(&self, state: &str) {
            std::fs::remove_dir(self.0.join(state)).unwrap();
        }

        /// Gives ids to these owners of a state directory that knows some already. Accounts have all but [`FREE`].
        fn give(
            &self,
            state: &str,
            known: &BTreeMap<Owner, u32>,
            wanted: &[&str],
        ) -> Result<BTreeMap<Owner, u32>, UserIdError> {
            give_out(&self.0, &self.0.join(state), known, owners_of(wanted), &accounts())
        }

        fn foresee(&self, state: &str, known: &BTreeMap<Owner, u32>, wanted: &[&str]) -> Result<(), UserIdError> {
            foresee(&self.0, &self.0.join(state), known, owners_of(wanted), &accounts())
        }
    }

    fn owners_of(names: &[&str]) -> impl Iterator<Item = Owner> {
        names.iter().map(|owner| owner.parse().unwrap())
    }

    fn accounts() -> BTreeSet<u32> {
        (UID_FIRST..=UID_LAST).filter(|uid| !FREE.contains(&(uid - UID_FIRST))).collect()
    }

    impl Drop for Ground {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn ids(given: &BTreeMap<Owner, u32>) -> Vec<u32> {
        given.values().map(|uid| uid - UID_FIRST).collect()
    }

    #[test]
    fn stacks_share_no_id_and_gone_ones_give_theirs_back() {
        let ground = Ground::new("stacks");
        let first = ground.give("a", &BTreeMap::new(), &["service/api", "resource/db"]).unwrap();
        assert_eq!(ids(&first), [1, 2]);
        assert_eq!(ids(&ground.give("b", &BTreeMap::new(), &["service/api"]).unwrap()), [3]);
        let first = ground.give("a", &first, &["service/api", "service/web", "resource/db"]).unwrap();
        assert_eq!(ids(&first), [1, 4, 2]);
        ground.remove("b");
        assert_eq!(ids(&ground.give("a", &first, &["service/zip"]).unwrap()), [1, 4, 3, 2]);
    }

    #[test]
    fn a_restored_directory_whose_ids_another_stack_has_is_refused_until_that_is_gone() {
        let ground = Ground::new("restored");
        let first = ground.give("a", &BTreeMap::new(), &["resource/db", "service/api"]).unwrap();
        ground.remove("a");
        let second = ground.give("b", &BTreeMap::new(), &["service/web", "service/x", "service/y"]).unwrap();
        assert_eq!(ids(&second), [1, 2, 3]);
        ground.make("a");
        let refused = ground.give("a", &first, &["resource/db", "service/api"]).unwrap_err().to_string();
        let other = ground.0.join("b").display().to_string();
        assert_eq!(
            refused,
            format!(
                "service/api has user id 60708, which the stack in {other} was given while this state directory was not \
                 here: nothing is changed. Where that stack is not needed any more, run `mainstay down --state {other}`, \
                 remove {other} and try again; where it is, bring this one up on another machine"
            )
        );
        let foreseen = ground.foresee("a", &first, &["resource/db", "service/api"]).unwrap_err().to_string();
        assert_eq!(foreseen, refused);
        // Refused, it holds no id that the other could be given.
        assert_eq!(ids(&ground.give("b", &second, &["service/zip"]).unwrap()), [1, 2, 3, 4]);
        ground.remove("b");
        assert_eq!(ground.give("a", &first, &["resource/db", "service/api"]).unwrap(), first);
    }

    #[test]
    fn a_directory_that_was_moved_finds_its_ids_though_another_stack_came_meanwhile() {
        let ground = Ground::new("moved");
        let first = ground.give("a", &BTreeMap::new(), &["resource/db", "service/api"]).unwrap();
        std::fs::rename(ground.0.join("a"), ground.0.join("c")).unwrap();
        assert_eq!(ids(&ground.give("b", &BTreeMap::new(), &["service/web"]).unwrap()), [3]);
        assert_eq!(ground.give("c", &first, &["resource/db", "service/api"]).unwrap(), first);
    }

    #[test]
    fn to_foresee_gives_nothing_out() {
        let ground = Ground::new("foreseen");
        ground.foresee("a", &BTreeMap::new(), &["service/api"]).unwrap();
        assert!(!ground.0.join(FILE).exists() && !ground.0.join(LOCK).exists());
        ground.give("b", &BTreeMap::new(), &["service/w", "service/x", "service/y", "service/z"]).unwrap();
        let none_left = ground.foresee("a", &BTreeMap::new(), &["service/api"]);
        assert!(matches!(none_left, Err(UserIdError::Exhausted(_))), "{none_left:?}");
    }

    #[test]
    fn a_damaged_registry_is_not_written_over() {
        let ground = Ground::new("damaged");
        std::fs::write(ground.0.join(FILE), "{}").unwrap();
        let refused = ground.give("a", &BTreeMap::new(), &["service/api"]);
        assert!(matches!(refused, Err(UserIdError::Damaged { .. })), "{refused:?}");
        assert_eq!(std::fs::read_to_string(ground.0.join(FILE)).unwrap(), "{}");
    }
}
