//! The shell on a terminal: line editing, completion, history, ^C, editors, `net-watch`.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use oxivirt_tests::conformance::Terminal;
use oxivirt_tests::host::program;
use oxivirt_tests::process::Run;
use tempfile::TempDir;

/// A directory to run the shell in, and what its environment is.
struct Place {
    dir: TempDir,
    environment: BTreeMap<&'static str, String>,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().display().to_string();
        let environment = BTreeMap::from([
            ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin".to_owned()),
            ("HOME", home),
            ("TERM", "xterm".to_owned()),
            ("LANG", "C.UTF-8".to_owned()),
            ("TZ", "UTC".to_owned()),
        ]);
        Self { dir, environment }
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.insert(name, value.to_owned());
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
            .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn history(&self) -> String {
        std::fs::read_to_string(self.path(".cache/libvirt/virsh/history")).unwrap_or_default()
    }

    /// `oxish` in memory, with these words behind.
    fn run(&self, words: &[&str]) -> Run {
        let mut line = vec!["env".to_owned(), "-i".to_owned(), "-C".to_owned()];
        line.push(self.dir.path().display().to_string());
        line.extend(self.environment.iter().map(|(name, value)| format!("{name}={value}")));
        line.push(program("oxish").unwrap().display().to_string());
        line.extend(["-c", "test:///default"].map(str::to_owned));
        line.extend(words.iter().map(|word| (*word).to_owned()));
        Run::new(line)
    }

    fn open(&self, words: &[&str]) -> Terminal {
        Terminal::open(&self.run(words)).unwrap()
    }
}

/// Types keys and waits for what they lead to; what was there before does not count.
fn type_until(terminal: &mut Terminal, keys: &str, text: &str) {
    terminal.forget();
    terminal.type_keys(keys).unwrap();
    terminal.wait_for(text).unwrap();
}

fn end(terminal: Terminal) -> (String, i32) {
    terminal.finish().unwrap()
}

#[test]
fn words_are_completed() {
    for kind in ["xterm", "dumb"] {
        let place = Place::new().with("TERM", kind);
        let mut terminal = place.open(&[]);
        terminal.wait_for("oxish # ").unwrap();
        // a command, an option, a live name
        type_until(&mut terminal, "net-in\t--ne\tde\t\r", "Bridge:         virbr0");
        // several candidates are listed by the second TAB
        type_until(&mut terminal, "net-de\t\t", "net-destroy");
        assert!(terminal.text().contains("net-define"), "{kind}: {}", terminal.text());
        type_until(&mut terminal, "\u{15}quit\r", "\n");
        assert_eq!(end(terminal).1, 0, "{kind}");
    }
}

#[test]
fn names_of_files_are_completed() {
    let place = Place::new();
    place.file("laboratory.xml", "<network><name>lab</name></network>", 0o644);
    let mut terminal = place.open(&[]);
    terminal.wait_for("oxish # ").unwrap();
    type_until(&mut terminal, "net-define labo\t\r", "Network lab defined from laboratory.xml");
    type_until(&mut terminal, "net-start \t\t", "lab");
}

#[test]
fn lines_come_back() {
    let place = Place::new();
    let mut terminal = place.open(&[]);
    terminal.wait_for("oxish # ").unwrap();
    type_until(&mut terminal, "echo first\r", "first");
    type_until(&mut terminal, "echo second\r", "second");
    // every line is kept at once, not when the shell ends
    assert_eq!(place.history(), "echo first\necho second\n");
    drop(terminal);
    let mut terminal = place.open(&[]);
    terminal.wait_for("oxish # ").unwrap();
    type_until(&mut terminal, "\u{1b}[A\u{1b}[A\r", "first");
    assert_eq!(place.history(), "echo first\necho second\necho first\n");
}

#[test]
fn an_interrupt_clears_the_line() {
    for kind in ["xterm", "dumb"] {
        let place = Place::new().with("TERM", kind);
        let mut terminal = place.open(&[]);
        terminal.wait_for("oxish # ").unwrap();
        type_until(&mut terminal, "net-undefine \u{3}", "oxish # ");
        type_until(&mut terminal, "uri\r", "test:///default");
        assert_eq!(place.history(), "uri\n", "{kind}");
        terminal.type_keys("\u{4}").unwrap();
        assert_eq!(end(terminal).1, 0, "{kind}");
    }
}

const EDITOR: &str = "#!/bin/sh\nsed -i 's/virbr0/virbr5/' \"$1\"\n";

#[test]
fn an_edit_shows_its_difference() {
    let place = Place::new();
    let editor = place.file("editor", EDITOR, 0o755);
    let place = place.with("EDITOR", &editor.display().to_string()).with("NO_COLOR", "1");
    let mut terminal = place.open(&["net-edit", "default", "--diff"]);
    terminal.wait_for("Store this?").unwrap();
    let text = terminal.text();
    assert!(text.contains("-  <bridge name='virbr0'"), "{text}");
    assert!(text.contains("+  <bridge name='virbr5'"), "{text}");
    assert!(!text.contains("\u{1b}["), "{text:?}");
    terminal.type_keys("y").unwrap();
    let (text, status) = end(terminal);
    assert!(text.contains("Network default XML configuration edited."), "{text}");
    assert_eq!(status, 0);
    let mut terminal = place.open(&["net-edit", "default", "--diff"]);
    terminal.wait_for("Store this?").unwrap();
    terminal.type_keys("n").unwrap();
    let (text, status) = end(terminal);
    assert!(!text.contains("edited"), "{text}");
    assert_eq!(status, 1);
}

#[test]
fn colours_are_for_terminals() {
    let place = Place::new();
    let terminal = place.open(&["net-graph"]);
    let (text, _) = end(terminal);
    assert!(text.contains("\u{1b}[32mactive\u{1b}[0m"), "{text:?}");
    let piped = place.run(&["net-graph"]).stdout().unwrap();
    assert!(!piped.contains('\u{1b}'), "{piped:?}");
    let (text, _) = end(place.with("NO_COLOR", "1").open(&["net-graph"]));
    assert!(!text.contains("\u{1b}["), "{text:?}");
}

#[test]
fn a_watch_follows_the_size_of_the_terminal() {
    let place = Place::new();
    let run = place.run(&["net-watch", "--interval", "60"]);
    let mut terminal = Terminal::open_sized(&run, 24, 120).unwrap();
    terminal.wait_for("Received/s").unwrap();
    terminal.wait_for("Events").unwrap();
    terminal.forget();
    terminal.resize(10, 30).unwrap();
    // The heading in 30 columns; before it there may be one more picture in the old size.
    terminal.wait_for(" Name      State    Bridge   P\u{1b}[K").unwrap();
    terminal.type_keys("\u{3}").unwrap();
    let (text, status) = end(terminal);
    assert_eq!(status, 0, "{text:?}");
    assert!(text.contains("\u{1b}[?1049l"), "the first screen is back: {text:?}");
}

#[test]
fn an_interrupt_ends_a_wait_and_not_the_shell() {
    let place = Place::new();
    let mut terminal = place.open(&[]);
    terminal.wait_for("oxish # ").unwrap();
    terminal.type_keys("net-event --event lifecycle\r").unwrap();
    type_until(&mut terminal, "\u{3}", "events received: 0");
    type_until(&mut terminal, "uri\r", "test:///default");
}

#[test]
fn the_editor_is_asked_for_by_name() {
    let place = Place::new().with("VISUAL", "true").with("EDITOR", "false");
    let (text, status) = end(place.open(&["net-edit", "default"]));
    assert!(text.contains("XML configuration not changed."), "{text}");
    assert_eq!(status, 0);
    assert!(Path::new("/tmp").is_dir());
}
