//! Planning: from a definition and facts about the host to steps.
//!
//! Everything here is pure: no clock, no files, no kernel. [`start::plan`] and [`stop::plan`] are the
//! two entries; [`lint::check`] states what holds for every plan.

pub mod dnsmasq;
pub mod facts;
pub mod lint;
pub mod nftables;
pub mod start;
mod step;
pub mod stop;

pub use facts::{Collision, FactsQuery, HostFacts};
pub use step::{FileImage, IfMissing, Plan, Stage, Step, Sysctl, Undo};
