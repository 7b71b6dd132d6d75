//! Scripts for the completion of bash, zsh and fish, from the command table.
//!
//! Names of commands and options are in the script; values that only a driver knows come from command `complete`,
//! whose candidates have their blanks escaped.

use std::fmt::Write as _;

use crate::command::{Dialect, Kind};
use crate::commands::shown;
use crate::i18n::text;
use crate::options::global_options;

/// The shells with a script.
pub(crate) const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// The script for `shell`.
pub(crate) fn of(shell: &str, dialect: Dialect) -> Option<String> {
    let program = dialect.name();
    // virsh offers no names for an empty word
    let values = if dialect == Dialect::Virsh { "" } else { " --values" };
    match shell {
        "bash" => Some(bash(program, values)),
        "zsh" => Some(zsh(program, values)),
        "fish" => Some(fish(program, dialect, values)),
        _ => None,
    }
}

/// Spellings of the global options.
fn global_words() -> String {
    let mut words = Vec::new();
    for option in global_options() {
        words.push(format!("-{}", option.short));
        if !option.long.is_empty() {
            words.push(format!("--{}", option.long));
        }
    }
    words.join(" ")
}

fn options_with_value(separator: &str) -> String {
    let with_value = global_options().filter(|option| option.takes_value);
    let words = with_value.map(|option| format!("-{}{separator}--{}", option.short, option.long));
    words.collect::<Vec<_>>().join(separator)
}

fn bash(program: &str, values: &str) -> String {
    format!(
        r#"# bash completion for {program}
_{program}() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} i=1 word
    local -a options=() words=()
    COMPREPLY=()
    while ((i < COMP_CWORD)); do
        word=${{COMP_WORDS[i]}}
        case $word in
            -c|--connect) options+=("$word" "${{COMP_WORDS[i + 1]}}"); ((i += 2)) ;;
            {with_value}) ((i += 2)) ;;
            -r|--readonly) options+=("$word"); ((i += 1)) ;;
            -*) ((i += 1)) ;;
            *) break ;;
        esac
    done
    if ((i == COMP_CWORD)) && [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{global}' -- "$cur")
        return
    fi
    words=("${{COMP_WORDS[@]:i:COMP_CWORD - i + 1}}")
    mapfile -t COMPREPLY < <("${{COMP_WORDS[0]}}" -q "${{options[@]}}" complete{values} -- "${{words[@]}}" 2>/dev/null)
    ((${{#COMPREPLY[@]}})) || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}}
complete -F _{program} {program}
"#,
        with_value = options_with_value("|"),
        global = global_words(),
    )
}

fn zsh(program: &str, values: &str) -> String {
    format!(
        r#"#compdef {program}
# zsh completion for {program}
_{program}() {{
    local cur=${{words[CURRENT]}} i=2 word
    local -a options line found
    while ((i < CURRENT)); do
        word=${{words[i]}}
        case $word in
            -c|--connect) options+=("$word" "${{words[i+1]}}"); ((i += 2)) ;;
            {with_value}) ((i += 2)) ;;
            -r|--readonly) options+=("$word"); ((i += 1)) ;;
            -*) ((i += 1)) ;;
            *) break ;;
        esac
    done
    if ((i == CURRENT)) && [[ $cur == -* ]]; then
        compadd -- {global}
        return
    fi
    line=("${{(@)words[i,CURRENT]}}")
    found=("${{(@f)$(${{words[1]}} -q $options complete{values} -- "${{line[@]}}" 2>/dev/null)}}")
    found=("${{(@)found:#}}")
    if ((${{#found}})); then
        compadd -Q -- "${{found[@]}}"
    else
        _files
    fi
}}
compdef _{program} {program}
"#,
        with_value = options_with_value("|"),
        global = global_words(),
    )
}

fn fish(program: &str, dialect: Dialect, values: &str) -> String {
    let mut out = format!(
        r#"# fish completion for {program}
function __{program}_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l options
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case -c --connect
                set -a options $words[1..2]
                set -e words[1..2]
            case {with_value}
                set -e words[1..2]
            case -r --readonly
                set -a options $words[1]
                set -e words[1]
            case '-*'
                set -e words[1]
            case '*'
                break
        end
    end
    {program} -q $options complete{values} -- $words 2>/dev/null | string replace -a '\\ ' ' '
end
complete -c {program} -a '(__{program}_complete)'
"#,
        with_value = options_with_value(" "),
    );
    let names: Vec<_> = shown(dialect).map(|command| command.name).collect();
    let names = names.join(" ");
    for option in global_options() {
        let long =
            if option.long.is_empty() { String::new() } else { format!(" -l {}", option.long) };
        let value = if option.takes_value { " -x" } else { "" };
        let help = quote(text(option.help));
        let _infallible = writeln!(
            out,
            "complete -c {program} -n 'not __fish_seen_subcommand_from {names}' -s {}{long}{value} -d {help}",
            option.short
        );
    }
    for command in shown(dialect) {
        let name = command.name;
        let help = quote(text(command.help));
        let _infallible = writeln!(
            out,
            "complete -c {program} -n 'not __fish_seen_subcommand_from {names}' -f -a {name} -d {help}"
        );
        for (_, option) in command.listed(dialect) {
            let value = if option.kind == Kind::Flag { "" } else { " -r" };
            let help = quote(text(option.help));
            let _infallible = writeln!(
                out,
                "complete -c {program} -n '__fish_seen_subcommand_from {name}' -l {}{value} -d {help}",
                option.name
            );
        }
    }
    out
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_in_the_scripts() {
        let fish = of("fish", Dialect::Oxish).unwrap();
        for command in shown(Dialect::Oxish) {
            assert!(fish.contains(&format!("-a {} ", command.name)), "{}", command.name);
            for (_, option) in command.listed(Dialect::Oxish) {
                let line = format!("from {}' -l {}", command.name, option.name);
                assert!(fish.contains(&line), "{line}");
            }
        }
        assert!(of("tcsh", Dialect::Oxish).is_none());
        assert!(!of("fish", Dialect::Virsh).unwrap().contains("net-graph"));
    }

    #[test]
    fn bash_and_zsh_skip_option_values() {
        for shell in ["bash", "zsh"] {
            let script = of(shell, Dialect::Oxish).unwrap();
            assert!(script.contains("-d|--debug"), "{script}");
            assert!(script.contains("-q --quiet"), "{script}");
        }
    }
}
