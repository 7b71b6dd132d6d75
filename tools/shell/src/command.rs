//! What a command is: its name, its options, what it does. One table for everybody who asks.
//!
//! The parser, the help pages, completion and the generated man page and shell scripts all read
//! these values; a command exists as soon as its definition is in a group of [`crate::commands`].

use crate::{args::Args, failure::Failure, shell::Shell};

/// One command.
#[derive(Debug)]
pub(crate) struct CommandDef {
    pub(crate) name: &'static str,
    /// One line for listings.
    pub(crate) help: &'static str,
    /// The description on its help page; may be empty.
    pub(crate) about: &'static str,
    /// In the order in which positional values fill them.
    pub(crate) options: &'static [OptionDef],
    pub(crate) needs: Needs,
    pub(crate) visibility: Visibility,
    pub(crate) action: Action,
}

/// Whether listings show a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visibility {
    Shown,
    /// For programs.
    Hidden,
}

/// What a command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// An open connection.
    Connection,
    /// Nothing but the shell.
    Nothing,
    /// The host as it is: opening a connection might change it.
    NoConnection,
}

/// What a command does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Runs.
    Run(fn(&mut Shell, &Args) -> Result<(), Failure>),
    /// Ends the shell or the command string.
    Quit,
}

/// Commands which belong together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) title: &'static str,
    /// The word `help` knows it by.
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
    pub(crate) emptiness: Emptiness,
    pub(crate) completer: Completer,
    pub(crate) help: &'static str,
    pub(crate) origin: Origin,
    /// Options that make a required one needless.
    pub(crate) waived_by: &'static [&'static str],
}

/// Where a command or an option comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// virsh has it.
    Virsh,
    /// Only we have it: it is not there when the shell is called `virsh`.
    Ours,
}

/// Who the shell is, which is told by the name it is called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persona {
    /// virsh and nothing else.
    Virsh,
    /// virsh and what only we have.
    Oxish,
}

impl Persona {
    /// The persona of a program name.
    pub(crate) fn of_program(name: &str) -> Self {
        if name == "virsh" { Self::Virsh } else { Self::Oxish }
    }

    /// Whether something of this origin is there.
    pub(crate) fn has(self, origin: Origin) -> bool {
        self == Self::Oxish || origin == Origin::Virsh
    }
}

/// What an option takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing.
    Flag,
    /// Any bytes.
    Text,
    /// A decimal number.
    Number,
    /// Any number of words.
    List,
    /// Stands for another option; with a value, it takes none itself.
    Alias { of: &'static str, value: Option<&'static str> },
}

/// Whether a word without a name can be the value of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Only by name.
    Named,
    /// By position, and shown so.
    Positional,
    /// By position too, but shown as an option.
    Accepted,
}

/// Whether a command can do without an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// Whether an option may have the empty value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emptiness {
    Refused,
    Allowed,
}

/// What completion offers for the value of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Completer {
    /// Nothing of ours.
    None,
    /// File names, which the line editor and the shells know better.
    Path,
    /// Names of networks which pass a filter (bits of [`oxivirt::ListFlags`]).
    Network(u32),
    /// UUIDs of all networks.
    NetworkUuid,
    /// UUIDs of the ports of the network given before.
    Port,
    /// MAC addresses in the leases of the network given before.
    Mac,
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
            emptiness: Emptiness::Refused,
            completer: Completer::None,
            help,
            origin: Origin::Virsh,
            waived_by: &[],
        }
    }

    /// Not required beside one of these options.
    pub(crate) const fn waived_by(mut self, options: &'static [&'static str]) -> Self {
        self.waived_by = options;
        self
    }

    /// An option that virsh does not have.
    pub(crate) const fn ours(mut self) -> Self {
        self.origin = Origin::Ours;
        self
    }

    /// An option which is there or not.
    pub(crate) const fn flag(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Flag, help)
    }

    /// An option with a text.
    pub(crate) const fn text(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Text, help)
    }

    /// An option with a number.
    pub(crate) const fn number(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Number, help)
    }

    /// An option with any number of words.
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
        self.emptiness = Emptiness::Allowed;
        self
    }

    pub(crate) const fn complete(mut self, completer: Completer) -> Self {
        self.completer = completer;
        self
    }
}

impl CommandDef {
    /// A command which needs a connection.
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
            needs: Needs::Connection,
            visibility: Visibility::Shown,
            action: Action::Run(run),
        }
    }

    /// A command which ends the shell.
    pub(crate) const fn quit(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            about: "",
            options: &[],
            needs: Needs::Nothing,
            visibility: Visibility::Shown,
            action: Action::Quit,
        }
    }

    pub(crate) const fn hidden(mut self) -> Self {
        self.visibility = Visibility::Hidden;
        self
    }

    /// The options as listings show them.
    pub(crate) fn listed(
        &self,
        persona: Persona,
    ) -> impl Iterator<Item = (usize, &'static OptionDef)> {
        self.options.iter().enumerate().filter(move |(_, option)| {
            !matches!(option.kind, Kind::Alias { .. }) && persona.has(option.origin)
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
        self.needs = Needs::Nothing;
        self
    }

    pub(crate) const fn unconnected(mut self) -> Self {
        self.needs = Needs::NoConnection;
        self
    }

    /// The option of this name, aliases included.
    pub(crate) fn option(&self, name: &[u8]) -> Option<(usize, &'static OptionDef)> {
        self.options.iter().enumerate().find(|(_, option)| option.name.as_bytes() == name)
    }
}
