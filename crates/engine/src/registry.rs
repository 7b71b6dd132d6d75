//! The objects of a driver.
//!
//! Each object is an [`Entry`] with a lock that an operation holds from its first to its last step, and
//! a view that readers copy without waiting for any operation.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use crate::lock::{Guard, OrderedMutex, Rank};

/// An object as it is at one moment.
pub trait View: Send + Sync + 'static {
    /// The object's UUID; the same in all its views.
    fn uuid(&self) -> Uuid;

    /// The object's name; unique in the registry.
    fn name(&self) -> &str;
}

/// An object and the lock of its operations.
#[derive(Debug)]
pub struct Entry<V> {
    operation: OrderedMutex,
    view: RwLock<Arc<V>>,
}

impl<V: View> Entry<V> {
    /// An object that no operation works on.
    #[must_use]
    pub fn new(view: V) -> Self {
        Self { operation: OrderedMutex::new(Rank::Operation), view: RwLock::new(Arc::new(view)) }
    }

    /// Waits for the lock that an operation which changes the object holds.
    ///
    /// An operation that waited may find the object gone: [`Registry::contains`].
    pub async fn lock(&self) -> Guard<'_> {
        self.operation.lock().await
    }

    /// The lock of operations, `None` if another operation holds it.
    #[must_use]
    pub fn try_lock(&self) -> Option<Guard<'_>> {
        self.operation.try_lock()
    }

    /// The object now.
    #[must_use]
    pub fn view(&self) -> Arc<V> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what readers see.
    pub fn set(&self, view: V) {
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }

    /// Changes what readers see, in one step: for changes that do not wait for an operation, as those that
    /// the object reports itself. Nothing is changed if `change` returns `None`.
    pub fn update(&self, change: impl FnOnce(&V) -> Option<V>) {
        let mut view = self.view.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(changed) = change(&view) {
            *view = Arc::new(changed);
        }
    }
}

/// All objects by UUID.
#[derive(Debug)]
pub struct Registry<V> {
    entries: RwLock<BTreeMap<Uuid, Arc<Entry<V>>>>,
    identities: OrderedMutex,
}

impl<V> Default for Registry<V> {
    fn default() -> Self {
        Self { entries: RwLock::default(), identities: OrderedMutex::new(Rank::Identities) }
    }
}

impl<V: View> Registry<V> {
    /// Waits for the lock that is held while names, UUIDs and other identities are assigned.
    ///
    /// It comes before any operation lock ([`crate::lock`]).
    pub async fn lock_identities(&self) -> Guard<'_> {
        self.identities.lock().await
    }

    /// The object with this UUID.
    #[must_use]
    pub fn get(&self, uuid: Uuid) -> Option<Arc<Entry<V>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).get(&uuid).cloned()
    }

    /// The object with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<Arc<Entry<V>>> {
        self.all().into_iter().find(|entry| entry.view().name() == name)
    }

    /// Whether there is an object with this UUID.
    #[must_use]
    pub fn contains(&self, uuid: Uuid) -> bool {
        self.get(uuid).is_some()
    }

    /// All objects, by UUID.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Entry<V>>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Adds an object, in place of one with the same UUID.
    pub fn insert(&self, view: V) -> Arc<Entry<V>> {
        let uuid = view.uuid();
        let entry = Arc::new(Entry::new(view));
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.insert(uuid, Arc::clone(&entry));
        entry
    }

    /// Adds an entry again that was removed while an operation waited for its lock.
    pub fn reinsert(&self, entry: &Arc<Entry<V>>) {
        let uuid = entry.view().uuid();
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        entries.entry(uuid).or_insert_with(|| Arc::clone(entry));
    }

    /// Removes an object.
    pub fn remove(&self, uuid: Uuid) {
        self.entries.write().unwrap_or_else(PoisonError::into_inner).remove(&uuid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone)]
    struct Toy(u128, &'static str);

    impl View for Toy {
        fn uuid(&self) -> Uuid {
            Uuid::from_u128(self.0)
        }

        fn name(&self) -> &str {
            self.1
        }
    }

    #[tokio::test]
    async fn readers_do_not_wait_for_operations() {
        let registry = Registry::default();
        let entry = registry.insert(Toy(1, "a"));
        let guard = entry.lock().await;
        assert!(entry.try_lock().is_none());
        assert_eq!(registry.by_name("a").unwrap().view().0, 1);
        entry.set(Toy(1, "b"));
        assert!(registry.by_name("a").is_none());
        drop(guard);
        assert!(entry.try_lock().is_some());
    }

    #[test]
    fn a_removed_entry_can_come_back_but_replaces_none() {
        let registry = Registry::default();
        let old = registry.insert(Toy(1, "a"));
        registry.remove(old.view().uuid());
        assert!(!registry.contains(Uuid::from_u128(1)));
        registry.reinsert(&old);
        assert!(Arc::ptr_eq(&registry.get(Uuid::from_u128(1)).unwrap(), &old));
        let new = registry.insert(Toy(1, "c"));
        registry.reinsert(&old);
        assert!(Arc::ptr_eq(&registry.get(Uuid::from_u128(1)).unwrap(), &new));
        assert_eq!(registry.all().len(), 1);
    }
}
