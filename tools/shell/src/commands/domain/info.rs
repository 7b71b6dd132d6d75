//! `dominfo`: show key figures of a domain.

use oxivirt::{Autostart, Domain, DomainListFlags};

use super::list::id_text;
use super::state::state_word;
use super::{domain, domain_option};
use crate::args::Args;
use crate::command::CommandDef;
use crate::commands::network::yes_no;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::print_fields;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("dominfo", mark!("show key figures of a domain"), run)
        .options(&[domain_option(DomainListFlags::empty())]);

const NS_PER_TENTH: u64 = 100_000_000;

/// virsh: `cmdDominfo`, tools/virsh-domain-monitor.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let mut lines = vec![
        (tr!("Id:"), id_text(domain.id())),
        (tr!("Name:"), domain.name().to_owned()),
        (tr!("UUID:"), domain.uuid().to_string()),
    ];
    if let Ok(os_type) = shell.wait(domain.os_type()) {
        lines.push((tr!("OS Type:"), os_type));
    }
    let info = shell.wait(domain.info())?;
    lines.push((tr!("State:"), state_word(info.state).to_owned()));
    lines.push((tr!("CPU(s):"), info.n_vcpus.to_string()));
    if info.cpu_time_ns != 0 {
        let tenths = info.cpu_time_ns / NS_PER_TENTH;
        lines.push((tr!("CPU time:"), format!("{}.{}s", tenths / 10, tenths % 10)));
    }
    lines.push((tr!("Max memory:"), format!("{} KiB", info.max_memory_kib)));
    lines.push((tr!("Used memory:"), format!("{} KiB", info.memory_kib)));
    let persistent = shell.wait(domain.is_persistent());
    let persistent = persistent.map_or_else(|_| tr!("unknown"), yes_no);
    lines.push((tr!("Persistent:"), persistent));
    if let Ok(autostart) = shell.wait(domain.autostart()) {
        let word = if autostart == Autostart::Enabled { "enable" } else { "disable" };
        lines.push((tr!("Autostart:"), word.to_owned()));
    }
    // no driver saves domains
    lines.push((tr!("Managed save:"), yes_no(false)));
    security(shell, &domain, &mut lines)?;
    print_fields(shell, 15, &lines)
}

/// How the domain is kept apart, if the host has a security model.
fn security(
    shell: &mut Shell,
    domain: &Domain,
    lines: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let model = shell.wait(connect.security_model()).ok();
    let Some(model) = model.filter(|model| !model.model.is_empty()) else { return Ok(()) };
    lines.push((tr!("Security model:"), model.model));
    lines.push((tr!("Security DOI:"), model.doi));
    let label = shell.wait(domain.security_label())?;
    if !label.label.is_empty() {
        let mode = if label.is_enforcing { "enforcing" } else { "permissive" };
        lines.push((tr!("Security label:"), format!("{} ({mode})", label.label)));
    }
    Ok(())
}
