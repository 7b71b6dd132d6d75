//! Planning: from a definition and facts about the host to steps.
//!
//! Everything here is pure: no clock, no files, no kernel. [`start`](start::start) and
//! [`stop`](stop::stop) are the two
//! entries; [`lint::check`] states what holds for every plan.

pub mod facts;

pub mod nftables;

mod step;

pub use facts::{Collision, FactsQuery, HostFacts};
pub use step::{FileImage, IfMissing, Plan, Stage, Step, Sysctl, Undo};
