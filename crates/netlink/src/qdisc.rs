//! Queueing disciplines of links.

use std::collections::BTreeMap;

use futures::TryStreamExt as _;
use netlink_packet_route::tc::{TcAttribute, TcHandle};

use super::{Handle, Hook, NetlinkError, refused};

/// Which of the disciplines that rate limits need a link has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Queues {
    /// An HTB tree with the handle `1:` at its root.
    pub has_tree: bool,
    /// A place for filters on packets that no queue holds.
    pub hook: Option<Hook>,
}

impl Handle {
    /// The disciplines of all links that have one of [`Queues`], by the links' indices.
    ///
    /// # Errors
    /// [`NetlinkError`] if the kernel cannot be asked.
    pub async fn queues(&self) -> Result<BTreeMap<u32, Queues>, NetlinkError> {
        let _one = self.listing.lock().await;
        let request = self.route.qdisc().get().execute();
        let messages = request.try_collect::<Vec<_>>().await.map_err(refused("list queues"))?;
        let mut found: BTreeMap<u32, Queues> = BTreeMap::new();
        for message in messages {
            let Ok(index) = u32::try_from(message.header.index) else { continue };
            let kind = message.attributes.iter().find_map(|attribute| match attribute {
                TcAttribute::Kind(kind) => Some(kind.as_str()),
                _ => None,
            });
            let is_root = message.header.parent == TcHandle::ROOT;
            match kind {
                Some("htb") if is_root && message.header.handle == TcHandle::from(1 << 16) => {
                    found.entry(index).or_default().has_tree = true;
                }
                Some("ingress") => found.entry(index).or_default().hook = Some(Hook::Ingress),
                Some("clsact") => found.entry(index).or_default().hook = Some(Hook::Both),
                _ => {}
            }
        }
        Ok(found)
    }
}
