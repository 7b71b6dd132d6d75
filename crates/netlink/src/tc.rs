//! Changes of the queues, classes and filters of a link.
//!
//! The kernel's forms are those of tc(8), tc-htb(8), tc-sfq(8), tc-u32(8), tc-fw(8), tc-csum(8) and
//! `linux/pkt_sched.h`, `linux/pkt_cls.h`.

use std::fmt::Write as _;

use futures::StreamExt as _;
use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{
    TcActionMessage, TcActionMessageAttribute, TcAttribute, TcHandle, TcMessage,
};

use super::attributes::encode as attribute;
use super::{Handle, NetlinkError, refused};
use oxivirt_types::mac::MacAddr;

/// Major number of the tree.
const TREE: u16 = 1;
/// Major number of a hook for what comes in or goes out.
const HOOK: u16 = 0xffff;
/// Priority of the filters that look into packets.
const PACKET_PRIORITY: u16 = 2;
/// Hash table of `u32` filters that the kernel makes first.
const HASH_TABLE: u32 = 0x800 << 20;
/// `ETH_P_ALL`
const ALL: u16 = 3;
/// `ETH_P_IP`
const IPV4: u16 = 0x0800;
/// A packet of at most this many bytes may go at once.
const LARGEST_PACKET: u64 = 1600;
/// `LINKLAYER_ETHERNET`: the kernel can compute times from the rate, without a table.
const ETHERNET: u8 = 1;

/// A class of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// Its minor number.
    pub id: u16,
    /// Minor number of the class that it takes from; 0 is the tree itself.
    pub parent: u16,
    /// Bytes a second that it has in any case.
    pub rate: u64,
    /// Bytes a second that it may borrow from unused bandwidth.
    pub ceiling: u64,
    /// Bytes that may go at once; a packet if absent.
    pub burst: Option<u64>,
    /// Bytes that it may send in its turn.
    pub quantum: u32,
}

/// Where packets are seen without a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hook {
    /// Those that come in.
    Ingress,
    /// Those that come in and those that go out.
    Both,
}

/// A change of the queues of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueChange {
    /// A tree of classes for what goes out.
    AddTree {
        /// The class of what no filter has a class for; without such a class it goes at once.
        default: u16,
    },
    /// The tree goes, with all in it.
    DeleteTree,
    /// What goes out is not queued: the other end of the link has a queue.
    SetNoQueue,
    /// A class.
    AddClass(Class),
    /// Other rates for a class that is there; its parent stays.
    ChangeClass(Class),
    /// A class goes.
    DeleteClass {
        /// Its minor number.
        id: u16,
    },
    /// The flows of a class take turns.
    AddFairness {
        /// Minor number of the class.
        class: u16,
        /// Major number of the queue.
        queue: u16,
    },
    /// They no longer do.
    DeleteFairness {
        /// Major number of the queue.
        queue: u16,
    },
    /// What carries firewall mark 1 belongs to class 1.
    AddMark,
    /// IPv4 packets to a hardware address belong to a class.
    AddDestination {
        /// Number of the filter, up to 4095.
        number: u16,
        /// The address.
        mac: MacAddr,
        /// Minor number of the class.
        class: u16,
    },
    /// They no longer do.
    DeleteDestination {
        /// Number of the filter.
        number: u16,
    },
    /// A place for filters on packets that no queue holds.
    AddHook(Hook),
    /// It goes, with its filters; one of the other kind stays.
    DeleteHook(Hook),
    /// What comes in beyond a rate is dropped.
    Police {
        /// The place there is.
        hook: Hook,
        /// Bytes a second.
        rate: u64,
        /// Bytes that may come at once.
        burst: u64,
    },
    /// DHCP answers that go out get their checksums in software ([`Hook::Both`]).
    FillChecksums,
}

impl QueueChange {
    /// The words of the same command for `tc`.
    #[must_use]
    pub fn words(&self, link: &str) -> String {
        match self {
            Self::AddTree { default } => {
                format!("qdisc add dev {link} root handle 1: htb default {default:x}")
            }
            Self::DeleteTree => format!("qdisc del dev {link} root"),
            Self::SetNoQueue => format!("qdisc add dev {link} root handle 0: noqueue"),
            Self::AddClass(class) => {
                let parent = match class.parent {
                    0 => "1:".to_owned(),
                    parent => format!("1:{parent:x}"),
                };
                let rates = class.words();
                format!("class add dev {link} parent {parent} classid 1:{:x} htb {rates}", class.id)
            }
            Self::ChangeClass(class) => {
                format!("class change dev {link} classid 1:{:x} htb {}", class.id, class.words())
            }
            Self::DeleteClass { id } => format!("class del dev {link} classid 1:{id:x}"),
            Self::AddFairness { class, queue } => {
                format!("qdisc add dev {link} parent 1:{class:x} handle {queue:x}: sfq perturb 10")
            }
            Self::DeleteFairness { queue } => format!("qdisc del dev {link} handle {queue:x}:"),
            Self::AddMark => {
                format!("filter add dev {link} parent 1:0 protocol all prio 1 handle 1 fw flowid 1")
            }
            Self::AddDestination { number, mac, class } => {
                let [a, b, c, d, e, f] = mac.0;
                format!(
                    "filter add dev {link} parent 1: protocol ip prio 2 handle 800::{number:x} u32 \
                     match u16 0x0800 0xffff at -2 \
                     match u32 0x{c:02x}{d:02x}{e:02x}{f:02x} 0xffffffff at -12 \
                     match u16 0x{a:02x}{b:02x} 0xffff at -14 flowid 1:{class:x}"
                )
            }
            Self::DeleteDestination { number } => {
                format!("filter del dev {link} parent 1: prio 2 handle 800::{number:x} u32")
            }
            Self::AddHook(hook) => format!("qdisc add dev {link} {}", hook.kind()),
            Self::DeleteHook(hook) => format!("qdisc del dev {link} {}", hook.kind()),
            Self::Police { hook, rate, burst } => {
                let parent = match hook {
                    Hook::Ingress => "parent ffff:",
                    Hook::Both => "ingress",
                };
                let (rate, burst) = (rate_words(*rate), size_words(*burst));
                format!(
                    "filter add dev {link} {parent} protocol all u32 match u32 0 0 \
                     police rate {rate} burst {burst} mtu 64kb drop flowid :1"
                )
            }
            Self::FillChecksums => format!(
                "filter add dev {link} egress prio 2 protocol ip u32 match ip dport 68 0xffff \
                 action csum ip and udp"
            ),
        }
    }

    /// The request for the link with this index.
    fn message(&self, link: u32) -> (RouteNetlinkMessage, u16) {
        use RouteNetlinkMessage as Message;
        let add = NLM_F_CREATE | NLM_F_EXCL;
        let tree = TcHandle { major: TREE, minor: 0 };
        let in_tree = |minor| TcHandle { major: TREE, minor };
        let at = |place: Place| place.message(link);
        match self {
            Self::AddTree { default } => {
                // Version and the ratio of rate and quantum, of which every class has its own.
                let init = words([3, 10, u32::from(*default), 0, 0]);
                let place = Place { handle: tree, parent: TcHandle::ROOT, ..Place::new("htb") };
                (Message::NewQueueDiscipline(at(place.with(&attribute(2, &init)))), add)
            }
            Self::DeleteTree => {
                let place = Place { parent: TcHandle::ROOT, ..Place::default() };
                (Message::DelQueueDiscipline(at(place)), 0)
            }
            Self::SetNoQueue => {
                let place = Place { parent: TcHandle::ROOT, ..Place::new("noqueue") };
                (Message::NewQueueDiscipline(at(place)), NLM_F_CREATE | NLM_F_REPLACE)
            }
            Self::AddClass(class) => {
                let parent = in_tree(class.parent);
                let place = Place { handle: in_tree(class.id), parent, ..Place::new("htb") };
                (Message::NewTrafficClass(at(place.with(&class.options()))), add)
            }
            Self::ChangeClass(class) => {
                let place = Place { handle: in_tree(class.id), ..Place::new("htb") };
                (Message::NewTrafficClass(at(place.with(&class.options()))), 0)
            }
            Self::DeleteClass { id } => {
                let place = Place { handle: in_tree(*id), ..Place::default() };
                (Message::DelTrafficClass(at(place)), 0)
            }
            Self::AddFairness { class, queue } => {
                // Seconds after which flows are spread anew; the kernel chooses the rest.
                let mut options = vec![0; 72];
                options.splice(4..8, 10_u32.to_ne_bytes());
                let handle = TcHandle { major: *queue, minor: 0 };
                let place = Place { handle, parent: in_tree(*class), ..Place::new("sfq") };
                (Message::NewQueueDiscipline(at(place.with(&options))), add)
            }
            Self::DeleteFairness { queue } => {
                let handle = TcHandle { major: *queue, minor: 0 };
                (Message::DelQueueDiscipline(at(Place { handle, ..Place::default() })), 0)
            }
            Self::AddMark => {
                let handle = TcHandle::from(1);
                let place = Place { handle, parent: tree, ..Place::new("fw") }.filters(1, ALL);
                let options = attribute(1, &words([1]));
                (Message::NewTrafficFilter(at(place.with(&options))), add)
            }
            Self::AddDestination { number, mac, class } => {
                let place = destination(*number, tree);
                let options = classify(u32::from(in_tree(*class)), &to(*mac));
                (Message::NewTrafficFilter(at(place.with(&options))), add)
            }
            Self::DeleteDestination { number } => {
                (Message::DelTrafficFilter(at(destination(*number, tree))), 0)
            }
            Self::AddHook(hook) => (Message::NewQueueDiscipline(at(hook.place())), add),
            Self::DeleteHook(hook) => (Message::DelQueueDiscipline(at(hook.place())), 0),
            Self::Police { hook, rate, burst } => {
                (Message::NewTrafficFilter(at(policer(*hook, *rate, *burst))), add)
            }
            Self::FillChecksums => (Message::NewTrafficFilter(at(checksums())), add),
        }
    }
}

/// Drops what comes in beyond a rate.
fn policer(hook: Hook, rate: u64, burst: u64) -> Place {
    let minor = match hook {
        Hook::Ingress => 0,
        Hook::Both => TcHandle::MIN_INGRESS,
    };
    let parent = TcHandle { major: HOOK, minor };
    let all = Key { mask: 0, value: 0, offset: 0 };
    let mut options = classify(1, &[all]);
    options.extend(attribute(6, &police(rate, burst)));
    Place { parent, ..Place::new("u32") }.filters(0, ALL).with(&options)
}

/// Computes the checksums of DHCP answers that go out.
fn checksums() -> Place {
    let parent = TcHandle { major: HOOK, minor: TcHandle::MIN_EGRESS };
    // The second half of the first word behind an IPv4 header without options.
    let to_clients = Key { mask: 0x0000_ffff, value: 68, offset: 20 };
    let mut options = attribute(7, &attribute(1, &checksum_action()));
    options.extend(attribute(5, &selector(&[to_clients])));
    Place { parent, ..Place::new("u32") }.filters(PACKET_PRIORITY, IPV4).with(&options)
}

impl Hook {
    /// The kernel's word.
    const fn kind(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Both => "clsact",
        }
    }

    fn place(self) -> Place {
        let handle = TcHandle { major: HOOK, minor: 0 };
        Place { handle, parent: TcHandle::INGRESS, ..Place::new(self.kind()) }
    }
}

impl Class {
    fn words(&self) -> String {
        let mut words = format!("rate {} ceil {}", rate_words(self.rate), rate_words(self.ceiling));
        if let Some(burst) = self.burst {
            let _ = write!(words, " burst {}", size_words(burst));
        }
        let _ = write!(words, " quantum {}", self.quantum);
        words
    }

    /// `struct tc_htb_opt`, and the rates that do not fit into it.
    fn options(&self) -> Vec<u8> {
        let mut options = Vec::new();
        for (kind, rate) in [(6, self.rate), (7, self.ceiling)] {
            if u32::try_from(rate).is_err() {
                options.extend(attribute(kind, &rate.to_ne_bytes()));
            }
        }
        let mut parameters = rate_specification(self.rate, 0).to_vec();
        parameters.extend(rate_specification(self.ceiling, 0));
        let bucket = ticks(self.burst.unwrap_or(LARGEST_PACKET), self.rate);
        let full = ticks(LARGEST_PACKET, self.ceiling);
        parameters.extend(words([bucket, full, self.quantum, 0, 0]));
        options.extend(attribute(1, &parameters));
        options
    }
}

/// Bytes a second as tc writes them: its `bps` is bytes.
fn rate_words(rate: u64) -> String {
    if rate.is_multiple_of(1000) { format!("{}kbps", rate / 1000) } else { format!("{rate}bps") }
}

fn size_words(size: u64) -> String {
    if size.is_multiple_of(1024) { format!("{}kb", size / 1024) } else { format!("{size}b") }
}

/// Where an object is, and what it is.
#[derive(Debug, Default)]
struct Place {
    kind: Option<&'static str>,
    handle: TcHandle,
    parent: TcHandle,
    info: u32,
    options: Option<Vec<u8>>,
}

impl Place {
    fn new(kind: &'static str) -> Self {
        Self { kind: Some(kind), ..Self::default() }
    }

    /// A filter on packets of a protocol.
    fn filters(self, priority: u16, protocol: u16) -> Self {
        Self { info: u32::from(priority) << 16 | u32::from(protocol.to_be()), ..self }
    }

    fn with(self, options: &[u8]) -> Self {
        Self { options: (!options.is_empty()).then(|| options.to_vec()), ..self }
    }

    fn message(self, link: u32) -> TcMessage {
        // Kernel indices are positive.
        let mut message = TcMessage::with_index(i32::try_from(link).unwrap_or(i32::MAX));
        message.header.handle = self.handle;
        message.header.parent = self.parent;
        message.header.info = self.info;
        message.attributes.extend(self.kind.map(|kind| TcAttribute::Kind(kind.to_owned())));
        let options = self.options.map(|options| TcAttribute::Other(DefaultNla::new(2, options)));
        message.attributes.extend(options);
        message
    }
}

fn destination(number: u16, tree: TcHandle) -> Place {
    let handle = TcHandle::from(HASH_TABLE | u32::from(number) & 0xfff);
    Place { handle, parent: tree, ..Place::new("u32") }.filters(PACKET_PRIORITY, IPV4)
}

/// A word of a packet, in host order.
struct Key {
    mask: u32,
    value: u32,
    /// From the start of the network header, in bytes.
    offset: i32,
}

/// IPv4 packets to a hardware address: the words of the Ethernet header before them.
fn to(mac: MacAddr) -> [Key; 3] {
    let [a, b, c, d, e, f] = mac.0;
    let half = |value| Key { mask: 0x0000_ffff, value: u32::from(value), offset: 0 };
    [
        Key { offset: -4, ..half(IPV4) },
        Key { mask: u32::MAX, value: u32::from_be_bytes([c, d, e, f]), offset: -12 },
        Key { offset: -16, ..half(u16::from_be_bytes([a, b])) },
    ]
}

fn classify(class: u32, keys: &[Key]) -> Vec<u8> {
    let mut options = attribute(1, &words([class]));
    options.extend(attribute(5, &selector(keys)));
    options
}

/// `struct tc_u32_sel`
fn selector(keys: &[Key]) -> Vec<u8> {
    /// `TC_U32_TERMINAL`: what matches has arrived, and its actions are done.
    const TERMINAL: u8 = 1;
    let mut bytes = vec![0; 16];
    let n_keys = u8::try_from(keys.len()).unwrap_or(u8::MAX);
    bytes.splice(0..3, [TERMINAL, 0, n_keys]);
    for key in keys {
        bytes.extend(key.mask.to_be_bytes());
        bytes.extend(key.value.to_be_bytes());
        bytes.extend(key.offset.to_ne_bytes());
        bytes.extend(0_i32.to_ne_bytes());
    }
    bytes
}

/// `struct tc_police` and its table of times.
fn police(rate: u64, burst: u64) -> Vec<u8> {
    const DROP: u32 = 2;
    const LARGEST: u32 = 1 << 16;
    /// 256 entries reach up to the largest packet in steps of 512 bytes.
    const STEP: u8 = 9;
    let mut parameters = words([0, DROP, 0, ticks(burst, rate), LARGEST]);
    parameters.extend(rate_specification(rate, STEP));
    parameters.resize(56, 0);
    let times = (1..=256_u64).map(|entry| ticks(entry << STEP, rate));
    let times: Vec<u8> = times.flat_map(u32::to_ne_bytes).collect();
    let mut options = attribute(1, &parameters);
    options.extend(attribute(2, &times));
    if u32::try_from(rate).is_err() {
        options.extend(attribute(8, &rate.to_ne_bytes()));
    }
    options
}

/// An action that computes the checksums of IPv4 headers and of UDP.
fn checksum_action() -> Vec<u8> {
    /// `TCA_CSUM_UPDATE_FLAG_IPV4HDR`, `TCA_CSUM_UPDATE_FLAG_UDP`
    const HEADER_AND_UDP: u32 = 1 | 16;
    let mut action = attribute(1, b"csum\0");
    let parameters = attribute(1, &words([0, 0, 0, 0, 0, HEADER_AND_UDP]));
    action.extend(attribute(2 | NESTED, &parameters));
    action
}

/// `NLA_F_NESTED`
const NESTED: u16 = 1 << 15;

/// `struct tc_ratespec`
fn rate_specification(rate: u64, step: u8) -> [u8; 12] {
    let mut bytes = [0; 12];
    let (head, tail) = bytes.split_at_mut(8);
    head.copy_from_slice(&[step, ETHERNET, 0, 0, 0xff, 0xff, 0, 0]);
    tail.copy_from_slice(&u32::try_from(rate).unwrap_or(u32::MAX).to_ne_bytes());
    bytes
}

/// How long bytes take at a rate, in the kernel's ticks of 64 ns.
fn ticks(bytes: u64, rate: u64) -> u32 {
    let microseconds = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
    u32::try_from(microseconds * 1000 / 64).unwrap_or(u32::MAX)
}

fn words<const N: usize>(values: [u32; N]) -> Vec<u8> {
    values.into_iter().flat_map(u32::to_ne_bytes).collect()
}

impl Handle {
    /// Changes the queues of the link with this index.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`]
    pub async fn change_queue(&self, link: u32, change: &QueueChange) -> Result<(), NetlinkError> {
        let (message, flags) = change.message(link);
        self.send(message, flags, "change queues").await
    }

    /// Whether the kernel has a kind of action that filters can have, `csum` for example. It is asked for
    /// one without parameters, which is refused either way, so nothing is made; and a module is loaded
    /// for it, which listing what there is would not do.
    ///
    /// # Errors
    /// [`NetlinkError::Refused`] for any other reason than that it has none.
    pub async fn has_action(&self, kind: &str) -> Result<bool, NetlinkError> {
        let name = attribute(1, &[kind.as_bytes(), b"\0"].concat());
        let mut message = TcActionMessage::default();
        let list = DefaultNla::new(1, attribute(1, &name));
        message.attributes.push(TcActionMessageAttribute::Other(list));
        let new = RouteNetlinkMessage::NewTrafficAction(message);
        let answer = self.send(new, NLM_F_CREATE | NLM_F_EXCL, "ask for a kind of action").await;
        match answer.as_ref().map_err(NetlinkError::errno) {
            Ok(()) | Err(Some(nix::libc::EINVAL)) => Ok(true),
            Err(Some(nix::libc::ENOENT | nix::libc::EOPNOTSUPP)) => Ok(false),
            Err(_) => answer.map(|()| true),
        }
    }

    async fn send(
        &self,
        message: RouteNetlinkMessage,
        flags: u16,
        action: &str,
    ) -> Result<(), NetlinkError> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.route.clone().request(request).map_err(refused(action))?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                match error.code {
                    None => return Ok(()),
                    Some(_) => return Err(refused(action)(rtnetlink::Error::NetlinkError(error))),
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable as _;

    use super::*;

    /// Compares what follows the netlink header with what tc of iproute2 6.1 sends, for link 2.
    #[track_caller]
    fn check(change: QueueChange, expect: &str) {
        let (message, _) = change.message(2);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let expect: String = expect.split_whitespace().collect();
        assert!(hex.starts_with(&expect), "{hex}\ninstead of\n{expect}");
    }

    #[test]
    fn marks() {
        let expect = "00000000 02000000 01000000 00000100 00030100 07000100 66770000
                      0c000200 08000100 01000000";
        check(QueueChange::AddMark, expect);
    }

    #[test]
    fn no_queue() {
        let expect = "00000000 02000000 00000000 ffffffff 00000000 0c000100 6e6f7175 65756500";
        check(QueueChange::SetNoQueue, expect);
    }

    #[test]
    fn fairness() {
        let expect = "00000000 02000000 00000200 02000100 00000000 08000100 73667100
                      4c000200 00000000 0a000000 00000000 00000000 00000000";
        check(QueueChange::AddFairness { class: 2, queue: 2 }, expect);
    }

    #[test]
    fn policing() {
        let change = QueueChange::Police { hook: Hook::Ingress, rate: 128_000, burst: 128 * 1024 };
        let (message, _) = change.message(2);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // tc has the policer before the class and the keys.
        let policer = "440406003c00010000000000020000000000000000 24f400 00000100 09010000ffff000000f40100
            00000000000000000000000000000000000000000000000004040200 24f40000 48e80100 6cdc0200 90d00300";
        let policer: String = policer.split_whitespace().collect();
        assert!(hex.contains(&policer), "{hex}");
        assert!(hex.starts_with("0000000002000000000000000000ffff00030000"), "{hex}");
    }

    #[test]
    fn checksums() {
        let expect = "00000000 02000000 00000000 f3ffffff 08000200 08000100 75333200
                      5c000200 34000700 30000100 09000100 6373756d 00000000 20000280 1c000100
                      00000000 00000000 00000000 00000000 00000000 11000000
                      24000500 01000100 00000000 00000000 00000000 0000ffff 00000044 14000000 00000000";
        check(QueueChange::FillChecksums, expect);
    }
}
