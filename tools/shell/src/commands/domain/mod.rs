//! Commands about domains, and what several of them share.

pub(super) mod autostart;
pub(super) mod console;
pub(super) mod create;
pub(super) mod define;
pub(super) mod desc;
pub(super) mod destroy;
pub(super) mod devices;
pub(super) mod display;
pub(super) mod dumpxml;
pub(super) mod edit;
pub(super) mod event;
pub(super) mod id;
pub(super) mod ifaddr;
pub(super) mod info;
pub(super) mod link;
pub(super) mod list;
pub(super) mod metadata;
pub(super) mod name;
mod notes;
pub(super) mod power;
pub(super) mod rename;
pub(super) mod reset;
pub(super) mod resume;
pub(super) mod start;
pub(super) mod state;
pub(super) mod suspend;
pub(super) mod undefine;
pub(super) mod uuid;

use oxivirt::{Domain, DomainAffectFlags, DomainListFlags, DomainXmlFlags};

use crate::args::Args;
use crate::command::{Completer, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::log::Level;
use crate::shell::Shell;

/// Length of a UUID as text.
const UUID_TEXT: usize = 36;

/// The domain a command works on; completion offers those that pass `filter`.
const fn domain_option(filter: DomainListFlags) -> OptionDef {
    OptionDef::text("domain", mark!("domain name, number or UUID"))
        .positional()
        .required()
        .complete(Completer::Domain(filter.bits()))
}

/// The file a command reads.
const fn file_option() -> OptionDef {
    OptionDef::text("file", mark!("file containing an XML domain description"))
        .positional()
        .required()
        .complete(Completer::Path)
}

const INACTIVE: OptionDef =
    OptionDef::flag("inactive", mark!("print the definition used at the next start"));
const VALIDATE: OptionDef =
    OptionDef::flag("validate", mark!("validate the XML against the schema"));
const LIVE: OptionDef = OptionDef::flag("live", mark!("affect the running domain"));
const CONFIG: OptionDef = OptionDef::flag("config", mark!("affect the stored definition"));
const CURRENT: OptionDef =
    OptionDef::flag("current", mark!("affect the current state of the domain"));
const CONSOLE: OptionDef = OptionDef::flag("console", mark!("connect to the console afterwards"));
const PAUSED: OptionDef = OptionDef::flag("paused", mark!("leave the guest paused"));
const AUTODESTROY: OptionDef =
    OptionDef::flag("autodestroy", mark!("destroy the guest when the connection ends"));
const RESET_NVRAM: OptionDef =
    OptionDef::flag("reset-nvram", mark!("reset the variables of the firmware"));

/// The scope that `--live` and `--config` select; neither is the current state.
fn scope(args: &Args) -> Result<DomainAffectFlags, Failure> {
    args.exclusive("current", "live")?;
    args.exclusive("current", "config")?;
    let mut flags = DomainAffectFlags::empty();
    if args.flag("live") {
        flags |= DomainAffectFlags::LIVE;
    }
    if args.flag("config") {
        flags |= DomainAffectFlags::CONFIG;
    }
    Ok(flags)
}

/// Which keys a domain is looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keys {
    id: bool,
    uuid: bool,
    name: bool,
}

const ANY: Keys = Keys { id: true, uuid: true, name: true };

/// The domain that option `domain` names, by number, UUID or name.
///
/// # Errors
/// If there is no such domain, or no connection.
fn domain(shell: &mut Shell, args: &Args) -> Result<Domain, Failure> {
    lookup(shell, args, ANY)
}

/// The domain that option `domain` names, looked up as `keys` allow.
///
/// virsh: `virshLookupDomainInternal`, tools/virsh-util.c
fn lookup(shell: &mut Shell, args: &Args, keys: Keys) -> Result<Domain, Failure> {
    let connect = shell.connect()?;
    let text = args.required("domain")?;
    let command = args.command().name;
    shell.ui.debug(Level::Info, &format!("{command}: found option <domain>: {text}"))?;
    if let Some(id) = text.parse::<u32>().ok().filter(|_| keys.id) {
        shell.ui.debug(Level::Debug, &format!("{command}: <domain> looking up as domain ID"))?;
        if let Ok(domain) = shell.wait(connect.domain_lookup_by_id(id)) {
            return Ok(domain);
        }
    }
    if keys.uuid
        && text.len() == UUID_TEXT
        && let Some(uuid) = oxivirt::parse_uuid(&text)
    {
        shell.ui.debug(Level::Debug, &format!("{command}: <domain> trying as domain UUID"))?;
        if let Ok(domain) = shell.wait(connect.domain_lookup_by_uuid(uuid)) {
            return Ok(domain);
        }
    }
    if keys.name {
        shell.ui.debug(Level::Debug, &format!("{command}: <domain> trying as domain NAME"))?;
        if let Ok(domain) = shell.wait(connect.domain_lookup_by_name(&text)) {
            return Ok(domain);
        }
    }
    // the reasons of the attempts would contradict each other
    Err(Failure::Message(tr!("failed to get domain '{text}'", text = text)))
}

/// The document of a domain: the running one, or that of the next start with `--inactive`.
fn document(shell: &Shell, args: &Args, domain: &Domain) -> Result<String, Failure> {
    let flags =
        if args.flag("inactive") { DomainXmlFlags::INACTIVE } else { DomainXmlFlags::empty() };
    Ok(shell.wait(domain.xml_desc(flags))?)
}

/// The failure of a document that is not XML.
fn not_xml(error: &oxivirt_xml::XmlError) -> Failure {
    Failure::Message(tr!("cannot parse the XML: {error}", error = error))
}
