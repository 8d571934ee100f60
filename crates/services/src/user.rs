//! As whom services and resources run when the node is root.
//!
//! Start reading at [`allocate`] and [`resolve`]. Each service and each resource has a user id of its
//! own, which stays its own for as long as the state directory lives: folders belong to it. The hook of a service has
//! a group of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use model::{ResourceName, ServiceName};
use supervise::launch::UserIds;

/// The first user id that is given out. The range is one that distributions and systemd leave unused
/// (systemd's dynamic users begin at 61184), and it fits into containers, which often have 65536 ids.
pub const UID_FIRST: u32 = 60_706;

/// The last user id that is given out.
pub const UID_LAST: u32 = 61_183;

/// How the edge is stored as an owner.
const EDGE: &str = "edge";

/// Who owns a user id. Stored as `service/api`, `resource/db`, `hook/api` or `edge`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Owner {
    /// A service.
    Service(ServiceName),
    /// A resource.
    Resource(ResourceName),
    /// The release hook of a service: a group only, see [`of_hook`].
    Hook(ServiceName),
    /// The edge.
    Edge,
}

/// Every user id of the range is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no user id between {UID_FIRST} and {UID_LAST} is free for {0}")]
pub struct Exhausted(Owner);

/// The user accounts of the machine, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accounts(BTreeMap<String, UserIds>);

/// A service cannot run as the user that the file states.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// There is no such account.
    #[error("this machine has no user {0:?}: make the account, or leave `user` out")]
    Unknown(String),
    /// It has no user id of its own yet.
    #[error("it has no user id of its own yet")]
    Unallocated,
    /// Only root can become somebody else.
    #[error("running as {0} takes a node that runs as root: start it as root, or leave `user` out")]
    NotRoot(String),
}

/// Gives every one of `wanted` a user id. Those that are `known` keep theirs, also when they are not
/// wanted now; an id in `avoid` (accounts, other environments of this machine) is not given out.
pub fn allocate(
    known: &BTreeMap<Owner, u32>,
    wanted: impl IntoIterator<Item = Owner>,
    avoid: &BTreeSet<u32>,
) -> Result<BTreeMap<Owner, u32>, Exhausted> {
    let mut allocated = known.clone();
    for owner in wanted {
        if allocated.contains_key(&owner) {
            continue;
        }
        let taken: BTreeSet<u32> = allocated.values().chain(avoid).copied().collect();
        match (UID_FIRST..=UID_LAST).find(|uid| !taken.contains(uid)) {
            Some(uid) => allocated.insert(owner, uid),
            None => return Err(Exhausted(owner)),
        };
    }
    Ok(allocated)
}

/// As whom a service runs whose file states `stated`: the node's own user when it is not root (`None`),
/// else the stated account or the service's `own` id, which [`allocate`] gave it.
pub fn resolve(
    stated: Option<&str>,
    own: Option<u32>,
    accounts: &Accounts,
    node_is_root: bool,
) -> Result<Option<UserIds>, UserError> {
    match (stated, node_is_root) {
        (None, false) => Ok(None),
        (Some(name), false) => Err(UserError::NotRoot(name.to_owned())),
        (None, true) => match own {
            Some(own) => Ok(Some(UserIds { uid: own, gid: own })),
            None => Err(UserError::Unallocated),
        },
        (Some("root"), true) => Ok(Some(UserIds { uid: 0, gid: 0 })),
        (Some(name), true) => match accounts.0.get(name) {
            Some(ids) => Ok(Some(*ids)),
            None => Err(UserError::Unknown(name.to_owned())),
        },
    }
}

/// As whom the hook of a service runs that has a user of its own: as that user, so that volumes are the same to both,
/// and with another group. The kernel lets nobody look into a process of another group, whoever its user is
/// (ptrace(2)): a replica cannot read the owner's password from the hook's environment or memory.
pub fn of_hook(service: UserIds, own_group: u32) -> UserIds {
    UserIds { gid: own_group, ..service }
}

impl Accounts {
    /// Reads the text of `/etc/passwd` (passwd(5)). A line that is not an account is passed over.
    pub fn read(text: &str) -> Self {
        Self(text.lines().filter_map(account).collect())
    }

    /// The user ids of all accounts.
    pub fn uids(&self) -> BTreeSet<u32> {
        self.0.values().map(|ids| ids.uid).collect()
    }
}

fn account(line: &str) -> Option<(String, UserIds)> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let mut numbers = fields.skip(1).map(str::parse::<u32>);
    Some((name.to_owned(), UserIds { uid: numbers.next()?.ok()?, gid: numbers.next()?.ok()? }))
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Owner::Service(name) => write!(f, "service/{name}"),
            Owner::Resource(name) => write!(f, "resource/{name}"),
            Owner::Hook(name) => write!(f, "hook/{name}"),
            Owner::Edge => f.write_str(EDGE),
        }
    }
}

/// A text does not name an owner.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not name an owner: expected a form such as service/api or resource/db")]
pub struct OwnerError(String);

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let owner = match text.split_once('/') {
            Some(("service", name)) => name.parse().ok().map(Owner::Service),
            Some(("resource", name)) => name.parse().ok().map(Owner::Resource),
            Some(("hook", name)) => name.parse().ok().map(Owner::Hook),
            None if text == EDGE => Some(Owner::Edge),
            _ => None,
        };
        owner.ok_or_else(|| OwnerError(text.to_owned()))
    }
}

impl TryFrom<String> for Owner {
    type Error = OwnerError;

    fn try_from(text: String) -> Result<Self, OwnerError> {
        text.parse()
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> String {
        owner.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(text: &str) -> Owner {
        text.parse().unwrap()
    }

    #[test]
    fn everyone_gets_an_id_of_their_own_and_keeps_it() {
        let avoid = [UID_FIRST].into();
        let first = allocate(&BTreeMap::new(), [owner("service/api"), owner("resource/api")], &avoid).unwrap();
        assert_eq!(first[&owner("service/api")], UID_FIRST + 1);
        assert_eq!(first[&owner("resource/api")], UID_FIRST + 2);
        let second = allocate(&first, [owner("service/web"), owner("resource/api")], &BTreeSet::new()).unwrap();
        assert_eq!(second[&owner("service/web")], UID_FIRST);
        assert_eq!(second[&owner("resource/api")], UID_FIRST + 2);
        assert_eq!(second[&owner("service/api")], UID_FIRST + 1);
    }

    #[test]
    fn a_full_range_is_an_error() {
        let avoid = (UID_FIRST..=UID_LAST).collect();
        let error = allocate(&BTreeMap::new(), [owner("service/api")], &avoid).unwrap_err();
        assert_eq!(error.to_string(), "no user id between 60706 and 61183 is free for service/api");
    }

    #[test]
    fn owners_read_back() {
        for text in ["service/api", "resource/order-db", "hook/api", "edge"] {
            assert_eq!(owner(text).to_string(), text);
        }
        for bad in ["api", "service/", "volume/x", "service/a/b", ""] {
            assert_eq!(bad.parse::<Owner>(), Err(OwnerError(bad.to_owned())));
        }
    }

    #[test]
    fn a_stated_user_is_looked_up() {
        let accounts = Accounts::read("root:x:0:0:root:/root:/bin/sh\nwww:x:33:34::/var/www:\n\nbroken:x:a:b\n#no:x\n");
        assert_eq!(accounts.uids(), [0, 33].into());
        let ids = |uid, gid| Ok(Some(UserIds { uid, gid }));
        assert_eq!(resolve(Some("www"), Some(5), &accounts, true), ids(33, 34));
        assert_eq!(resolve(Some("root"), Some(5), &accounts, true), ids(0, 0));
        assert_eq!(resolve(None, Some(5), &accounts, true), ids(5, 5));
        assert_eq!(resolve(None, Some(5), &accounts, false), Ok(None));
        assert_eq!(resolve(Some("nobody"), Some(5), &accounts, true), Err(UserError::Unknown("nobody".to_owned())));
        assert_eq!(resolve(Some("root"), Some(5), &accounts, false), Err(UserError::NotRoot("root".to_owned())));
    }
}
