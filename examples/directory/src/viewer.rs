//! Who is asking.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::person::{PersonId, Role};
use crate::tenant::TenantId;

/// Somebody who has shown who they are, at one tenant's host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Viewer {
    pub(crate) tenant: TenantId,
    pub(crate) who: Who,
    pub(crate) name: String,
    pub(crate) role: Role,
}

/// One of the tenant's people, or one of those who run the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Who {
    Person(PersonId),
    SuperAdmin(i64),
}

/// Somebody who can log in: a person at their tenant, a super admin at every one. The same one wherever they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Account {
    Person(TenantId, PersonId),
    SuperAdmin(i64),
}

impl Viewer {
    /// Who this is, wherever they ask.
    pub(crate) fn account(&self) -> Account {
        match self.who {
            Who::Person(id) => Account::Person(self.tenant.clone(), id),
            Who::SuperAdmin(id) => Account::SuperAdmin(id),
        }
    }

    /// Whether this person is the one who asks.
    pub(crate) fn is(&self, person: PersonId) -> bool {
        self.who == Who::Person(person)
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(tenant, id) => write!(f, "{tenant}:{}", Who::Person(*id)),
            Self::SuperAdmin(id) => Who::SuperAdmin(*id).fmt(f),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(id) => write!(f, "person-{id}"),
            Self::SuperAdmin(id) => write!(f, "super-admin-{id}"),
        }
    }
}
