//! Command lines in documents: of `oxish`, `virsh`, `oxivirtd`, `cargo`.

use super::known::Known;
use super::spans;
use crate::HELP;

/// Programs whose command lines are checked.
const PROGRAMS: [&str; 4] = ["oxish", "virsh", "oxivirtd", "cargo"];
/// Options of the shell that take a value, in front of a command.
const WITH_VALUE: [&str; 12] = [
    "-c",
    "--connect",
    "-d",
    "--debug",
    "-e",
    "--escape",
    "-k",
    "--keepalive-interval",
    "-K",
    "--keepalive-count",
    "-l",
    "--log",
];

pub(super) fn is_ours(program: &str) -> bool {
    PROGRAMS.contains(&program)
}

/// Checks every command of a line of shell.
///
/// # Errors
/// A command, option, task, package or file of ours that does not exist.
pub(super) fn line(known: &Known, line: &str) -> Result<(), String> {
    spans::host_paths(known, line)?;
    for command in commands(line) {
        let mut words = command.iter().map(String::as_str).skip_while(|word| is_prefix(word));
        let program = words.next().unwrap_or_default();
        let rest: Vec<&str> = words.collect();
        match program.rsplit('/').next().unwrap_or_default() {
            "oxish" | "virsh" => shell(known, &rest)?,
            "oxivirtd" => options(known, &rest, "crates/daemon/src/args.rs")?,
            "cargo" => cargo(known, &rest)?,
            _ => {}
        }
    }
    Ok(())
}

/// Words in front of the program that runs.
fn is_prefix(word: &str) -> bool {
    matches!(word, "sudo" | "exec" | "$")
        || word.split_once('=').is_some_and(|(name, _)| {
            name.chars().all(|letter| letter.is_ascii_uppercase() || letter == '_')
        })
}

fn shell(known: &Known, words: &[&str]) -> Result<(), String> {
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        at += if WITH_VALUE.contains(word) { 2 } else { 1 };
        let name = word.split('=').next().unwrap_or(word);
        if !known.global_options.contains(name) {
            return Err(format!("`{word}`: oxish has no such option"));
        }
    }
    let words = words.get(at..).unwrap_or_default();
    match words {
        [] => Ok(()),
        // One word is a string of commands.
        [script] => commands(script).iter().try_for_each(|command| {
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            shell_command(known, &words)
        }),
        words => shell_command(known, words),
    }
}

fn shell_command(known: &Known, words: &[&str]) -> Result<(), String> {
    let Some((name, rest)) = words.split_first() else { return Ok(()) };
    if name.contains(['…', '<']) || name.starts_with(|letter: char| letter.is_ascii_uppercase()) {
        return Ok(());
    }
    let Some(options) = known.commands.get(*name) else {
        return Err(format!("`{name}`: oxish has no such command"));
    };
    for word in rest {
        let option = word.trim_matches(['[', ']']);
        let option = option.split(['=', '[']).next().unwrap_or(option);
        if option.starts_with("--") && option.len() > 2 && !options.contains(option) {
            return Err(format!("`{name} {option}`: the command has no such option"));
        }
    }
    Ok(())
}

/// Long options that a source has to spell.
fn options(known: &Known, words: &[&str], source: &str) -> Result<(), String> {
    let text = known.sources.get(source).map(String::as_str).unwrap_or_default();
    for word in words.iter().map(|word| word.trim_matches(['[', ']'])) {
        let option = word.split('=').next().unwrap_or(word);
        if option.starts_with("--") && !text.contains(option) {
            return Err(format!("`{option}`: {source} has no such option"));
        }
    }
    Ok(())
}

fn cargo(known: &Known, words: &[&str]) -> Result<(), String> {
    if let ["xtask", rest @ ..] = words {
        return xtask(known, rest);
    }
    for pair in words.windows(2) {
        if let ["-p", name] = pair
            && !known.packages.contains_key(*name)
            && !name.starts_with(|letter: char| letter.is_ascii_uppercase())
        {
            return Err(format!("`-p {name}`: the workspace has no such package"));
        }
        if let ["--example", name] = pair
            && !known.has_path(&format!("crates/*/examples/{name}.rs"))
        {
            return Err(format!("`--example {name}`: no crate has this example"));
        }
    }
    Ok(())
}

fn xtask(known: &Known, words: &[&str]) -> Result<(), String> {
    let Some((task, rest)) = words.split_first() else { return Ok(()) };
    let is_placeholder = task.starts_with(|letter: char| letter.is_ascii_uppercase());
    let mut lines = HELP.lines().filter_map(|line| line.strip_prefix("  "));
    let described = lines.find(|line| line.split(' ').next() == Some(task));
    let Some(described) = described.or_else(|| is_placeholder.then_some("")) else {
        return Err(format!("`cargo xtask {task}`: no such task"));
    };
    if let ("bench", Some(name)) = (*task, rest.first()) {
        let names = described.split(['(', ')', ',', ' ']);
        if !names.into_iter().any(|known| known == *name) && *name != "NAME" {
            return Err(format!("`cargo xtask bench {name}`: no such benchmark"));
        }
    }
    for word in rest.iter().map(|word| word.trim_matches(['[', ']', '…'])) {
        if word.starts_with("--") && !known.has_text(word) {
            return Err(format!("`cargo xtask {task} {word}`: no source has this option"));
        }
    }
    Ok(())
}

/// The commands of a line, each as its words: quotes removed, comments dropped.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (Some('\''), _) => word.get_or_insert_default().push(letter),
            (_, '\\') => word.get_or_insert_default().extend(letters.next()),
            (Some(_), _) => word.get_or_insert_default().push(letter),
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, ';' | '|' | '&') => {
                push(&mut commands, &mut word);
                commands.push(Vec::new());
            }
            (None, _) if letter.is_whitespace() => push(&mut commands, &mut word),
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    push(&mut commands, &mut word);
    commands.retain(|words| !words.is_empty());
    commands
}

fn push(commands: &mut [Vec<String>], word: &mut Option<String>) {
    if let Some(last) = commands.last_mut() {
        last.extend(word.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_by_a_shell() {
        assert_eq!(
            commands(r#"a 'b c; d' "e \" f" | g -x && h  # i"#),
            [&["a", "b c; d", "e \" f"][..], &["g", "-x"], &["h"]].map(<[_]>::to_vec)
        );
        assert_eq!(commands("# comment"), Vec::<Vec<String>>::new());
    }
}
