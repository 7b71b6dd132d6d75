//! Operations that a crash may interrupt.
//!
//! ```text
//! start:  journal(undo) ─▶ steps ─▶ commit (status file) ─▶ journal removed
//! stop:   journal(undo) ─▶ undo list ─▶ journal removed
//! ```
//!
//! The status file decides: with it the object runs, without it it does not. A journal entry found when
//! a driver opens belongs to an operation that was interrupted: a start that was not committed is
//! undone, a stop is completed, an update is completed by writing its documents and reconciling.

use oxivirt_sys::chain;

use crate::journal::{Entry, Journal, JournalError, Operation};
use crate::{Executor, Plan, Step, Stopped, apply};

/// Why a start failed. The host is as before, unless errors were logged.
#[derive(Debug)]
pub enum StartError<S: Step, E, C> {
    /// The journal could not be written, so nothing was done.
    Journal(JournalError),
    /// A step failed.
    Step(Stopped<S, E>),
    /// All steps were done, the commit failed.
    Commit(C),
}

/// Starts an object: journal, steps, commit; undone as a whole if one of them fails.
///
/// `prepare` runs in parallel with the steps, for work on the disk that the commit needs; it has ended
/// before anything is undone. When a step fails, those elements of the entry's undo list are carried out that revert a step that
/// was done, and those for which `is_always_undone` returns true: what was not done may belong to
/// another owner.
///
/// # Errors
/// [`StartError`]. What could not be undone is logged; the journal entry then stays.
pub async fn start<S: Step, X: Executor<S>, T, C>(
    executor: &X,
    journal: &Journal<S::Undo>,
    entry: &Entry<S::Undo>,
    plan: &Plan<S>,
    prepare: impl Future<Output = T>,
    commit: impl AsyncFnOnce(T) -> Result<(), C>,
    is_always_undone: impl Fn(&S::Undo) -> bool,
) -> Result<(), StartError<S, X::Error, C>> {
    journal.write(entry).map_err(StartError::Journal)?;
    let (done, prepared) = futures::join!(apply::run(executor, plan), prepare);
    let (error, undo) = match done {
        Ok(()) => match commit(prepared).await {
            Ok(()) => {
                remove(journal, entry);
                return Ok(());
            }
            Err(error) => (StartError::Commit(error), entry.undo.clone()),
        },
        Err(stopped) => {
            let undo = entry
                .undo
                .clone()
                .filtered(|undo| stopped.undo.contains(undo) || is_always_undone(undo));
            (StartError::Step(stopped), undo)
        }
    };
    tracing::debug!(name = entry.name, "start failed, undoing it");
    drop(revert(executor, journal, entry, &undo).await);
    Err(error)
}

/// Completes an operation whose entry is in the journal: carries out its undo list and removes the
/// entry. What fails is logged and returned; the entry then stays.
pub async fn stop<S: Step, X: Executor<S>>(
    executor: &X,
    journal: &Journal<S::Undo>,
    entry: &Entry<S::Undo>,
) -> Vec<X::Error> {
    revert(executor, journal, entry, &entry.undo).await
}

async fn revert<S: Step, X: Executor<S>>(
    executor: &X,
    journal: &Journal<S::Undo>,
    entry: &Entry<S::Undo>,
    undo: &Plan<S::Undo>,
) -> Vec<X::Error> {
    let errors = apply::undo::<S, X>(executor, undo).await;
    for error in &errors {
        tracing::error!(
            name = entry.name,
            operation = ?entry.operation,
            error = chain::text(error),
            "cannot undo a step; retrying at the next start or opening"
        );
    }
    if errors.is_empty() {
        remove(journal, entry);
    }
    errors
}

fn remove<U: crate::Undo>(journal: &Journal<U>, entry: &Entry<U>) {
    if let Err(error) = journal.remove(entry.uuid) {
        // Found again at the next opening; what it undoes is checked against the status file.
        tracing::warn!(
            name = entry.name,
            error = chain::text(&error),
            "cannot remove journal entry"
        );
    }
}

/// Finishes an operation that was interrupted; `is_committed` says whether its status file exists.
///
/// # Errors
/// The first thing that could not be undone; the entry then stays.
pub async fn finish<S: Step, X: Executor<S>>(
    executor: &X,
    journal: &Journal<S::Undo>,
    entry: &Entry<S::Undo>,
    is_committed: bool,
) -> Result<(), X::Error> {
    let is_complete = match entry.operation {
        // Its status file says what is wanted.
        Operation::Update => true,
        Operation::Start => is_committed,
        Operation::Stop | Operation::Undefine => false,
    };
    if is_complete {
        remove(journal, entry);
        return Ok(());
    }
    let (name, operation) = (&entry.name, entry.operation);
    tracing::warn!(name, ?operation, "finishing an interrupted operation");
    match revert(executor, journal, entry, &entry.undo).await.into_iter().next() {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

/// Writes the documents of an interrupted update. From then on they are files like any other: the entry
/// is written again without them, so that it does not bring them back later.
pub fn put_documents<U: crate::Undo>(journal: &Journal<U>, entry: Entry<U>) {
    for document in &entry.documents {
        if let Err(error) = document.put() {
            let path = document.path.display();
            tracing::error!(%path, error = chain::text(&error), "cannot complete a change of files");
        }
    }
    let rest = Entry { documents: Vec::new(), ..entry };
    if let Err(error) = journal.write(&rest) {
        tracing::warn!(
            name = rest.name,
            error = chain::text(&error),
            "cannot rewrite journal entry"
        );
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::toy::{Shelf, ToyStep, ToyUndo};

    struct Case {
        _dir: tempfile::TempDir,
        journal: Journal<ToyUndo>,
        entry: Entry<ToyUndo>,
        plan: Plan<ToyStep>,
    }

    fn case(operation: Operation) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let (mut plan, mut undo) = (Plan::default(), Plan::default());
        plan.then(["a", "b"].map(ToyStep::create));
        undo.then(["b", "a"].map(|name| ToyUndo::Remove(name.into())));
        let journal = Journal::at(dir.path().to_owned());
        let entry = Entry::new(operation, "toy".into(), Uuid::from_u128(1), undo);
        Case { _dir: dir, journal, entry, plan }
    }

    #[tokio::test]
    async fn a_start_is_complete_or_leaves_nothing() {
        let Case { journal, entry, plan, .. } = &case(Operation::Start);
        let shelf = Shelf::default();
        let committed = async |()| Ok::<_, ()>(());
        start(&shelf, journal, entry, plan, async {}, committed, |_| false).await.unwrap();
        assert_eq!(shelf.names(), ["a", "b"]);
        assert!(journal.all().is_empty());

        let shelf = Shelf::default();
        let refused = async |()| Err("full disk");
        let failed = start(&shelf, journal, entry, plan, async {}, refused, |_| false).await;
        assert!(matches!(failed, Err(StartError::Commit("full disk"))));
        assert_eq!(shelf.names(), <[&str; 0]>::default());
        assert!(journal.all().is_empty());

        // The second box is not ours: it was there before.
        let shelf = Shelf::failing_at("create b");
        let failed = start(&shelf, journal, entry, plan, async {}, committed, |_| false).await;
        assert!(matches!(failed, Err(StartError::Step(_))));
        assert!(journal.all().is_empty());
    }

    #[tokio::test]
    async fn what_cannot_be_undone_stays_in_the_journal() {
        let Case { journal, entry, plan, .. } = &case(Operation::Start);
        let shelf = Shelf::failing_at("remove a");
        let refused = async |()| Err(());
        start(&shelf, journal, entry, plan, async {}, refused, |_| false).await.unwrap_err();
        assert_eq!(shelf.names(), ["a"]);
        assert_eq!(journal.all().len(), 1);
    }

    #[tokio::test]
    async fn interrupted_operations_are_undone_or_completed() {
        let committed = async |()| Ok::<_, ()>(());
        for (operation, is_committed, left) in [
            (Operation::Start, false, 0),
            (Operation::Start, true, 2),
            (Operation::Stop, true, 0),
            (Operation::Undefine, false, 0),
            (Operation::Update, false, 2),
        ] {
            let Case { journal, entry, plan, .. } = &case(operation);
            let shelf = Shelf::default();
            start(&shelf, journal, entry, plan, async {}, committed, |_| false).await.unwrap();
            journal.write(entry).unwrap();
            finish(&shelf, journal, entry, is_committed).await.unwrap();
            assert_eq!(shelf.names().len(), left, "{operation:?}");
            assert!(journal.all().is_empty());
        }
    }
}
