//! A guest that sends to the outside without a pause and reports its losses.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::error::{Error, Result};
use crate::host::{Host, campaign};
use crate::netns::Netns;
use crate::process::{Running, wait_until};

const PORT: u16 = 7007;

/// What a guest of a bridge and a host outside are called, and where they are.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The bridge.
    pub bridge: &'static str,
    /// The bridge's address.
    pub gateway: Ipv4Addr,
    /// The guest's address.
    pub guest: Ipv4Addr,
}

/// A guest, a peer outside, and a stream between them.
#[derive(Debug)]
pub struct Traffic {
    sender: Running,
    _server: Running,
    guest: Netns,
    _outside: Netns,
}

/// What got lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Echo requests that were sent, one every 2 ms.
    pub sent: u32,
    /// Those that were not answered.
    pub lost: u32,
    /// The longest time in which the stream stood still, in microseconds.
    pub longest_us: u64,
    /// `whole`, or why the stream is not.
    pub stream: String,
}

impl Traffic {
    /// Attaches a guest to a bridge of a host and begins; `number` distinguishes several.
    ///
    /// # Errors
    /// It cannot be attached, or does not reach the outside.
    pub fn begin(host: &Host, place: Place, number: u8) -> Result<Self> {
        let (guest, outside) = (host.netns().nested()?, host.netns().nested()?);
        host.netns().attach(place.bridge, &format!("guest{number}"), &guest)?;
        let Place { gateway, guest: address, .. } = place;
        guest.sh(&format!(
            "ip address add {address}/24 dev eth0; ip route add default via {gateway}"
        ))?;
        let link = format!("outside{number}");
        host.netns().veth(&link, &outside, "eth0")?;
        let net = format!("198.51.{number}");
        host.netns().sh(&format!("ip address add {net}.1/24 dev {link}; ip link set {link} up"))?;
        outside.sh(&format!("ip address add {net}.2/24 dev eth0; ip link set eth0 up"))?;
        // A routed network's guests are answered.
        outside.sh(&format!("ip route add default via {net}.1"))?;
        let to = SocketAddrV4::new(Ipv4Addr::new(198, 51, number, 2), PORT);
        let server = start(&outside, "serve", to)?;
        let sender = start(&guest, "send", to)?;
        Ok(Self { sender, _server: server, guest, _outside: outside })
    }

    /// Waits until the guest has sent so many packets more.
    ///
    /// # Errors
    /// [`Error::Wait`]
    pub fn wait_sent(&self, packets: u64) -> Result<()> {
        let enough = self.sent()? + packets;
        wait_until("packets of the guest", || Ok(self.sent()? >= enough))
    }

    fn sent(&self) -> Result<u64> {
        let text = self.guest.sh("cat /sys/class/net/eth0/statistics/tx_packets")?;
        let wrong = |_| Error::Format { what: "a counter".into(), found: text.clone() };
        text.trim().parse().map_err(wrong)
    }

    /// Stops the stream and returns the losses.
    ///
    /// # Errors
    /// The sender has died.
    pub fn end(self) -> Result<Lost> {
        let text = self.sender.finish()?;
        let wrong = || Error::Format { what: "a sender's report".into(), found: text.clone() };
        let mut words = text.trim_end().splitn(4, ' ');
        let mut word = || words.next().ok_or_else(wrong);
        Ok(Lost {
            sent: word()?.parse().map_err(|_| wrong())?,
            lost: word()?.parse().map_err(|_| wrong())?,
            longest_us: word()?.parse().map_err(|_| wrong())?,
            stream: word()?.to_owned(),
        })
    }
}

fn start(netns: &Netns, verb: &str, address: SocketAddrV4) -> Result<Running> {
    let address = address.to_string();
    let traffic = campaign("traffic")?.args([verb, &address]);
    let mut running = traffic.behind(netns.prefix()).start()?;
    match running.line()?.as_str() {
        "ready" => Ok(running),
        other => Err(Error::Format { what: "a program's answer".into(), found: other.into() }),
    }
}
