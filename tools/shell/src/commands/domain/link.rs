//! `domif-getlink`: print whether a guest's interface has a link.

use oxivirt::{DomainListFlags, DomainXmlFlags};
use oxivirt_xml::{self as xml, Blanks, Element};

use super::{domain, domain_option, not_xml};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("domif-getlink", mark!("print the link state of a guest's interface"), run)
        .options(&[
            domain_option(DomainListFlags::empty()),
            OptionDef::text("interface", mark!("link on the host, or MAC address"))
                .positional()
                .required(),
            OptionDef::flag("config", mark!("print the stored state")),
            OptionDef::alias("persistent", "config", None),
        ]);

/// virsh: `cmdDomIfGetLink`, tools/virsh-domain-monitor.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let name = args.required("interface")?;
    let domain = domain(shell, args)?;
    let flags =
        if args.flag("config") { DomainXmlFlags::INACTIVE } else { DomainXmlFlags::empty() };
    let text = shell.wait(domain.xml_desc(flags))?;
    let root = xml::parse(&text, Blanks::Drop).map_err(|error| not_xml(&error))?;
    let is_mac = is_mac(&name);
    let mut interfaces = root.children("devices").flat_map(|list| list.children("interface"));
    let Some(interface) = interfaces.find(|interface| is_called(interface, &name, is_mac)) else {
        return Err(Failure::Message(if is_mac {
            tr!("Interface (mac: {name}) not found.", name = name)
        } else {
            tr!("Interface (dev: {name}) not found.", name = name)
        }));
    };
    let state = interface.child("link").and_then(|link| link.attribute("state"));
    shell.ui.print(format!("{name} {}", state.unwrap_or("up")))?;
    Ok(())
}

fn is_called(interface: &Element<'_>, name: &str, is_mac: bool) -> bool {
    let (child, attribute) = if is_mac { ("mac", "address") } else { ("target", "dev") };
    let found = interface.child(child).and_then(|child| child.attribute(attribute));
    found.is_some_and(|found| if is_mac { found.eq_ignore_ascii_case(name) } else { found == name })
}

fn is_mac(text: &str) -> bool {
    let is_byte =
        |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(is_byte)
}
