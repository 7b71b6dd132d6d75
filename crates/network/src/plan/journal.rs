//! The form of undo steps in a journal file.
//!
//! Version 1, since the first release: rules as the words of their removal, names as text. Read into the
//! typed [`Undo`] with everything checked; a bad entry damages the journal file, and the
//! error names line and column.

use std::path::PathBuf;

use oxivirt_nft::iptables::{self, Rule};
use oxivirt_nft::libvirt::NetworkRules;
use oxivirt_nft::{Family, Removal, UserChainJump};
use oxivirt_types::link_name::{LinkName, LinkNameError};
use serde::{Deserialize, Serialize};

use super::Undo;
use super::removal::{ForeignRemoval, JumpTarget, Program};
use crate::components::dhcp::{DhcpUndo, StopDnsmasq, StopServing};

/// An undo step as it is written.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Form {
    StopDnsmasq { conf_file: PathBuf, pid_file: PathBuf },
    StopServing { network: uuid::Uuid, socket: PathBuf, journal: PathBuf },
    DeleteBridge { name: String, address: Option<[u8; 6]> },
    RemoveRules { words: Vec<String> },
    RemoveLibvirtRules { bridge: String, subnets: Vec<String> },
    RemovePassage { words: Vec<String> },
    RemoveIptables { commands: Vec<Command> },
    RunRemoval { program: String, arguments: Vec<String> },
    ClearShaping { link: String },
    LeaveZone { link: String },
    RemoveDir { path: PathBuf },
    RemoveFile { path: PathBuf },
    RemoveIfEmpty { path: PathBuf },
}

/// A saved command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Command {
    program: String,
    arguments: Vec<String>,
}

/// Why an undo step cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum FormError {
    #[error(transparent)]
    Name(#[from] LinkNameError),
    #[error("damaged removal of rules: {0}")]
    Rules(#[from] oxivirt_nft::removal::ParseRemovalError),
    #[error("'{0}' removes no chain of ours")]
    Jump(String),
    #[error("'{0}' is not a subnet")]
    Subnet(String),
    #[error("'{0}' deletes no iptables rule")]
    Iptables(String),
    #[error("'{0}' is no firewall program")]
    Program(String),
}

impl TryFrom<Form> for Undo {
    type Error = FormError;

    fn try_from(form: Form) -> Result<Self, FormError> {
        Ok(match form {
            Form::StopDnsmasq { conf_file, pid_file } => {
                Self::Dhcp(DhcpUndo::StopDnsmasq(StopDnsmasq { conf_file, pid_file }))
            }
            Form::StopServing { network, socket, journal } => {
                Self::Dhcp(DhcpUndo::StopServing(StopServing { network, socket, journal }))
            }
            Form::DeleteBridge { name, address } => {
                Self::DeleteBridge { name: LinkName::new(&name)?, address }
            }
            Form::RemoveRules { words } => Self::RemoveRules(Removal::parse(&words)?),
            Form::RemoveLibvirtRules { bridge, subnets } => {
                let subnets = subnets
                    .into_iter()
                    .map(|text| text.parse().map_err(|_| FormError::Subnet(text)))
                    .collect::<Result<_, _>>()?;
                Self::RemoveLibvirtRules(NetworkRules { bridge: LinkName::new(&bridge)?, subnets })
            }
            Form::RemovePassage { words } => {
                let removal = UserChainJump::of_removal(&words);
                let (family, bridge) = removal.ok_or_else(|| FormError::Jump(words.join(" ")))?;
                Self::RemoveUserChainJump(JumpTarget { family, bridge })
            }
            Form::RemoveIptables { commands } => {
                Self::RemoveIptables(commands.iter().map(Command::rule).collect::<Result<_, _>>()?)
            }
            Form::RunRemoval { program, arguments } => {
                Self::RunRemoval(foreign(program, arguments)?)
            }
            Form::ClearShaping { link } => Self::ClearQueues { link: LinkName::new(&link)? },
            Form::LeaveZone { link } => Self::LeaveZone { link: LinkName::new(&link)? },
            Form::RemoveDir { path } => Self::RemoveDir { path },
            Form::RemoveFile { path } => Self::RemoveFile { path },
            Form::RemoveIfEmpty { path } => Self::RemoveIfEmpty { path },
        })
    }
}

impl From<Undo> for Form {
    fn from(undo: Undo) -> Self {
        match undo {
            Undo::Dhcp(DhcpUndo::StopDnsmasq(StopDnsmasq { conf_file, pid_file })) => {
                Self::StopDnsmasq { conf_file, pid_file }
            }
            Undo::Dhcp(DhcpUndo::StopServing(StopServing { network, socket, journal })) => {
                Self::StopServing { network, socket, journal }
            }
            Undo::DeleteBridge { name, address } => {
                Self::DeleteBridge { name: name.to_string(), address }
            }
            Undo::RemoveRules(removal) => Self::RemoveRules { words: removal.words() },
            Undo::RemoveLibvirtRules(NetworkRules { bridge, subnets }) => {
                let subnets = subnets.iter().map(ToString::to_string).collect();
                Self::RemoveLibvirtRules { bridge: bridge.to_string(), subnets }
            }
            Undo::RemoveUserChainJump(target) => Self::RemovePassage { words: target.words() },
            Undo::RemoveIptables(rules) => {
                let command = |rule: &Rule| Command {
                    program: iptables::program(rule.family).to_owned(),
                    arguments: rule.deletion(),
                };
                Self::RemoveIptables { commands: rules.iter().map(command).collect() }
            }
            Undo::RunRemoval(ForeignRemoval { program, args }) => {
                let lock = program.lock_option().map(str::to_owned);
                let arguments = lock.into_iter().chain(args).collect();
                Self::RunRemoval { program: program.name().to_owned(), arguments }
            }
            Undo::ClearQueues { link } => Self::ClearShaping { link: link.to_string() },
            Undo::LeaveZone { link } => Self::LeaveZone { link: link.to_string() },
            Undo::RemoveDir { path } => Self::RemoveDir { path },
            Undo::RemoveFile { path } => Self::RemoveFile { path },
            Undo::RemoveIfEmpty { path } => Self::RemoveIfEmpty { path },
        }
    }
}

impl Command {
    fn rule(&self) -> Result<Rule, FormError> {
        let family = [Family::Ipv4, Family::Ipv6]
            .into_iter()
            .find(|family| iptables::program(*family) == self.program);
        let rule = family.and_then(|family| Rule::from_deletion(family, &self.arguments));
        rule.ok_or_else(|| {
            FormError::Iptables(format!("{} {}", self.program, self.arguments.join(" ")))
        })
    }
}

fn foreign(program: String, mut arguments: Vec<String>) -> Result<ForeignRemoval, FormError> {
    let known = Program::ALL.into_iter().find(|known| known.name() == program);
    let program = known.ok_or(FormError::Program(program))?;
    if arguments.first().map(String::as_str) == program.lock_option() && !arguments.is_empty() {
        arguments.remove(0);
    }
    Ok(ForeignRemoval { program, args: arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines are of a journal that the first version wrote.
    const OLD: [&str; 8] = [
        r#"{"stop-dnsmasq":{"conf_file":"/n.conf","pid_file":"/n.pid"}}"#,
        r#"{"delete-bridge":{"name":"virbr0","address":[82,84,0,1,2,3]}}"#,
        r#"{"remove-libvirt-rules":{"bridge":"virbr0","subnets":["10.0.0.0/24"]}}"#,
        r#"{"remove-passage":{"words":["flush","chain","ip","filter","OXIVIRT_virbr0"]}}"#,
        r#"{"remove-iptables":{"commands":[{"program":"ip6tables","arguments":["--table","filter","--delete","LIBVIRT_FWX","--jump","ACCEPT"]}]}}"#,
        r#"{"run-removal":{"program":"iptables","arguments":["-w","-D","INPUT"]}}"#,
        r#"{"clear-shaping":{"link":"br0"}}"#,
        r#"{"leave-zone":{"link":"virbr0"}}"#,
    ];

    #[test]
    fn journals_of_the_first_version_read_back_unchanged() {
        for line in OLD {
            let undo: Undo = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&undo).unwrap(), line);
        }
    }

    #[test]
    fn a_bad_entry_is_an_error() {
        for (good, bad, expect) in [
            ("10.0.0.0/24", "10.0.0.0/240", "'10.0.0.0/240' is not a subnet"),
            ("virbr0", "a/b", "link name"),
            ("\"iptables\"", "\"sh\"", "'sh' is no firewall program"),
            ("--delete", "--append", "deletes no iptables rule"),
            ("\"flush\"", "\"delete\"", "removes no chain of ours"),
        ] {
            let line = OLD.into_iter().find(|line| line.contains(good)).unwrap();
            let error = serde_json::from_str::<Undo>(&line.replace(good, bad)).unwrap_err();
            assert!(error.to_string().contains(expect), "{error}");
        }
        let truncated = r#"{"remove-rules":{"words":["add","chain","inet","t","in_a"]}}"#;
        assert!(serde_json::from_str::<Undo>(truncated).is_err());
    }
}
