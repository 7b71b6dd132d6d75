//! `edit`: change a domain's XML in an editor.

use oxivirt::{DomainDefineFlags, DomainListFlags, DomainXmlFlags, ErrorCode};

use super::{domain, domain_option};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::editor::{self, EditRequest, Verdict};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("edit", mark!("change a domain's XML in an editor"), run)
        .about(mark!("Opens the stored definition of a domain in an editor and stores the result."))
        .options(&[
            domain_option(DomainListFlags::empty()),
            OptionDef::flag("skip-validate", mark!("do not validate the XML against the schema")),
        ]);

/// virsh: `cmdEdit`, tools/virsh-domain.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = domain(shell, args)?;
    let connect = shell.connect()?;
    let flags = if args.flag("skip-validate") {
        DomainDefineFlags::empty()
    } else {
        DomainDefineFlags::VALIDATE
    };
    let fetch = |shell: &mut Shell| {
        let flags = DomainXmlFlags::INACTIVE | DomainXmlFlags::SECURE;
        Ok(shell.wait(domain.xml_desc(flags))?)
    };
    let apply = |shell: &mut Shell, text: &str| {
        match shell.wait(connect.domain_define_xml(text, flags)) {
            // a driver without schemas
            Err(error) if error.code() == ErrorCode::INVALID_ARG && !flags.is_empty() => {
                let flags = DomainDefineFlags::empty();
                Ok(shell.wait(connect.domain_define_xml(text, flags))?)
            }
            answer => Ok(answer?),
        }
    };
    let verdict =
        editor::edit(shell, &EditRequest { fetch: &fetch, apply: &apply, preview: None })?;
    let line = match verdict {
        Verdict::Unchanged => {
            tr!("Domain '{name}' XML configuration not changed.\n", name = domain.name())
        }
        Verdict::Applied(domain) => {
            tr!("Domain '{name}' XML configuration edited.\n", name = domain.name())
        }
    };
    shell.ui.extra(line)?;
    Ok(())
}
