//! Network interfaces.

use std::path::PathBuf;

use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::interface::{
    ActualInterface, Interface, InterfaceSource, InterfaceType,
};
use serde_json::{Value, json};

use super::address::{alias, virtio_switches};
use super::error::{PlanError, Result};
use super::props::Props;
use super::{Build, Descriptor};

impl Build<'_> {
    /// libvirt 11.3.0: `qemuBuildNetCommandLine`, src/qemu/qemu_command.c
    pub(super) fn interfaces(&mut self) -> Result<()> {
        let devices = self.devices;
        for (at, interface) in devices.interfaces.iter().enumerate() {
            let netdev = self.netdev(interface)?;
            self.option("-netdev", netdev.to_text());
            let bootindex = self.boot.interfaces.get(at).copied().flatten();
            let props = self.network_card(interface, bootindex)?;
            self.device(&interface.info, props)?;
        }
        Ok(())
    }

    /// The host's end of an interface.
    ///
    /// libvirt 11.3.0: `qemuBuildHostNetProps`, src/qemu/qemu_command.c
    fn netdev(&mut self, interface: &Interface) -> Result<Props> {
        let id = format!("host{}", alias(&interface.info)?);
        let (kind, source) = connection(interface);
        let props = match kind {
            Some(InterfaceType::Network) | None => {
                return Err(PlanError::unprepared("connection of an interface"));
            }
            Some(InterfaceType::Bridge | InterfaceType::Ethernet | InterfaceType::Direct) => {
                self.tap(interface, kind)?
            }
            Some(InterfaceType::User) => self.user_network(interface)?,
            Some(InterfaceType::Client) => socket(source, "connect"),
            Some(InterfaceType::Server) => socket(source, "listen"),
            Some(InterfaceType::Mcast) => socket(source, "mcast"),
            Some(InterfaceType::Udp) => {
                let local = source.and_then(|source| source.local.as_ref());
                let local = format!(
                    "{}:{}",
                    local.and_then(|local| local.address.as_deref()).unwrap_or_default(),
                    local.and_then(|local| local.port).unwrap_or(0)
                );
                Props::new()
                    .with("type", "socket")
                    .with("udp", endpoint(source))
                    .with("localaddr", local)
            }
            Some(kind) => {
                let text = format!("network device type '{kind}' is not supported");
                return Err(PlanError::Unsupported(text));
            }
        };
        Ok(props.with("id", id))
    }

    fn tap(&mut self, interface: &Interface, kind: Option<InterfaceType>) -> Result<Props> {
        let name = alias(&interface.info)?.to_owned();
        let driver = interface.driver.as_ref();
        let queues = driver.and_then(|driver| driver.queues).unwrap_or(1).max(1);
        let link = interface.target.as_ref().and_then(|target| target.dev.clone());
        let taps: Vec<String> = (0..queues)
            .map(|queue| {
                let descriptor = Descriptor::Tap {
                    alias: name.clone(),
                    queue,
                    queues,
                    link: link.clone(),
                    is_bridged: kind == Some(InterfaceType::Bridge),
                };
                self.pass(descriptor).to_string()
            })
            .collect();
        let mut props = Props::new().with("type", "tap");
        props = fds(props, "fd", &taps);
        if self.has_vhost(interface)? {
            let device = interface.backend.as_ref().and_then(|backend| backend.vhost.as_deref());
            let path = PathBuf::from(device.unwrap_or("/dev/vhost-net"));
            let vhosts: Vec<String> = (0..queues)
                .map(|queue| {
                    let (alias, path) = (name.clone(), path.clone());
                    self.pass(Descriptor::VhostNet { alias, queue, path }).to_string()
                })
                .collect();
            props = fds(props.with("vhost", true), "vhostfd", &vhosts);
        }
        let sndbuf = interface.tune.as_ref().and_then(|tune| tune.sndbuf);
        Ok(props.with_opt("sndbuf", sndbuf))
    }

    /// Whether packets are handled in the kernel.
    ///
    /// libvirt 11.3.0: `qemuInterfaceOpenVhostNet`, src/qemu/qemu_interface.c
    fn has_vhost(&self, interface: &Interface) -> Result<bool> {
        let driver = interface.driver.as_ref().and_then(|driver| driver.name.as_deref());
        if driver == Some("qemu") || !is_virtio(interface) {
            return Ok(false);
        }
        if !self.facts.host.has_vhost_net {
            return if driver == Some("vhost") {
                let text = "vhost-net was requested for an interface, but is unavailable";
                Err(PlanError::Unsupported(String::from(text)))
            } else {
                Ok(false)
            };
        }
        Ok(true)
    }

    /// Translation of addresses in the emulator or in passt.
    fn user_network(&self, interface: &Interface) -> Result<Props> {
        let backend = interface.backend.as_ref();
        if backend.and_then(|backend| backend.kind.as_deref()) == Some("passt") {
            let name = self.short_name();
            let file = format!("{}-{name}-{}.socket", self.facts.id, alias(&interface.info)?);
            let path = self.facts.directories.passt.join(file);
            let address = json!({"type": "unix", "path": path.to_string_lossy()});
            let props = Props::new().with("type", "stream").with("addr", address);
            let props = props.with("server", false);
            let flag = "netdev-stream-reconnect-miliseconds";
            if self.emulator.has(flag) {
                return Ok(props.with("reconnect-ms", 5000));
            }
            let has_reconnect = self.emulator.has("netdev-stream-reconnect");
            return Ok(props.with_opt("reconnect", has_reconnect.then_some(5)));
        }
        let mut props = Props::new().with("type", "user");
        for ip in &interface.ips {
            let address = ip.address.as_deref().unwrap_or_default();
            if address.contains(':') {
                props =
                    props.with("ipv6-prefix", address).with_nonzero("ipv6-prefixlen", ip.prefix);
            } else {
                let prefix = ip.prefix.map(|prefix| format!("/{prefix}")).unwrap_or_default();
                props = props.with("net", format!("{address}{prefix}"));
            }
        }
        Ok(props)
    }

    /// libvirt 11.3.0: `qemuBuildNicDevProps`, src/qemu/qemu_command.c
    fn network_card(&self, interface: &Interface, bootindex: Option<u32>) -> Result<Props> {
        let id = alias(&interface.info)?;
        let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
        let model = model.ok_or_else(|| PlanError::unprepared("model of an interface"))?;
        let props = if is_virtio(interface) {
            self.virtio_card(interface, model)
        } else {
            Props::driver(model)
        };
        let mac = interface.mac.as_ref().and_then(|mac| mac.address);
        let boot = interface.info.boot.as_ref();
        Ok(props
            .with("netdev", format!("host{id}"))
            .with("id", id)
            .with_opt("mac", mac.map(|mac| mac.to_string()))
            .with_opt("bootindex", bootindex)
            .with_all(self.address(&interface.info)?)
            .with_all(Self::rom(&interface.info))
            .with_opt("loadparm", boot.and_then(|boot| boot.loadparm.as_deref())))
    }

    fn virtio_card(&self, interface: &Interface, model: &str) -> Props {
        let driver = interface.driver.as_ref();
        let name = self.virtio("virtio-net", Some(model), &interface.info);
        let queues = driver.and_then(|driver| driver.queues).filter(|&queues| queues > 1);
        let host = driver.and_then(|driver| driver.host.as_ref());
        let guest = driver.and_then(|driver| driver.guest.as_ref());
        let tx = driver.and_then(|driver| driver.txmode.as_deref()).and_then(|mode| match mode {
            "iothread" => Some("bh"),
            "timer" => Some("timer"),
            _ => None,
        });
        let vectors = queues.map(|queues| queues.saturating_mul(2).saturating_add(2));
        let is_ccw = matches!(interface.info.address, Some(Address::Ccw(_)));
        let persistent = interface.teaming.as_ref().and_then(|team| team.kind.as_deref());
        let failover = (persistent == Some("persistent")).then_some(true);
        virtio_switches!(Props::driver(name), driver)
            .with_opt("tx", tx)
            .with_switch("ioeventfd", driver.and_then(|driver| driver.ioeventfd))
            .with_switch("event_idx", driver.and_then(|driver| driver.event_idx))
            .with_switch("csum", host.and_then(|host| host.csum))
            .with_switch("gso", host.and_then(|host| host.gso))
            .with_switch("host_tso4", host.and_then(|host| host.tso4))
            .with_switch("host_tso6", host.and_then(|host| host.tso6))
            .with_switch("host_ecn", host.and_then(|host| host.ecn))
            .with_switch("host_ufo", host.and_then(|host| host.ufo))
            .with_switch("mrg_rxbuf", host.and_then(|host| host.mrg_rxbuf))
            .with_switch("guest_csum", guest.and_then(|guest| guest.csum))
            .with_switch("guest_tso4", guest.and_then(|guest| guest.tso4))
            .with_switch("guest_tso6", guest.and_then(|guest| guest.tso6))
            .with_switch("guest_ecn", guest.and_then(|guest| guest.ecn))
            .with_switch("guest_ufo", guest.and_then(|guest| guest.ufo))
            .with_opt("mq", queues.map(|_| true))
            .with_opt("vectors", vectors.filter(|_| !is_ccw))
            .with_nonzero("rx_queue_size", driver.and_then(|driver| driver.rx_queue_size))
            .with_nonzero("tx_queue_size", driver.and_then(|driver| driver.tx_queue_size))
            .with_opt("host_mtu", interface.mtu.as_ref().and_then(|mtu| mtu.size))
            .with_opt("failover", failover)
            .with_switch("rss", driver.and_then(|driver| driver.rss))
            .with_switch("hash", driver.and_then(|driver| driver.rss_hash_report))
    }
}

/// What an interface is connected to while the guest runs.
pub(super) fn connection(
    interface: &Interface,
) -> (Option<InterfaceType>, Option<&InterfaceSource>) {
    match &interface.actual {
        Some(ActualInterface { kind: Some(InterfaceType::Network), source, .. }) => {
            (Some(InterfaceType::Bridge), source.as_ref())
        }
        Some(actual) => (actual.kind, actual.source.as_ref()),
        None => (interface.kind, interface.source.as_ref()),
    }
}

fn is_virtio(interface: &Interface) -> bool {
    let model = interface.model.as_ref().and_then(|model| model.kind.as_deref());
    matches!(model, Some("virtio" | "virtio-transitional" | "virtio-non-transitional"))
}

/// One descriptor as `fd`, several as `fds`.
fn fds(props: Props, key: &str, numbers: &[String]) -> Props {
    match numbers {
        [one] => props.with(key, one.as_str()),
        several => props.with(&format!("{key}s"), several.join(":")),
    }
}

fn endpoint(source: Option<&InterfaceSource>) -> String {
    let address = source.and_then(|source| source.address.as_deref()).unwrap_or_default();
    format!("{address}:{}", source.and_then(|source| source.port).unwrap_or(0))
}

fn socket(source: Option<&InterfaceSource>, key: &str) -> Props {
    Props::new().with("type", "socket").with(key, Value::from(endpoint(source)))
}
