//! Places of which there are so many in this process, and so many for one account: start reading at [`Places::take`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::viewer::Account;

/// How many places may be taken at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) in_all: usize,
    pub(super) of_one: usize,
}

/// Who has taken how many.
#[derive(Clone)]
pub(super) struct Places {
    most: Most,
    taken: Arc<Mutex<HashMap<Account, usize>>>,
}

/// A place, for as long as it is held.
pub(super) struct Place {
    places: Places,
    account: Account,
}

impl Places {
    pub(super) fn new(most: Most) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place, if there is one and the account has not taken all of theirs.
    pub(super) fn take(&self, account: Account) -> Option<Place> {
        let mut taken = self.taken();
        let count = taken.get(&account).copied().unwrap_or_default();
        if count >= self.most.of_one || taken.values().sum::<usize>() >= self.most.in_all {
            return None;
        }
        taken.insert(account.clone(), count + 1);
        Some(Place { places: self.clone(), account })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<Account, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        if let Some(count) = taken.get_mut(&self.account) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Most, Places};
    use crate::viewer::Account;

    #[test]
    fn places_are_counted_and_given_back() {
        let places = Places::new(Most { in_all: 5, of_one: 2 });
        let take = |who| places.take(Account::SuperAdmin(who));
        let mut taken: Vec<_> = [1, 1, 2, 2, 3].map(|who| take(who).unwrap()).into();
        assert!(take(3).is_none(), "there is none left");
        taken.pop();
        assert!(take(1).is_none(), "the first has taken both of theirs");
        assert!(take(3).is_some());
        drop(taken);
        assert!(places.taken().is_empty(), "whoever has none is forgotten");
    }
}
