//! The definition of a command: its name, its options and its handler.
//!
//! Parser, help pages, completion, manual page and completion scripts read these values. A command exists once
//! its definition is in a group of [`crate::commands`].

use crate::{args::Args, failure::Failure, shell::Shell};

/// One command.
#[derive(Debug)]
pub(crate) struct CommandDef {
    pub(crate) name: &'static str,
    /// One line for listings.
    pub(crate) help: &'static str,
    /// The description on the help page; may be empty.
    pub(crate) about: &'static str,
    /// In the order in which positional words fill them.
    pub(crate) options: &'static [OptionDef],
    pub(crate) connection: ConnectionUse,
    pub(crate) visibility: Visibility,
    pub(crate) action: Action,
}

/// Whether listings show a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Shown,
    /// Called by programs only.
    Hidden,
}

/// How a command uses the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionUse {
    /// The connection is opened before the handler runs.
    Required,
    /// The handler needs no connection.
    Unused,
    /// No connection is opened, not even with `-c`: opening a driver may change the host.
    Forbidden,
}

/// What running a command does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Calls the handler.
    Run(fn(&mut Shell, &Args) -> Result<(), Failure>),
    /// Ends the shell or the command string.
    Quit,
}

/// A family of commands.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// The argument of `help` that selects the group.
    pub(crate) keyword: &'static str,
    pub(crate) origin: Origin,
    pub(crate) commands: &'static [&'static CommandDef],
}

/// One option of a command.
#[derive(Debug)]
pub(crate) struct OptionDef {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    pub(crate) presence: Presence,
    pub(crate) empty_policy: EmptyPolicy,
    pub(crate) completer: Completer,
    pub(crate) help: &'static str,
    pub(crate) origin: Origin,
    /// The option is not required if one of these is given.
    pub(crate) waived_by: &'static [&'static str],
}

/// Origin of a command or an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Part of virsh.
    Virsh,
    /// An extension of ours, hidden when the shell is called `virsh`.
    Ours,
}

/// The command set and the texts of the shell, chosen by the name it is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Exactly virsh.
    Virsh,
    /// virsh with our extensions.
    Oxish,
}

impl Dialect {
    /// The dialect for a program name.
    pub(crate) fn of_program(name: &str) -> Self {
        if name == "virsh" { Self::Virsh } else { Self::Oxish }
    }

    /// The name that prompt and generated scripts show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Virsh => "virsh",
            Self::Oxish => "oxish",
        }
    }

    /// Whether the dialect includes commands and options of this origin.
    pub(crate) fn has(self, origin: Origin) -> bool {
        self == Self::Oxish || origin == Origin::Virsh
    }
}

/// The kind of value an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No value.
    Flag,
    /// Any bytes.
    Text,
    /// A decimal number.
    Number,
    /// Any number of words.
    List,
    /// Another name of option `of`; with a built-in `value` it takes none itself.
    Alias { of: &'static str, value: Option<&'static str> },
}

/// Whether an option can be given by position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only by name.
    Named,
    /// By position, and listed so.
    Positional,
    /// By position as well, but listed as a named option.
    Accepted,
}

/// Whether an option must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// How an empty value is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmptyPolicy {
    /// The command fails when it reads the value.
    Reject,
    Accept,
}

/// The source of completion candidates for an option's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completer {
    /// No candidates.
    None,
    /// File names, which the line editor and the calling shell list.
    Path,
    /// Names of the domains that pass a filter (bits of [`oxivirt::DomainListFlags`]).
    Domain(u32),
    /// Names of the networks that pass a filter (bits of [`oxivirt::ListFlags`]).
    Network(u32),
    /// UUIDs of all networks.
    NetworkUuid,
    /// UUIDs of the ports of the network on the same command line.
    Port,
    /// MAC addresses in the leases of the network on the same command line.
    Mac,
    /// Names of the pools that pass a filter (bits of [`oxivirt::StoragePoolListFlags`]).
    Pool(u32),
    /// UUIDs of all pools.
    PoolUuid,
    /// Names of the volumes of the pool on the same command line; else paths in all pools.
    Volume,
    /// A fixed list.
    Words(&'static [&'static str]),
    /// Names of commands.
    Command,
}

impl OptionDef {
    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Self {
        Self {
            name,
            kind,
            place: Place::Named,
            presence: Presence::Optional,
            empty_policy: EmptyPolicy::Reject,
            completer: Completer::None,
            help,
            origin: Origin::Virsh,
            waived_by: &[],
        }
    }

    /// Not required if one of these options is given.
    pub(crate) const fn waived_by(mut self, options: &'static [&'static str]) -> Self {
        self.waived_by = options;
        self
    }

    /// Marks an extension that virsh does not have.
    pub(crate) const fn ours(mut self) -> Self {
        self.origin = Origin::Ours;
        self
    }

    /// An option without a value.
    pub(crate) const fn flag(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Flag, help)
    }

    /// An option with a text value.
    pub(crate) const fn text(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Text, help)
    }

    /// An option with a numeric value.
    pub(crate) const fn number(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Number, help)
    }

    /// An option with a list of words.
    pub(crate) const fn list(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::List, help)
    }

    /// Another name of the option `of`.
    pub(crate) const fn alias(
        name: &'static str,
        of: &'static str,
        value: Option<&'static str>,
    ) -> Self {
        Self::new(name, Kind::Alias { of, value }, "")
    }

    pub(crate) const fn positional(mut self) -> Self {
        self.place = Place::Positional;
        self
    }

    pub(crate) const fn accepted(mut self) -> Self {
        self.place = Place::Accepted;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.presence = Presence::Required;
        self
    }

    pub(crate) const fn may_be_empty(mut self) -> Self {
        self.empty_policy = EmptyPolicy::Accept;
        self
    }

    pub(crate) const fn complete(mut self, completer: Completer) -> Self {
        self.completer = completer;
        self
    }
}

impl CommandDef {
    /// A command that requires a connection.
    pub(crate) const fn new(
        name: &'static str,
        help: &'static str,
        run: fn(&mut Shell, &Args) -> Result<(), Failure>,
    ) -> Self {
        Self {
            name,
            help,
            about: "",
            options: &[],
            connection: ConnectionUse::Required,
            visibility: Visibility::Shown,
            action: Action::Run(run),
        }
    }

    /// A command that ends the shell.
    pub(crate) const fn quit(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            about: "",
            options: &[],
            connection: ConnectionUse::Unused,
            visibility: Visibility::Shown,
            action: Action::Quit,
        }
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.visibility = Visibility::Hidden;
        self
    }

    /// The options that listings show, with their indices.
    pub(crate) fn listed(
        &self,
        dialect: Dialect,
    ) -> impl Iterator<Item = (usize, &'static OptionDef)> {
        self.options.iter().enumerate().filter(move |(_, option)| {
            !matches!(option.kind, Kind::Alias { .. }) && dialect.has(option.origin)
        })
    }

    pub(crate) const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    pub(crate) const fn options(mut self, options: &'static [OptionDef]) -> Self {
        self.options = options;
        self
    }

    pub(crate) const fn offline(mut self) -> Self {
        self.connection = ConnectionUse::Unused;
        self
    }

    pub(crate) const fn without_connection(mut self) -> Self {
        self.connection = ConnectionUse::Forbidden;
        self
    }

    /// The option of this name, aliases included.
    pub(crate) fn option(&self, name: &[u8]) -> Option<(usize, &'static OptionDef)> {
        self.options.iter().enumerate().find(|(_, option)| option.name.as_bytes() == name)
    }
}
