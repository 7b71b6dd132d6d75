//! `domblklist`, `domiflist`, `ttyconsole`, `vncdisplay`: devices as a domain's document has them.

use oxivirt::DomainListFlags;
use oxivirt_xml::{self as xml, Blanks, Element};

use super::{INACTIVE, document, domain, domain_option, not_xml};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::{Table, print_table};

pub(crate) const DOMBLKLIST: CommandDef =
    CommandDef::new("domblklist", mark!("list a domain's disks"), disks).options(&[
        domain_option(DomainListFlags::empty()),
        INACTIVE,
        OptionDef::flag("details", mark!("show the type and the kind of device as well")),
    ]);

pub(crate) const DOMIFLIST: CommandDef =
    CommandDef::new("domiflist", mark!("list a domain's interfaces"), interfaces)
        .options(&[domain_option(DomainListFlags::empty()), INACTIVE]);

pub(crate) const TTYCONSOLE: CommandDef =
    CommandDef::new("ttyconsole", mark!("print the device of a guest's console"), console_device)
        .options(&[domain_option(DomainListFlags::ACTIVE)]);

pub(crate) const VNCDISPLAY: CommandDef =
    CommandDef::new("vncdisplay", mark!("print the address of the VNC display"), vnc_display)
        .options(&[domain_option(DomainListFlags::ACTIVE)]);

/// The first port of VNC displays.
const VNC_PORT: i32 = 5900;

fn or_hyphen(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

/// An attribute of a child element.
fn of<'e>(device: &'e Element<'_>, child: &str, attribute: &str) -> Option<&'e str> {
    device.child(child)?.attribute(attribute)
}

/// The source of a disk, as virsh names it.
///
/// virsh: `cmdDomblklist`, tools/virsh-domain-monitor.c
pub(super) fn disk_source<'d>(disk: &'d Element<'_>) -> Option<&'d str> {
    let source = disk.child("source")?;
    let names = ["file", "dev", "dir", "name", "volume", "path"];
    names.into_iter().find_map(|name| source.attribute(name))
}

fn disks(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let text = document(shell, args, &domain)?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let details = args.flag("details");
    let mut header = Vec::new();
    if details {
        header.extend([tr!("Type"), tr!("Device")]);
    }
    header.extend([tr!("Target"), tr!("Source")]);
    let mut table = Table::new(header);
    for disk in root.children("devices").flat_map(|devices| devices.children("disk")) {
        let mut cells = Vec::new();
        if details {
            cells.extend(["type", "device"].map(|name| or_hyphen(disk.attribute(name))));
        }
        cells.push(or_hyphen(of(disk, "target", "dev")));
        cells.push(or_hyphen(disk_source(disk)));
        table.push(cells);
    }
    print_table(shell, &table)
}

/// virsh: `cmdDomiflist`, tools/virsh-domain-monitor.c
fn interfaces(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let text = document(shell, args, &domain)?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let header = [tr!("Interface"), tr!("Type"), tr!("Source"), tr!("Model"), tr!("MAC")];
    let mut table = Table::new(header);
    for link in root.children("devices").flat_map(|devices| devices.children("interface")) {
        let kind = link.attribute("type").unwrap_or_default();
        let attribute = if kind == "direct" { "dev" } else { kind };
        table.push([
            or_hyphen(of(link, "target", "dev")),
            kind.to_owned(),
            or_hyphen(of(link, "source", attribute)),
            or_hyphen(of(link, "model", "type")),
            or_hyphen(of(link, "mac", "address")),
        ]);
    }
    print_table(shell, &table)
}

fn console_device(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let text = shell.wait(domain.xml_desc(oxivirt::DomainXmlFlags::empty()))?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let console = root.child("devices").and_then(|devices| devices.child("console"));
    match console.and_then(|console| console.attribute("tty")) {
        Some(device) => shell.ui.print(format!("{device}\n"))?,
        None => return Err(Failure::Reported),
    }
    Ok(())
}

/// virsh: `cmdVNCDisplay`, tools/virsh-domain.c
fn vnc_display(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    if !shell.wait(domain.is_active())? {
        return Err(Failure::Message(tr!("Domain is not running")));
    }
    let text = shell.wait(domain.xml_desc(oxivirt::DomainXmlFlags::empty()))?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let mut graphics = root.children("devices").flat_map(|devices| devices.children("graphics"));
    let vnc = graphics.find(|graphics| graphics.attribute("type") == Some("vnc"));
    let port = vnc.and_then(|vnc| vnc.attribute("port")?.parse::<i32>().ok());
    let Some((vnc, port)) = vnc.zip(port.filter(|port| *port >= 0)) else {
        let line = tr!("Failed to get VNC port. Is this domain using VNC?");
        return Err(Failure::Message(line));
    };
    // a display of all addresses is shown without one
    let address = vnc.attribute("listen").filter(|address| *address != "0.0.0.0");
    let display = port.saturating_sub(VNC_PORT);
    shell.ui.print(format!("{}:{display}\n", address.unwrap_or_default()))?;
    Ok(())
}
