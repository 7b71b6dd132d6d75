//! `dumpxml`: print a domain's XML.

use oxivirt::{DomainListFlags, DomainXmlFlags};

use super::{INACTIVE, domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::Failure;
use crate::i18n::mark;
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("dumpxml", mark!("print a domain's XML"), run).options(&[
        domain_option(DomainListFlags::empty()),
        INACTIVE,
        OptionDef::flag("security-info", mark!("include passwords")),
        OptionDef::flag("update-cpu", mark!("print the CPU as the host provides it")),
        OptionDef::flag("migratable", mark!("print what older versions accept")),
        XPATH,
        WRAP,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let mut flags = DomainXmlFlags::empty();
    for (option, flag) in [
        ("inactive", DomainXmlFlags::INACTIVE),
        ("security-info", DomainXmlFlags::SECURE),
        ("update-cpu", DomainXmlFlags::UPDATE_CPU),
        ("migratable", DomainXmlFlags::MIGRATABLE),
    ] {
        if args.flag(option) {
            flags |= flag;
        }
    }
    let xml = shell.wait(domain.xml_desc(flags))?;
    print_xml(shell, args, &xml)
}
