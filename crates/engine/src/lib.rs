//! The engine under every driver: decide, write down how to undo it, do it, keep it so.
//!
//! The engine knows no networks, guests or pools. A driver brings four things and gets the rest:
//!
//! | the driver defines | the engine provides |
//! |---|---|
//! | a [`Step`] and its [`Undo`]: one change to the host, and what reverts it | [`Plan`], [`lint`], the apply loop ([`apply`]) |
//! | an [`Executor`]: carries out a step | [`Journal`] and [`operation`]: an operation that a crash interrupts is undone or completed |
//! | a [`View`](registry::View): the object as readers see it | [`Registry`]: entries, operation locks, lookup by name and UUID |
//! | a [`Reconciler`](reconcile::Reconciler): which objects a notification concerns, how to repair them | [`reconcile::run`]: debounce, rate limit, backoff |
//!
//! Beside these: [`Document`] and [`Replacement`] (files that change together), [`store`] (definitions,
//! status files, autostart links), [`hooks`] (an administrator's scripts), [`lock`] (a checked lock order).
//!
//! # How a driver uses it
//!
//! A *guest* driver's steps are "create the cgroup", "create a tap device", "attach it to a bridge",
//! "label the disk image", "start the emulator", "resume its CPUs". A start is
//! [`operation::start`] with a plan of them: the journal names how to stop and remove each one before the
//! first exists, the commit writes the guest's status file, and a crash in between leaves a journal
//! entry that [`operation::finish`] undoes when the driver opens. Steps without dependencies (taps,
//! images) go into parallel sequences of one [`Stage`]. An emulator that was started and does not answer
//! has a partial effect ([`OnFailure::UndoStep`]): it is stopped although its step failed.
//!
//! A *storage* driver's steps are "mount the share", "create the file", "allocate", "register the
//! volume". Deleting a volume is [`operation::stop`]: completed after a crash, never undone. A pool's
//! refresh is a [`Reconciler`](reconcile::Reconciler) whose notifications are inotify events.
//!
//! # Example
//!
//! See `examples/shelf.rs` for a complete driver of a toy kind of object, and [`apply::run`].

pub mod apply;
pub mod document;
pub mod hooks;
pub mod journal;
pub mod lint;
pub mod lock;
pub mod operation;
pub mod plan;
pub mod reconcile;
pub mod registry;
pub mod step;
pub mod store;

pub use apply::Stopped;
pub use document::{Document, Replacement};
pub use journal::{Entry as JournalEntry, Journal, JournalError, Operation};
pub use plan::{Plan, Stage};
pub use registry::{Entry, Registry};
pub use step::{Executor, OnFailure, Step, Undo};

#[cfg(test)]
mod toy;
