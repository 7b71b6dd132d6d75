//! Commands about the host and the connection.

pub(super) mod capabilities;
pub(super) mod domcapabilities;
pub(super) mod freecell;
pub(super) mod hostname;
pub(super) mod maxvcpus;
pub(super) mod nodecpumap;
pub(super) mod nodeinfo;
pub(super) mod stats;
pub(super) mod sysinfo;
pub(super) mod uri;
pub(super) mod version;
