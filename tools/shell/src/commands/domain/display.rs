//! `domdisplay`: print where a guest's displays are.

use oxivirt::{DomainListFlags, DomainXmlFlags};
use oxivirt_xml::{self as xml, Blanks, Element};

use super::{domain, domain_option, not_xml};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domdisplay", mark!("print the URI of a guest's display"), run).options(&[
        domain_option(DomainListFlags::ACTIVE),
        OptionDef::flag("include-password", mark!("include the password in the URI")),
        OptionDef::text("type", mark!("only displays of this type"))
            .positional()
            .complete(Completer::Words(TYPES)),
        OptionDef::flag("all", mark!("print all displays, not only the first one")),
    ]);

/// Types of displays that have a URI, in the order in which they are printed.
const TYPES: &[&str] = &["vnc", "spice", "rdp", "dbus"];

/// The first port of VNC displays.
const VNC_PORT: i32 = 5900;

/// virsh: `cmdDomDisplay`, tools/virsh-domain.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    if !shell.wait(domain.is_active())? {
        return Err(Failure::Message(tr!("Domain is not running")));
    }
    let wanted = args.text("type")?;
    let with_password = args.flag("include-password");
    let flags = if with_password { DomainXmlFlags::SECURE } else { DomainXmlFlags::empty() };
    let text = shell.wait(domain.xml_desc(flags))?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let types = TYPES.iter().filter(|kind| wanted.as_deref().is_none_or(|one| one == **kind));
    let mut uris = types.filter_map(|kind| {
        let mut graphics =
            root.children("devices").flat_map(|devices| devices.children("graphics"));
        uri(kind, graphics.find(|graphics| graphics.attribute("type") == Some(kind))?)
    });
    let Some(first) = uris.next() else {
        return Err(Failure::Message(match wanted {
            Some(kind) => tr!("No graphical display with type '{kind}' found", kind = kind),
            None => tr!("No graphical display found"),
        }));
    };
    if !args.flag("all") {
        shell.ui.print(first)?;
        return Ok(());
    }
    for uri in std::iter::once(first).chain(uris) {
        shell.ui.print(uri + "\n")?;
    }
    Ok(())
}

/// The URI of a display, with the password if the document has it.
fn uri(kind: &str, graphics: &Element<'_>) -> Option<String> {
    if let Some(socket) = socket(kind, graphics) {
        return Some(format!("{kind}+unix://{socket}"));
    }
    if kind == "dbus" {
        let path = graphics.attribute("address")?.strip_prefix("unix:path=")?;
        return Some(format!("{kind}+unix://{path}"));
    }
    let number = |name: &str| graphics.attribute(name)?.parse::<i32>().ok();
    // a VNC display without a port is printed as if it were 0 or the unset port, as virsh does
    let (port, tls) = (number("port"), number("tlsPort"));
    if kind != "vnc" && port.is_none() && tls.is_none() {
        return None;
    }
    let password = graphics.attribute("passwd");
    let listen = graphics.child("listen").and_then(|listen| listen.attribute("address"));
    let host = match graphics.attribute("listen").or(listen) {
        None | Some("0.0.0.0" | "::") => "localhost".to_owned(),
        Some(address) if address.contains(':') => format!("[{address}]"),
        Some(address) => address.to_owned(),
    };
    let mut uri = format!("{kind}://");
    if let Some(password) = password.filter(|_| kind == "vnc") {
        uri += &format!(":{password}@");
    }
    uri += &host;
    if let Some(port) = port {
        let shown = if kind == "vnc" { port.saturating_sub(VNC_PORT) } else { port };
        uri += &format!(":{shown}");
    }
    let mut parameters = Vec::new();
    parameters.extend(tls.map(|port| format!("tls-port={port}")));
    let password = password.filter(|_| kind == "spice");
    parameters.extend(password.map(|password| format!("password={password}")));
    if !parameters.is_empty() {
        uri += &format!("?{}", parameters.join("&"));
    }
    Some(uri)
}

/// The socket in the file system on which a display listens.
fn socket<'g>(kind: &str, graphics: &'g Element<'_>) -> Option<&'g str> {
    if kind == "dbus" {
        return None;
    }
    let listen = graphics.child("listen").and_then(|listen| listen.attribute("socket"));
    graphics.attribute("socket").or(listen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(graphics: &str, expect: Option<&str>) {
        let root = xml::parse(graphics, Blanks::Drop).unwrap();
        let found = uri(root.attribute("type").unwrap(), &root);
        assert_eq!(found.as_deref(), expect, "{graphics}");
    }

    #[test]
    fn addresses_are_those_of_virsh() {
        let spice =
            "<graphics type='spice' port='5910' tlsPort='5912' listen='127.0.0.1' passwd='x'/>";
        check(spice, Some("spice://127.0.0.1:5910?tls-port=5912&password=x"));
        check("<graphics type='spice' port='-1'/>", Some("spice://localhost:-1"));
        check("<graphics type='spice'/>", None);
        check("<graphics type='vnc' port='5901' listen='::1'/>", Some("vnc://[::1]:1"));
        check("<graphics type='vnc' port='5901' passwd='p'/>", Some("vnc://:p@localhost:1"));
        let listen =
            "<graphics type='vnc' port='5901'><listen type='address' address='::'/></graphics>";
        check(listen, Some("vnc://localhost:1"));
        check("<graphics type='vnc' socket='/a b'/>", Some("vnc+unix:///a b"));
        let socket = "<graphics type='spice'><listen type='socket' socket='/x'/></graphics>";
        check(socket, Some("spice+unix:///x"));
        check("<graphics type='rdp' port='3389'/>", Some("rdp://localhost:3389"));
        check("<graphics type='dbus' address='unix:path=/x'/>", Some("dbus+unix:///x"));
        check("<graphics type='dbus'/>", None);
    }
}
