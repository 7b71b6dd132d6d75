//! Usage text, command listings and help pages, all from the command table.
//!
//! virsh: `virshUsage`, `vshCmddefHelp`, tools/virsh.c, tools/vsh.c

use std::fmt::Write as _;

use oxivirt::Version;

use crate::command::{CommandDef, Dialect, Group, Kind, OptionDef, Place, Presence, Visibility};
use crate::commands::groups;
use crate::i18n::{text, tr};
use crate::options::global_options;

/// The text for `-h`.
pub(crate) fn usage(program: &str, dialect: Dialect) -> String {
    let mut out = tr!(
        "\n{program} [options]... [<command_string>]\n{program} [options]... <command> [args...]\n\n  options:\n",
        program = program
    );
    for option in global_options() {
        let long = match (option.long, option.takes_value) {
            ("", _) => String::new(),
            ("version", _) => " | --version[=TYPE]".to_owned(),
            (long, true) => format!(" | --{long} <{}>", long.rsplit('-').next().unwrap_or(long)),
            (long, false) => format!(" | --{long}"),
        };
        let spelling = format!("-{}{long}", option.short);
        let _infallible = writeln!(out, "    {spelling:<40} {}", text(option.help));
    }
    out.push_str(&tr!("  commands (non interactive mode):\n\n"));
    for group in groups(dialect) {
        let title = text(group.title);
        out.push_str(&tr!(
            " {title} (help keyword '{keyword}')\n",
            title = title,
            keyword = group.keyword
        ));
        push_commands(&mut out, group);
        out.push('\n');
    }
    out.push_str(&tr!("\n  (specify help <group> for details about the commands in the group)\n"));
    out.push_str(&tr!("\n  (specify help <command> for details about the command)\n\n"));
    out
}

/// Oxivirt's own version.
const OXIVIRT: &str = env!("CARGO_PKG_VERSION");

/// The line for `-v`: virsh prints the bare libvirt version, which scripts read.
pub(crate) fn short_version(dialect: Dialect) -> String {
    let libvirt = Version::LIBVIRT;
    match dialect {
        Dialect::Virsh => format!("{libvirt}\n"),
        Dialect::Oxish => format!("oxish {OXIVIRT} (libvirt {libvirt})\n"),
    }
}

/// The text for `-V`.
pub(crate) fn long_version(dialect: Dialect) -> String {
    let libvirt = Version::LIBVIRT;
    let features = "Compiled with support for:\n Hypervisors: Test\n \
         Networking: Remote Network Bridging\n Storage:\n Miscellaneous: Nftables\n";
    match dialect {
        Dialect::Virsh => format!(
            "Virsh command line tool of libvirt {libvirt}\nSee web site at https://libvirt.org/\n\n\
             {features} Oxivirt {OXIVIRT}\n"
        ),
        Dialect::Oxish => format!(
            "oxish, the shell of Oxivirt {OXIVIRT}\nCompatible with virsh of libvirt {libvirt}\n\n{features}"
        ),
    }
}

/// The greeting of interactive mode.
pub(crate) fn banner(program: &str) -> String {
    tr!(
        "Welcome to {program}, the virtualization interactive terminal.\n\nType:  'help' for help with commands\n       'quit' to quit\n\n",
        program = program
    )
}

/// All groups with their commands.
pub(crate) fn all_groups(dialect: Dialect) -> String {
    let mut out = tr!("Grouped commands:\n\n");
    for listed in groups(dialect) {
        out.push_str(&group(listed));
        out.push('\n');
    }
    out
}

/// A group with its commands.
pub(crate) fn group(group: &Group) -> String {
    let title = text(group.title);
    let mut out =
        tr!(" {title} (help keyword '{keyword}'):\n", title = title, keyword = group.keyword);
    push_commands(&mut out, group);
    out
}

fn push_commands(out: &mut String, group: &Group) {
    for command in group.commands.iter().filter(|command| command.visibility == Visibility::Shown) {
        // writing to a String cannot fail
        let _infallible = writeln!(out, "    {:<30} {}", command.name, text(command.help));
    }
}

/// The help page of a command.
pub(crate) fn page(command: &CommandDef, dialect: Dialect) -> String {
    let listed = || command.listed(dialect).map(|(_, option)| option);
    let mut out =
        tr!("  NAME\n    {name} - {help}\n", name = command.name, help = text(command.help));
    out.push_str(&tr!("\n  SYNOPSIS\n"));
    out.push_str("    ");
    out.push_str(command.name);
    out.push_str(&synopsis_of(command, dialect));
    out.push('\n');
    if !command.about.is_empty() {
        out.push_str(&tr!("\n  DESCRIPTION\n    {about}\n", about = text(command.about)));
    }
    if listed().next().is_some() {
        out.push_str(&tr!("\n  OPTIONS\n"));
        for option in listed() {
            let _infallible = writeln!(out, "    {:<15}  {}", label(option), text(option.help));
        }
    }
    out
}

/// The options in the synopsis of a command.
pub(crate) fn synopsis_of(command: &CommandDef, dialect: Dialect) -> String {
    command.listed(dialect).map(|(_, option)| synopsis(option)).collect()
}

fn synopsis(option: &OptionDef) -> String {
    let name = option.name;
    let required = option.presence == Presence::Required;
    match (option.kind, option.place) {
        (Kind::Flag, _) => format!(" [--{name}]"),
        (Kind::List, _) => format!(" [<{name}>]..."),
        (_, Place::Positional) if required => format!(" <{name}>"),
        (_, Place::Positional) => format!(" [<{name}>]"),
        (kind, _) => {
            let value = value_word(kind);
            if required { format!(" --{name} {value}") } else { format!(" [--{name} {value}]") }
        }
    }
}

fn label(option: &OptionDef) -> String {
    let name = option.name;
    match (option.kind, option.place) {
        (Kind::Flag, _) => format!("--{name}"),
        (Kind::List, _) => format!("[--{name}] <string>..."),
        (kind, Place::Positional) => format!("[--{name}] {}", value_word(kind)),
        (kind, _) => format!("--{name} {}", value_word(kind)),
    }
}

fn value_word(kind: Kind) -> &'static str {
    if kind == Kind::Number { "<number>" } else { "<string>" }
}
