//! Changes of devices: in stored definitions all of them, in running guests what needs nothing new of the host.
//!
//! libvirt 11.3.0: src/qemu/qemu_hotplug.c

mod document;

use async_trait::async_trait;
use oxivirt::{
    DomainAffectFlags as Affect, DomainDeviceDriver, DomainDeviceFlags as Flags, DomainRef, Error,
    ErrorCode, ErrorDomain, Result,
};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::device::graphics::Graphics;
use oxivirt_conf::domain::device::interface::{Interface, LinkState};
use oxivirt_qmp::command::SetLink;

use crate::apply::set_passwords;
use crate::driver::{Driver, check_flags};
use crate::error;
use crate::metadata::affected;
use crate::power::Working;
use crate::registry::{Entry, View};
use crate::resolve;
use crate::shared::Shared;
use document::{Device, alias_of, interface_place};

/// What becomes of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Attach,
    Detach,
    Update,
}

impl Change {
    const fn word(self) -> &'static str {
        match self {
            Self::Attach => "attach",
            Self::Detach => "detach",
            Self::Update => "update",
        }
    }

    /// libvirt's function, and its flags.
    const fn function(self) -> (&'static str, Flags) {
        let both = Flags::LIVE.union(Flags::CONFIG);
        match self {
            Self::Attach => ("qemuDomainAttachDeviceFlags", both),
            Self::Detach => ("qemuDomainDetachDeviceFlags", both),
            Self::Update => ("qemuDomainUpdateDeviceFlags", both.union(Flags::FORCE)),
        }
    }

    fn apply(self, def: &mut DomainDef, device: &Device) -> Result<()> {
        match self {
            Self::Attach => document::attach(def, device),
            Self::Detach => document::detach(def, device),
            Self::Update => document::update(def, device),
        }
    }

    /// The refusal of a change of a running guest.
    fn unsupported(self, kind: &str) -> Error {
        let code = match self {
            Self::Update => ErrorCode::CONFIG_UNSUPPORTED,
            Self::Attach | Self::Detach => ErrorCode::OPERATION_UNSUPPORTED,
        };
        let detail = format!("live {} of device '{kind}' is not supported", self.word());
        Error::new(code, ErrorDomain::QEMU, detail)
    }
}

impl Shared {
    async fn change_device(
        &self,
        entry: &Entry,
        change: Change,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        let (function, known) = change.function();
        check_flags(flags.bits(), known.bits(), function)?;
        let device = Device::parse(xml)?;
        let view = entry.view();
        self.check_exists(&view)?;
        let affect = affected(&view, Affect::from_bits_retain(flags.bits() & 0b11))?;
        // Both are checked before either is changed.
        let stored = match affect.contains(Affect::CONFIG) {
            true => {
                let mut def = view.persistent_def().def().clone();
                change.apply(&mut def, &device)?;
                Some(self.complete(Box::new(def)).await?)
            }
            false => None,
        };
        if affect.contains(Affect::LIVE) {
            if change != Change::Update {
                return Err(change.unsupported(device.kind));
            }
            let work = self.work(entry, ErrorDomain::DOMAIN).await?;
            self.update_live(entry, &work, &device).await?;
        }
        match stored {
            Some(def) => self.store_def(entry, def),
            None => Ok(()),
        }
    }

    async fn update_live(&self, entry: &Entry, work: &Working<'_>, device: &Device) -> Result<()> {
        let view = entry.view();
        let devices = view.def.devices.as_ref();
        if let Some(new) = device.interface() {
            let known = devices.map_or(&[][..], |devices| &devices.interfaces);
            let at = interface_place(known, new)?;
            let known = known.get(at).ok_or_else(|| Change::Update.unsupported("interface"))?;
            check_interface(known, new)?;
            let name = alias_of(&known.info).unwrap_or_default().to_owned();
            let state = new.link.as_ref().and_then(|link| link.state);
            let command = SetLink { name, up: state != Some(LinkState::Down) };
            work.monitor.run(&command).await.map_err(|failure| error::monitor(&failure))?;
            let def = view.def.with(|def| {
                let interfaces = def.devices.iter_mut().flat_map(|devices| &mut devices.interfaces);
                if let Some(known) = interfaces.into_iter().nth(at) {
                    known.link.clone_from(&new.link);
                }
            });
            entry.update(|view| Some(View { def, ..view.clone() }));
            self.save(entry, &work.live).await;
            return Ok(());
        }
        if let Some(new) = device.devices.graphics.first() {
            let known = devices.map_or(&[][..], |devices| &devices.graphics);
            let known = known.iter().find(|known| known.kind == new.kind).ok_or_else(|| {
                let kind = new.kind.map_or("unknown", |kind| kind.as_str());
                let detail =
                    format!("cannot find existing graphics device to modify of type '{kind}'");
                Error::new(ErrorCode::DEVICE_MISSING, ErrorDomain::QEMU, detail)
            })?;
            check_graphics(known, new)?;
            let passwords: Vec<_> = resolve::password(new).into_iter().collect();
            let set = set_passwords(&work.monitor, &passwords).await;
            set.map_err(|failure| error::monitor(&failure))?;
            let def = view.def.with(|def| {
                let graphics = def.devices.iter_mut().flat_map(|devices| &mut devices.graphics);
                for known in graphics.filter(|known| known.kind == new.kind) {
                    known.password.clone_from(&new.password);
                    known.password_valid_to.clone_from(&new.password_valid_to);
                    known.connected.clone_from(&new.connected);
                }
            });
            entry.update(|view| Some(View { def, ..view.clone() }));
            self.save(entry, &work.live).await;
            return Ok(());
        }
        Err(Change::Update.unsupported(device.kind))
    }

    async fn detach_alias(&self, entry: &Entry, alias: &str, flags: Flags) -> Result<()> {
        let known = Flags::LIVE | Flags::CONFIG;
        check_flags(flags.bits(), known.bits(), "qemuDomainDetachDeviceAlias")?;
        let view = entry.view();
        self.check_exists(&view)?;
        let affect = affected(&view, Affect::from_bits_retain(flags.bits()))?;
        if affect.contains(Affect::LIVE) {
            let mut def = view.def.def().clone();
            document::detach_alias(&mut def, alias)?;
            return Err(Change::Detach.unsupported(alias));
        }
        let mut def = view.persistent_def().def().clone();
        document::detach_alias(&mut def, alias)?;
        let def = self.complete(Box::new(def)).await?;
        self.store_def(entry, def)
    }
}

/// Only the cable of an interface can be changed while the guest runs. What a client leaves out stays.
fn check_interface(known: &Interface, new: &Interface) -> Result<()> {
    let source = |interface: &Interface| {
        interface.source.as_ref().map(|source| (source.network.clone(), source.bridge.clone()))
    };
    // A running interface of a network shows its bridge too.
    let same_source = match (source(known), source(new)) {
        (Some((known, bridge)), Some((network, other))) => {
            known == network && (network.is_some() || bridge == other)
        }
        (known, new) => known == new,
    };
    let same = |is_same: bool, what: &str| match is_same {
        true => Ok(()),
        false => {
            let detail = format!("cannot modify network device {what}");
            Err(Error::new(ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::QEMU, detail))
        }
    };
    let kept = |is_absent: bool, is_same: bool| is_absent || is_same;
    same(known.kind == new.kind, "type")?;
    same(same_source, "source")?;
    same(kept(new.model.is_none(), known.model == new.model), "model")?;
    same(kept(new.driver.is_none(), known.driver == new.driver), "driver configuration")?;
    same(known.filter == new.filter, "filter")?;
    same(known.bandwidth == new.bandwidth, "bandwidth")?;
    same(known.vlan == new.vlan, "vlan")?;
    same(kept(new.mtu.is_none(), known.mtu == new.mtu), "mtu")?;
    same(known.info.boot == new.info.boot, "boot index setting")
}

/// Only the password of a display can be changed while the guest runs.
fn check_graphics(known: &Graphics, new: &Graphics) -> Result<()> {
    let unsupported =
        |detail: &str| Err(Error::new(ErrorCode::OPERATION_UNSUPPORTED, ErrorDomain::QEMU, detail));
    let is_fixed = new.autoport.is_none_or(|auto| auto == oxivirt_conf::YesNo::No);
    if is_fixed && new.port.is_some_and(|port| port > 0) && new.port != known.port {
        return unsupported("cannot change port settings on vnc graphics");
    }
    if new.keymap.is_some() && new.keymap != known.keymap {
        return unsupported("cannot change keymap setting on vnc graphics");
    }
    if known.password.is_none() && new.password.is_some() {
        return unsupported("a display without password cannot get one while the domain runs");
    }
    Ok(())
}

impl Driver {
    async fn change(
        &self,
        domain: &DomainRef,
        change: Change,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        let ((shared, entry), xml) = (self.both(domain)?, xml.to_owned());
        let changed =
            async move { Box::pin(shared.change_device(&entry, change, &xml, flags)).await };
        self.detached(changed).await
    }
}

#[async_trait]
impl DomainDeviceDriver for Driver {
    async fn domain_attach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change(domain, Change::Attach, xml, flags).await
    }

    async fn domain_detach_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change(domain, Change::Detach, xml, flags).await
    }

    async fn domain_detach_device_alias(
        &self,
        domain: &DomainRef,
        alias: &str,
        flags: Flags,
    ) -> Result<()> {
        let ((shared, entry), alias) = (self.both(domain)?, alias.to_owned());
        self.detached(async move { shared.detach_alias(&entry, &alias, flags).await }).await
    }

    async fn domain_update_device(
        &self,
        domain: &DomainRef,
        xml: &str,
        flags: Flags,
    ) -> Result<()> {
        self.change(domain, Change::Update, xml, flags).await
    }
}
