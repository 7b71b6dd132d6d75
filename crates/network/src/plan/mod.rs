//! Planning: from a definition and facts about the host to steps.
//!
//! Everything here is pure: no clock, no files, no kernel. What a network needs and the steps to it are its
//! components' ([`crate::components`]); here are the text of dnsmasq's files, the rules of both backends, what
//! a start asks about the host, and what takes a network away ([`stop::plan`]). [`lint::check`] states what
//! holds for every plan.

pub mod dnsmasq;
pub mod error;
pub mod facts;
pub mod iptables;
mod journal;
pub mod lint;
pub(crate) mod netserv;
pub mod nftables;
pub mod policy;
pub mod port;
pub mod removal;
pub mod start;
mod step;
pub mod stop;
pub mod traffic;

pub use facts::{
    Collision, FactsQuery, FilterQuery, Firewalld, HostFacts, PoolQuery, RUNNING_TIMEOUT,
};
pub use oxivirt_engine::{Plan, Stage};
pub use policy::ModePolicy;
pub use removal::SavedRemoval;
pub use step::{FileImage, IfMissing, Step, Sysctl, Undo};
