//! Completion of an unfinished command line.
//!
//! Two modes: command `complete`, whose output is virsh's byte for byte because libvirt's bash script calls it,
//! and the line editor, which also offers values for an empty word.
//!
//! virsh: `vshReadlineParse`, `vshCompleterFilter`, tools/vsh.c

use std::collections::BTreeSet;

use oxivirt::{DomainListFlags, ListFlags, Network, StoragePool, StoragePoolListFlags};

use crate::command::{Completer, Place};
use crate::commands::{self, Table};
use crate::grammar::parse::{Partial, parse_unfinished};
use crate::shell::Shell;

/// Candidates for an empty word where a positional option is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CompletionMode {
    /// Names of options only, as virsh.
    Virsh,
    /// Values of the positional option, then names of options.
    LineEditor,
}

/// Source of the candidates.
#[derive(Debug)]
enum Source {
    /// Names of commands.
    Commands,
    /// Values of an option.
    Values(Completer),
    /// Names of the options not given yet.
    Options,
    /// Values of the next positional option, then names of options.
    Either(Completer),
}

/// All candidates for the word `text` at the end of `line`. None if the word is unknown or may be a file name.
pub(crate) fn candidates(
    shell: &mut Shell,
    line: &[u8],
    text: &[u8],
    mode: CompletionMode,
) -> Vec<String> {
    let table = Table::of(shell.dialect);
    let partial = parse_unfinished(line, &table);
    // a complete command name may be the prefix of a longer one
    let partial = partial.filter(|partial| partial.def().name.as_bytes() != text);
    let mut found = match source(partial.as_ref(), text, mode) {
        Source::Commands => command_names(shell),
        Source::Values(completer) => values(shell, completer, partial.as_ref()),
        Source::Options => options(shell, partial.as_ref()),
        Source::Either(completer) => {
            let mut found = values(shell, completer, partial.as_ref());
            found.extend(options(shell, partial.as_ref()));
            found
        }
    };
    found.retain(|candidate| candidate.as_bytes().starts_with(text));
    found
}

/// Whether the word `text` at the end of `line` may be a file name.
pub(crate) fn takes_file(shell: &Shell, line: &[u8], text: &[u8]) -> bool {
    let Some(partial) = parse_unfinished(line, &Table::of(shell.dialect)) else { return false };
    match partial.last() {
        Some((option, value)) if value == text => option.completer == Completer::Path,
        _ => text.is_empty() && next_positional(&partial) == Some(Completer::Path),
    }
}

fn source(partial: Option<&Partial>, text: &[u8], mode: CompletionMode) -> Source {
    let Some(partial) = partial else { return Source::Commands };
    match partial.last() {
        Some((option, value)) if value == text && option.completer != Completer::None => {
            Source::Values(option.completer)
        }
        _ => match next_positional(partial) {
            Some(completer) if mode == CompletionMode::LineEditor && text.is_empty() => {
                Source::Either(completer)
            }
            _ => Source::Options,
        },
    }
}

/// The completer of the next free positional option.
fn next_positional(partial: &Partial) -> Option<Completer> {
    let mut open = partial.def().options.iter().enumerate();
    open.find(|(index, option)| option.place != Place::Named && !partial.is_given(*index))
        .map(|(_, option)| option.completer)
}

fn command_names(shell: &Shell) -> Vec<String> {
    commands::shown(shell.dialect).map(|def| def.name.to_owned()).collect()
}

fn options(shell: &Shell, partial: Option<&Partial>) -> Vec<String> {
    let Some(partial) = partial else { return Vec::new() };
    let listed = partial.def().listed(shell.dialect);
    let open = listed.filter(|(index, _)| !partial.is_given(*index));
    open.map(|(_, option)| format!("--{}", option.name)).collect()
}

/// Values of an option; none if the driver cannot be reached.
fn values(shell: &mut Shell, completer: Completer, partial: Option<&Partial>) -> Vec<String> {
    match completer {
        Completer::None | Completer::Path => Vec::new(),
        Completer::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
        Completer::Command => command_names(shell),
        Completer::Domain(flags) => {
            let flags = DomainListFlags::from_bits_retain(flags);
            let Ok(connect) = shell.connect() else { return Vec::new() };
            let domains = shell.wait(connect.list_all_domains(flags)).unwrap_or_default();
            let names: BTreeSet<_> =
                domains.iter().map(|domain| domain.name().to_owned()).collect();
            names.into_iter().collect()
        }
        Completer::Network(flags) => {
            let mut names = list(shell, ListFlags::from_bits_retain(flags), |network| {
                network.name().to_owned()
            });
            names.sort();
            names
        }
        Completer::NetworkUuid => {
            let mut uuids = list(shell, ListFlags::NONE, |network| network.uuid().to_string());
            uuids.sort();
            uuids
        }
        Completer::Pool(flags) => {
            let flags = StoragePoolListFlags::from_bits_retain(flags);
            pools(shell, flags, |pool| pool.name().to_owned())
        }
        Completer::PoolUuid => {
            pools(shell, StoragePoolListFlags::empty(), |pool| pool.uuid().to_string())
        }
        Completer::Volume => volumes(shell, partial),
        Completer::Mac => {
            let Some(network) = given_network(shell, partial) else { return Vec::new() };
            let leases = shell.wait(network.dhcp_leases(None)).unwrap_or_default();
            let macs: BTreeSet<_> = leases.into_iter().filter_map(|lease| lease.mac).collect();
            macs.into_iter().collect()
        }
        Completer::Port => {
            let Some(network) = given_network(shell, partial) else { return Vec::new() };
            let ports = shell.wait(network.list_all_ports()).unwrap_or_default();
            let uuids: BTreeSet<_> = ports.iter().map(|port| port.uuid().to_string()).collect();
            uuids.into_iter().collect()
        }
    }
}

fn list(shell: &mut Shell, flags: ListFlags, text: impl Fn(&Network) -> String) -> Vec<String> {
    let Ok(connect) = shell.connect() else { return Vec::new() };
    let networks = shell.wait(connect.list_all_networks(flags)).unwrap_or_default();
    networks.iter().map(text).collect()
}

fn pools(
    shell: &mut Shell,
    flags: StoragePoolListFlags,
    text: impl Fn(&StoragePool) -> String,
) -> Vec<String> {
    let Ok(connect) = shell.connect() else { return Vec::new() };
    let pools = shell.wait(connect.list_all_storage_pools(flags)).unwrap_or_default();
    pools.iter().map(text).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Names in the pool that is given, or paths in all active pools.
fn volumes(shell: &mut Shell, partial: Option<&Partial>) -> Vec<String> {
    let Ok(connect) = shell.connect() else { return Vec::new() };
    let given = partial.and_then(|partial| {
        let has_pool = partial.def().option(b"pool").is_some();
        has_pool.then(|| partial.args().text("pool").ok().flatten()).flatten()
    });
    let mut found = BTreeSet::new();
    if let Some(name) = given {
        if let Ok(pool) = shell.wait(connect.storage_pool_lookup_by_name(&name)) {
            let volumes = shell.wait(pool.list_all_volumes()).unwrap_or_default();
            found.extend(volumes.iter().map(|volume| volume.name().to_owned()));
        }
    } else {
        let active = connect.list_all_storage_pools(StoragePoolListFlags::ACTIVE);
        for pool in shell.wait(active).unwrap_or_default() {
            let volumes = shell.wait(pool.list_all_volumes()).unwrap_or_default();
            found.extend(volumes.iter().filter_map(|volume| shell.wait(volume.path()).ok()));
        }
    }
    found.into_iter().collect()
}

fn given_network(shell: &mut Shell, partial: Option<&Partial>) -> Option<Network> {
    let name = partial?.args().text("network").ok()??;
    let connect = shell.connect().ok()?;
    shell
        .wait(connect.network_lookup_by_name(&name))
        .ok()
        .or_else(|| shell.wait(connect.network_lookup_by_uuid_string(&name)).ok())
}
