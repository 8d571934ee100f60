//! Which user ids the state directories of this machine have given out, so that no two stacks share one.
//!
//! Start reading at [`reserve`]. The registry is one file beside root's vault keys, `users.json`, changed
//! under a lock: `{"format":1,"states":{"/srv/shop/.mainstay":[60706,60707]}}`. A state directory that no
//! longer exists gives its ids back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sys::lock::{Lock, LockError};

/// The folder of the registry; only root's nodes have users of their own to give.
pub(crate) const FOLDER: &str = "/etc/mainstay";
const FILE: &str = "users.json";
const LOCK: &str = "users.lock";
const FORMAT: u32 = 1;
/// How often another node's change is waited for, and how long each time: a change takes milliseconds.
const TRIES_MAX: u32 = 100;
const TRY_EVERY: Duration = Duration::from_millis(20);

/// The registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// It cannot be read or written.
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

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Registry {
    format: u32,
    states: BTreeMap<PathBuf, BTreeSet<u32>>,
}

/// Lets `choose` give out ids, told which ones others have, and notes those it answers with for `state`.
/// `folder` is [`FOLDER`] but in tests.
pub(crate) fn reserve<E: From<RegistryError>>(
    folder: &Path,
    state: &Path,
    choose: impl FnOnce(&BTreeSet<u32>) -> Result<BTreeSet<u32>, E>,
) -> Result<(), E> {
    std::fs::create_dir_all(folder).map_err(|source| RegistryError::Folder { path: folder.to_owned(), source })?;
    let held = take_lock(folder).map_err(RegistryError::Lock)?;
    let path = folder.join(FILE);
    let mut registry = read(&path)?;
    registry.states.retain(|other, _| other == state || other.exists());
    let others = registry.states.iter().filter(|(other, _)| *other != state).flat_map(|(_, ids)| ids).copied();
    let chosen = choose(&others.collect())?;
    if registry.states.insert(state.to_owned(), chosen.clone()) != Some(chosen) {
        let bytes = serde_json::to_vec(&registry).map_err(|_| RegistryError::Damaged { path: path.clone() })?;
        sys::files::replace(&path, &bytes).map_err(RegistryError::File)?;
    }
    drop(held);
    Ok(())
}

fn read(path: &Path) -> Result<Registry, RegistryError> {
    let Some(bytes) = sys::files::read(path)? else {
        return Ok(Registry { format: FORMAT, states: BTreeMap::new() });
    };
    match serde_json::from_slice::<Registry>(&bytes) {
        Ok(registry) if registry.format == FORMAT => Ok(registry),
        _ => Err(RegistryError::Damaged { path: path.to_owned() }),
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
    use super::*;

    fn ids(numbers: &[u32]) -> BTreeSet<u32> {
        numbers.iter().copied().collect()
    }

    fn check(folder: &Path, state: &Path, others: &[u32], chosen: &[u32]) {
        let result = reserve::<RegistryError>(folder, state, |found| {
            assert_eq!(*found, ids(others));
            Ok(ids(chosen))
        });
        assert!(result.is_ok(), "{result:?}");
    }

    #[test]
    fn stacks_see_what_others_have_and_gone_ones_give_back() {
        let root = std::env::temp_dir().join(format!("mainstay-uids-{}", std::process::id()));
        let (first, second) = (root.join("a/.mainstay"), root.join("b/.mainstay"));
        std::fs::create_dir_all(&first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        check(&root, &first, &[], &[1, 2]);
        check(&root, &second, &[1, 2], &[3]);
        check(&root, &first, &[3], &[1, 2, 4]);
        std::fs::remove_dir_all(&second).unwrap();
        check(&root, &first, &[], &[1, 2, 4]);
        std::fs::write(root.join(FILE), "{}").unwrap();
        let refused = reserve::<RegistryError>(&root, &first, |_| Ok(ids(&[])));
        assert!(matches!(refused, Err(RegistryError::Damaged { .. })), "{refused:?}");
        std::fs::remove_dir_all(&root).unwrap();
    }
}
