use super::*;
use crate::{command::Group, commands};

struct Table;

impl Commands for Table {
    fn command(&self, name: &[u8]) -> Option<&'static CommandDef> {
        let groups: &'static [Group] = commands::GROUPS;
        let mut all = groups.iter().flat_map(|group| group.commands);
        all.find(|def| def.name.as_bytes() == name).copied()
    }

    fn dialect(&self) -> Dialect {
        Dialect::Virsh
    }
}

fn show(result: Result<Vec<Command>, ParseError>) -> String {
    let commands = match result {
        Ok(commands) => commands,
        Err(error) => return error.message(),
    };
    let one = |command: &Command| {
        let mut text = command.def.name.to_owned();
        for given in command.args.parsed() {
            text.push(' ');
            text.push_str(command.def.options[given.index].name);
            if let Value::Text(value) = &given.value {
                text.push('=');
                text.push_str(&String::from_utf8_lossy(value));
            }
        }
        text
    };
    commands.iter().map(one).collect::<Vec<_>>().join(" | ")
}

#[track_caller]
fn check(text: &str, expect: &str) {
    assert_eq!(show(parse_string(text.as_bytes(), &Table)), expect, "{text:?}");
}

#[track_caller]
fn check_words(words: &[&str], expect: &str) {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    assert_eq!(show(parse_words(&words, &Table)), expect, "{words:?}");
}

#[test]
fn commands_and_separators() {
    check("", "");
    check(" ; \n#x", "");
    check("uri", "uri");
    check("uri; pwd\n;uri", "uri | pwd | uri");
    check("'#x' frob; uri", "uri");
    check("frob", "unknown command: 'frob'");
    check("uri; frob; \"", "unknown command: 'frob'");
    check("net-list --al; frob", "command 'net-list' doesn't support option --al");
}

#[test]
fn words_fill_positional_options_in_their_order() {
    check("net-info default", "net-info network=default");
    check("net-info -x", "net-info network=-x");
    check("net-info ''", "net-info network=");
    check("net-info a b", "unexpected data 'b'");
    check("net-list a", "unexpected data 'a'");
    check(
        "net-update n add ip --config x 3",
        "net-update network=n command=add section=ip config xml=x parent-index=3",
    );
    check("net-dhcp-leases n m", "net-dhcp-leases network=n mac=m");
    check("echo a --xml b", "echo string=a xml string=b");
}

#[test]
fn options_by_name() {
    check("net-info --network default", "net-info network=default");
    check("net-info --network=default", "net-info network=default");
    check("net-info --network=a=b", "net-info network=a=b");
    check("net-info --network --x", "net-info network=--x");
    check("net-info --network=", "net-info network=");
    check("net-info --network", "expected syntax: --network <string>");
    check("net-update --parent-index", "expected syntax: --parent-index <number>");
    check("net-info a --network b", "option --network already seen");
    check("net-list --all --all", "option --all already seen");
    check("net-list --all=", "invalid '=' after option --all");
    check("net-info -- --network", "net-info network=--network");
    check("echo --xml -- --shell --shell", "echo xml string=--shell string=--shell");
    check("net-dhcp-leases --mac m n", "net-dhcp-leases mac=m network=n");
}

#[test]
fn required_options() {
    check("net-info", "command 'net-info' requires <network> option");
    check("net-update n add", "command 'net-update' requires <section> option");
}

#[test]
fn aliases() {
    check("echo --str a b", "echo string=a string=b");
    check("echo --str=a", "echo string=a");
    check("echo --hi x", "echo string=hello string=x");
    check("echo --hi=x", "invalid '=' after option --hi");
}

#[test]
fn help_option() {
    check("net-info --help", "help command=net-info");
    check("net-info a --help=x", "help command=net-info");
    check("net-info --help --frob", "command 'net-info' doesn't support option --frob");
    check("net-info --help --network", "expected syntax: --network <string>");
    check("net-info -- --help", "net-info network=--help");
    check("help a b --frob", "help command=a");
    check("help --help", "help command=help");
}

#[test]
fn separate_words_are_taken_as_they_are() {
    check_words(&["echo", ";", "a b", "'"], "echo string=; string=a b string='");
    check_words(&["#", "frob"], "");
    check_words(&["net-list", ";"], "unexpected data ';'");
    check_words(&["net-list uri"], "unknown command: 'net-list uri'");
}
