//! Commands about networks and their ports, and the options that several of them share.

pub(super) mod autostart;
pub(super) mod create;
pub(super) mod define;
pub(super) mod desc;
pub(super) mod destroy;
pub(super) mod dhcp_leases;
pub(super) mod dumpxml;
pub(super) mod edit;
pub(crate) mod event;
pub(super) mod graph;
pub(super) mod info;
pub(super) mod lease_wait;
pub(super) mod list;
pub(super) mod metadata;
pub(super) mod name;
mod notes;
pub(super) mod port_create;
pub(super) mod port_delete;
pub(super) mod port_dumpxml;
pub(super) mod port_list;
pub(super) mod start;
pub(super) mod status;
pub(super) mod takeover;
pub(super) mod undefine;
pub(super) mod update;
pub(super) mod uuid;
pub(super) mod watch;

use oxivirt::{ListFlags, Port, UpdateFlags};

use crate::args::Args;
use crate::command::{Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

/// The network a command works on; completion offers those that pass `filter`.
const fn network_option(filter: ListFlags) -> OptionDef {
    OptionDef::text("network", mark!("network name or uuid"))
        .positional()
        .required()
        .complete(Completer::Network(filter.bits()))
}

/// The file a command reads.
const fn file_option() -> OptionDef {
    OptionDef::text("file", mark!("file containing an XML network description"))
        .positional()
        .required()
        .complete(Completer::Path)
}

const VALIDATE: OptionDef =
    OptionDef::flag("validate", mark!("validate the XML against the schema"));

const LIVE: OptionDef = OptionDef::flag("live", mark!("affect the running network"));
const CONFIG: OptionDef = OptionDef::flag("config", mark!("affect the stored definition"));
const CURRENT: OptionDef =
    OptionDef::flag("current", mark!("affect the current state of the network"));

/// The scope that `--live` and `--config` select; neither is the current state.
fn scope(args: &Args) -> Result<UpdateFlags, Failure> {
    args.exclusive("current", "live")?;
    args.exclusive("current", "config")?;
    let mut flags = UpdateFlags::NONE;
    if args.flag("live") {
        flags |= UpdateFlags::LIVE;
    }
    if args.flag("config") {
        flags |= UpdateFlags::CONFIG;
    }
    Ok(flags)
}

/// The word for a state that is on or off.
pub(crate) fn yes_no(is_on: bool) -> String {
    if is_on { tr!("yes") } else { tr!("no") }
}

const fn port_option() -> OptionDef {
    OptionDef::text("port", mark!("UUID of the port"))
        .positional()
        .required()
        .complete(Completer::Port)
}

/// The port that the options `network` and `port` name.
fn port_lookup(shell: &mut Shell, args: &Args) -> Result<Port, Failure> {
    let network = shell.network(args)?;
    let text = args.required("port")?;
    shell
        .wait(network.port_lookup_by_uuid_string(&text))
        .context(|| tr!("failed to get network port '{text}'", text = text))
}
