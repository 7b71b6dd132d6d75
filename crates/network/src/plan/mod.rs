//! Planning: from a definition and facts about the host to steps.
//!
//! Everything here is pure: no clock, no files, no kernel. [`provision::provision`] returns what a
//! network needs, [`provision::difference`] the steps from what is there to it, [`stop::plan`] what takes
//! it away; [`lint::check`] states what holds for every plan.

pub mod dnsmasq;
pub mod error;
pub mod facts;
pub mod iptables;
mod journal;
pub mod lint;
pub mod nftables;
pub mod policy;
pub mod port;
pub mod provision;
pub mod removal;
pub mod rules;
pub mod shaping;
pub mod start;
mod step;
pub mod stop;
pub mod traffic;

pub use facts::{
    Collision, FactsQuery, FilterQuery, Firewalld, HostFacts, PoolQuery, RUNNING_TIMEOUT,
};
pub use oxivirt_engine::{Plan, Stage};
pub use policy::ModePolicy;
pub use provision::Provision;
pub use removal::SavedRemoval;
pub use rules::{Firewall, Rules, RulesChange};
pub use step::{FileImage, IfMissing, Step, Sysctl, Undo};
