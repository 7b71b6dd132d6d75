//! What a guest says about itself, as parameters.
//!
//! libvirt 11.3.0: `qemuDomainGetGuestInfo`, src/qemu/qemu_driver.c

use oxivirt::{
    DomainFileSystem, DomainGuestInfoTypes as Types, Error, ErrorCode, ErrorDomain, Result,
    TypedParam, TypedValue,
};
use oxivirt_conf::domain::DomainDef;
use oxivirt_conf::domain::address::Address;
use oxivirt_conf::domain::device::disk::Disk;
use oxivirt_qmp::agent::{
    Filesystem, GetFsinfo, GetHostName, GetOsinfo, GetTimezone, GetUsers, Interface,
    NetworkGetInterfaces, OsInfo, Timezone, User,
};
use serde_json::{Value, json};

use super::Link;

type Params = Vec<TypedParam>;

fn text(to: &mut Params, field: impl Into<String>, value: &str) {
    let value = TypedValue::String(value.to_owned());
    to.push(TypedParam { field: field.into(), value });
}

fn count(to: &mut Params, field: impl Into<String>, n: usize) {
    let value = TypedValue::UInt(u32::try_from(n).unwrap_or(u32::MAX));
    to.push(TypedParam { field: field.into(), value });
}

fn number(to: &mut Params, field: impl Into<String>, value: u64) {
    to.push(TypedParam { field: field.into(), value: TypedValue::ULLong(value) });
}

/// A question that is skipped if the guest cannot answer it, unless it was asked for by name.
fn optional<T>(answer: Result<T>, is_asked: bool) -> Result<Option<T>> {
    match answer {
        Err(error) if !is_asked && error.code() == ErrorCode::AGENT_COMMAND_FAILED => Ok(None),
        answer => answer.map(Some),
    }
}

/// All that `types` name, or all that the guest can say.
pub(super) async fn info(link: &Link, def: &DomainDef, types: Types) -> Result<Params> {
    let known = Types::from_bits_retain(0xff);
    if !known.contains(types) {
        let detail = format!("unsupported guest information types '0x{:x}'", types.bits());
        return Err(Error::new(ErrorCode::INVALID_ARG, ErrorDomain::QEMU, detail));
    }
    let is_asked = !types.is_empty();
    let wanted = |kind: Types| !is_asked || types.contains(kind);
    let mut params = Params::new();
    if wanted(Types::USERS)
        && let Some(found) = optional(link.run(&GetUsers {}).await, is_asked)?
    {
        users(&found, &mut params);
    }
    if wanted(Types::OS)
        && let Some(found) = optional(link.run(&GetOsinfo {}).await, is_asked)?
    {
        os(&found, &mut params);
    }
    if wanted(Types::TIMEZONE)
        && let Some(found) = optional(link.run(&GetTimezone {}).await, is_asked)?
    {
        timezone(&found, &mut params);
    }
    if wanted(Types::HOSTNAME)
        && let Some(found) = optional(link.run(&GetHostName {}).await, is_asked)?
    {
        text(&mut params, "hostname", &found.host_name);
    }
    if wanted(Types::FILESYSTEM)
        && let Some(found) = optional(link.run(&GetFsinfo {}).await, is_asked)?
    {
        file_systems(&found, def, &mut params);
    }
    for (kind, command, form) in [
        (Types::DISKS, "guest-get-disks", disks as fn(&Value, &mut Params)),
        (Types::LOAD, "guest-get-load", load),
    ] {
        if wanted(kind)
            && let Some(found) =
                optional(link.ask(command, &json!({}), link.deadline).await, is_asked)?
        {
            form(&found, &mut params);
        }
    }
    if wanted(Types::INTERFACES)
        && let Some(found) = optional(link.run(&NetworkGetInterfaces {}).await, is_asked)?
    {
        interfaces(&found, &mut params);
    }
    Ok(params)
}

fn users(users: &[User], to: &mut Params) {
    count(to, "user.count", users.len());
    for (at, user) in users.iter().enumerate() {
        text(to, format!("user.{at}.name"), &user.user);
        if let Some(domain) = &user.domain {
            text(to, format!("user.{at}.domain"), domain);
        }
        let time = std::time::Duration::try_from_secs_f64(user.login_time).unwrap_or_default();
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        number(to, format!("user.{at}.login-time"), milliseconds);
    }
}

fn os(os: &OsInfo, to: &mut Params) {
    for (name, value) in [
        ("id", &os.id),
        ("name", &os.name),
        ("pretty-name", &os.pretty_name),
        ("version", &os.version),
        ("version-id", &os.version_id),
        ("machine", &os.machine),
        ("variant", &os.variant),
        ("variant-id", &os.variant_id),
        ("kernel-release", &os.kernel_release),
        ("kernel-version", &os.kernel_version),
    ] {
        if let Some(value) = value {
            text(to, format!("os.{name}"), value);
        }
    }
}

fn timezone(zone: &Timezone, to: &mut Params) {
    if let Some(name) = &zone.zone {
        text(to, "timezone.name", name);
    }
    let offset = TypedValue::Int(i32::try_from(zone.offset).unwrap_or_default());
    to.push(TypedParam { field: "timezone.offset".to_owned(), value: offset });
}

fn file_systems(systems: &[Filesystem], def: &DomainDef, to: &mut Params) {
    count(to, "fs.count", systems.len());
    for (at, system) in systems.iter().enumerate() {
        text(to, format!("fs.{at}.name"), &system.name);
        text(to, format!("fs.{at}.mountpoint"), &system.mountpoint);
        text(to, format!("fs.{at}.fstype"), &system.kind);
        for (name, value) in
            [("total-bytes", system.total_bytes), ("used-bytes", system.used_bytes)]
        {
            if let Some(value) = value {
                number(to, format!("fs.{at}.{name}"), value);
            }
        }
        count(to, format!("fs.{at}.disk.count"), system.disk.len());
        for (disk_at, disk) in system.disk.iter().enumerate() {
            let prefix = format!("fs.{at}.disk.{disk_at}");
            if let Some(alias) = disk_of(disk, def) {
                text(to, format!("{prefix}.alias"), &alias);
            }
            for (name, key) in [("serial", "serial"), ("device", "dev")] {
                if let Some(value) = disk.get(key).and_then(Value::as_str) {
                    text(to, format!("{prefix}.{name}"), value);
                }
            }
        }
    }
}

fn disks(disks: &Value, to: &mut Params) {
    let disks = disks.as_array().map(Vec::as_slice).unwrap_or_default();
    count(to, "disk.count", disks.len());
    for (at, disk) in disks.iter().enumerate() {
        text(to, format!("disk.{at}.name"), disk.get("name").and_then(Value::as_str).unwrap_or(""));
        let is_partition = disk.get("partition").and_then(Value::as_bool).unwrap_or(false);
        let value = TypedValue::Boolean(is_partition);
        to.push(TypedParam { field: format!("disk.{at}.partition"), value });
        let below = disk.get("dependencies").and_then(Value::as_array);
        if let Some(below) = below {
            count(to, format!("disk.{at}.dependency.count"), below.len());
            for (below_at, name) in below.iter().enumerate() {
                let name = name.as_str().unwrap_or_default();
                text(to, format!("disk.{at}.dependency.{below_at}.name"), name);
            }
        }
        if let Some(alias) = disk.get("alias").and_then(Value::as_str) {
            text(to, format!("disk.{at}.guest_alias"), alias);
        }
    }
}

fn load(load: &Value, to: &mut Params) {
    for (name, key) in [("1m", "load1m"), ("5m", "load5m"), ("15m", "load15m")] {
        if let Some(value) = load.get(key).and_then(Value::as_f64) {
            let value = TypedValue::Double(value);
            to.push(TypedParam { field: format!("load.{name}"), value });
        }
    }
}

fn interfaces(interfaces: &[Interface], to: &mut Params) {
    count(to, "if.count", interfaces.len());
    for (at, interface) in interfaces.iter().enumerate() {
        text(to, format!("if.{at}.name"), &interface.name);
        if let Some(mac) = &interface.hardware_address {
            text(to, format!("if.{at}.hwaddr"), mac);
        }
        count(to, format!("if.{at}.addr.count"), interface.ip_addresses.len());
        for (address_at, address) in interface.ip_addresses.iter().enumerate() {
            let prefix = format!("if.{at}.addr.{address_at}");
            text(to, format!("{prefix}.type"), &address.ip_address_type);
            text(to, format!("{prefix}.addr"), &address.ip_address);
            let value = TypedValue::UInt(address.prefix);
            to.push(TypedParam { field: format!("{prefix}.prefix"), value });
        }
    }
}

/// A file system with the disks that it is on.
pub(super) fn file_system(system: &Filesystem, def: &DomainDef) -> DomainFileSystem {
    DomainFileSystem {
        mountpoint: system.mountpoint.clone(),
        name: system.name.clone(),
        kind: system.kind.clone(),
        disks: system.disk.iter().filter_map(|disk| disk_of(disk, def)).collect(),
    }
}

/// The disk that the guest means, by its place.
fn disk_of(place: &Value, def: &DomainDef) -> Option<String> {
    let number = |value: &Value, name: &str| {
        value.get(name).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok())
    };
    let pci = place.get("pci-controller")?;
    let is_meant = |disk: &&Disk| match &disk.info.address {
        Some(Address::Pci(own)) => {
            [Some(own.domain), Some(own.bus), Some(own.slot), Some(own.function)]
                == ["domain", "bus", "slot", "function"].map(|name| number(pci, name))
        }
        Some(Address::Drive(own)) => {
            [Some(own.bus), Some(own.target), Some(own.unit)]
                == ["bus", "target", "unit"].map(|name| number(place, name))
        }
        _ => false,
    };
    let disks = def.devices.iter().flat_map(|devices| &devices.disks);
    let found = disks.into_iter().find(is_meant)?;
    found.target.as_ref()?.dev.clone()
}

/// Bytes as base64 (RFC 4648), in which the agent takes passwords.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let byte = |at: usize| u32::from(piece.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4_usize {
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            let letter = DIGITS.get(digit).copied().map_or('A', char::from);
            text.push(if at <= piece.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, expect) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), expect);
        }
    }

    #[test]
    fn a_disk_is_known_by_its_place() {
        let xml = "<domain type='qemu'><name>a</name><memory>1</memory><os><type>hvm</type></os>\
            <devices><disk type='file'><source file='/x'/><target dev='vda'/>\
            <address type='pci' domain='0x0000' bus='0x04' slot='0x00' function='0x0'/></disk>\
            </devices></domain>";
        let def = DomainDef::parse(xml).unwrap();
        let place = json!({"bus-type": "virtio", "bus": 0, "unit": 0, "target": 0,
            "pci-controller": {"bus": 4, "slot": 0, "domain": 0, "function": 0}});
        assert_eq!(disk_of(&place, &def).as_deref(), Some("vda"));
        let other = json!({"pci-controller": {"bus": 5, "slot": 0, "domain": 0, "function": 0}});
        assert_eq!(disk_of(&other, &def), None);
        assert_eq!(disk_of(&json!({}), &def), None);
    }

    #[test]
    fn what_the_guest_says_has_libvirts_names() {
        let mut params = Params::new();
        users(&[User { user: "root".into(), domain: None, login_time: 1.5 }], &mut params);
        timezone(&Timezone { zone: Some("UTC".into()), offset: -3600 }, &mut params);
        load(&json!({"load1m": 0.5}), &mut params);
        let fields: Vec<&str> = params.iter().map(|param| param.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "user.count",
                "user.0.name",
                "user.0.login-time",
                "timezone.name",
                "timezone.offset",
                "load.1m"
            ]
        );
        assert_eq!(params.get(2).unwrap().value, TypedValue::ULLong(1500));
    }
}
