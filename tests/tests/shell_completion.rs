//! The completion scripts in the shells that they are for.

use oxivirt_tests::conformance::Terminal;
use oxivirt_tests::host::program;
use oxivirt_tests::process::Run;
use oxivirt_tests::require::{Need, need};
use oxivirt_tests::{apply, scenario};

/// The directory of our shell, in front of the search path.
fn path() -> String {
    let oxish = program("oxish").unwrap();
    format!("{}:/usr/bin:/bin", oxish.parent().unwrap().display())
}

/// A shell without the user's files.
fn shell(words: &[&str]) -> Run {
    let home = std::env::temp_dir().display().to_string();
    let environment = [format!("PATH={}", path()), format!("HOME={home}")];
    let fixed = ["TERM=xterm", "LANG=C.UTF-8"].map(str::to_owned);
    let line = ["env", "-i"].map(str::to_owned).into_iter().chain(environment).chain(fixed);
    Run::new(line.chain(words.iter().map(|word| (*word).to_owned())))
}

/// What bash offers for a line, of which the last word may be empty.
fn bash(line: &str) -> Vec<String> {
    let n_words = line.split(' ').count();
    let script = format!(
        "source <(oxish completion bash); COMP_WORDS=({}); COMP_CWORD={}; COMP_WORDS[COMP_CWORD]='{}'
         _oxish; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        line,
        n_words - 1,
        line.rsplit(' ').next().unwrap_or_default(),
    );
    lines(&shell(&["bash", "-c", &script]).stdout().unwrap())
}

/// What fish offers, without the descriptions.
fn fish(line: &str) -> Vec<String> {
    let script = format!("oxish completion fish | source; complete -C'{line}'");
    let offered = shell(&["fish", "--no-config", "-c", &script]).stdout().unwrap();
    lines(&offered).into_iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// Fails unless the tabulator makes one line of the other in zsh.
#[track_caller]
fn check_zsh(terminal: &mut Terminal, typed: &str, completed: &str) {
    terminal.forget();
    // Only what changed is on the screen: the line is printed as a whole.
    terminal.type_keys(&format!("{typed}\t")).unwrap();
    terminal.type_keys("\u{1}print -r -- '<'\u{5}'>'\n").unwrap();
    terminal.wait_for(&format!("<{completed}>")).unwrap();
    terminal.wait_for("ready: ").unwrap();
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[apply(scenario)]
fn bash_completes_commands_options_and_names() {
    need(&[Need::Program("bash")]);
    assert_eq!(bash("oxish net-dest"), ["net-destroy"]);
    assert_eq!(bash("oxish -c test:///default net-destroy d"), ["default"]);
    assert_eq!(bash("oxish net-list --inac"), ["--inactive"]);
    assert_eq!(bash("oxish --read"), ["--readonly"]);
}

#[apply(scenario)]
fn fish_completes_commands_options_and_names() {
    need(&[Need::Program("fish")]);
    assert_eq!(fish("oxish net-dest"), ["net-destroy"]);
    assert!(fish("oxish -c test:///default net-destroy d").contains(&"default".to_owned()));
    assert_eq!(fish("oxish net-list --inac"), ["--inactive"]);
    assert_eq!(fish("oxish --read"), ["--readonly"]);
}

#[apply(scenario)]
fn zsh_completes_commands_options_and_names() {
    need(&[Need::Program("zsh")]);
    let mut terminal = Terminal::open(&shell(&["zsh", "-f", "-i"])).unwrap();
    terminal.settle().unwrap();
    let setup =
        "autoload -U compinit; compinit -D; source <(oxish completion zsh); PS1='rea''dy: '\n";
    terminal.type_keys(setup).unwrap();
    terminal.wait_for("ready: ").unwrap();
    for (typed, completed) in [
        ("oxish net-dest", "oxish net-destroy"),
        ("oxish -c test:///default net-destroy d", "oxish -c test:///default net-destroy default"),
        ("oxish net-list --inac", "oxish net-list --inactive"),
        ("oxish --read", "oxish --readonly"),
    ] {
        check_zsh(&mut terminal, typed, completed);
    }
    terminal.type_keys("exit\n").unwrap();
    terminal.finish().unwrap();
}

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
