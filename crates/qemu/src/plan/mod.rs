//! What is done to start and stop a guest, decided before anything is done: pure.

pub(crate) mod start;
pub(crate) mod step;
pub(crate) mod stop;
pub(crate) mod tap;

pub(crate) use step::{Step, Undo};

/// Stages of parallel sequences of steps.
pub(crate) type Plan<S> = oxivirt_engine::Plan<S>;
