//! `start`: start an inactive domain.

use oxivirt::{ConsoleFlags, DomainListFlags, DomainPlan, PlanVerb};

use super::create::flags;
use super::{AUTODESTROY, CONSOLE, Keys, PAUSED, RESET_NVRAM, console, domain_option, lookup};
use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::format::{Format, OBJECT_FORMAT, print_value};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("start", mark!("start an inactive domain"), run).options(&[
        domain_option(DomainListFlags::INACTIVE),
        CONSOLE,
        PAUSED,
        AUTODESTROY,
        OptionDef::flag("bypass-cache", mark!("read a saved state without the page cache")),
        OptionDef::flag("force-boot", mark!("discard a saved state")),
        RESET_NVRAM,
        OptionDef::flag("dry-run", mark!("print the command line without starting anything"))
            .ours(),
        OBJECT_FORMAT,
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let domain = lookup(shell, args, Keys { id: false, uuid: true, name: true })?;
    if domain.id().is_some() {
        return Err(Failure::Message(tr!("Domain is already active")));
    }
    let name = domain.name();
    let format = Format::of_object(args)?;
    if args.flag("dry-run") {
        let plan = shell
            .wait(domain.plan(PlanVerb::Start))
            .context(|| tr!("Failed to start domain '{name}'", name = name))?;
        return match format {
            Some(format) => print_value(shell, format, &plan),
            None => shell.ui.print(command_text(&plan)).map_err(Into::into),
        };
    }
    let started = shell
        .wait(domain.create(flags(args)))
        .context(|| tr!("Failed to start domain '{name}'", name = name))?;
    shell.ui.extra(tr!("Domain '{name}' started\n", name = name))?;
    if args.flag("console") {
        return console::connect(shell, &started, None, ConsoleFlags::empty());
    }
    Ok(())
}

/// A command that a shell can execute, an option in each line.
fn command_text(plan: &DomainPlan) -> String {
    let mut text = String::new();
    for variable in &plan.environment {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        text.push_str(&format!("{name}={} \\\n", quoted(value)));
    }
    let mut words = plan.command.iter();
    text.push_str(&quoted(words.next().map_or("", String::as_str)));
    for word in words {
        text.push_str(if word.starts_with('-') { " \\\n  " } else { " " });
        text.push_str(&quoted(word));
    }
    text.push('\n');
    text
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+/.,:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_given_to_a_shell() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let plan = DomainPlan {
            domain: "a".to_owned(),
            environment: words(&["LC_ALL=C", "HOME=/a b"]),
            command: words(&["/qemu", "-S", "-device", "{\"driver\":\"it's\"}"]),
        };
        let expect = "LC_ALL=C \\\nHOME='/a b' \\\n/qemu \\\n  -S \\\n  -device '{\"driver\":\"it'\\''s\"}'\n";
        assert_eq!(command_text(&plan), expect);
    }
}
