//! Editing of a text in the user's editor.
//!
//! virsh: `vshEditWriteToTempFile`, `vshEditFile`, `vshAskReedit`, tools/vsh.c; virsh-edit.c

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::i18n::{mark, text, tr};
use crate::quote::quote_for_shell;
use crate::shell::{Shell, errno_text};
use crate::terminal;

/// An edit: how the text is read and stored.
pub(crate) struct EditRequest<'a, T> {
    /// Reads the current text.
    pub(crate) fetch: &'a dyn Fn(&mut Shell) -> Result<String, Failure>,
    /// Stores the edited text.
    pub(crate) apply: &'a dyn Fn(&mut Shell, &str) -> Result<T, Failure>,
    /// Shows the change before it is stored, and may reject it.
    pub(crate) preview: Option<&'a Preview<'a>>,
}

/// Shows the old and the new text; returns whether to store the new one.
pub(crate) type Preview<'a> = dyn Fn(&mut Shell, &str, &str) -> Result<bool, Failure> + 'a;

/// Result of an edit.
#[derive(Debug)]
pub(crate) enum Verdict<T> {
    /// The text was not changed.
    Unchanged,
    /// The new text was stored.
    Applied(T),
}

/// Runs the editor until the text is stored or the user gives up.
///
/// # Errors
/// If the editor or its file fails, or, without a terminal for questions, if the text is rejected.
pub(crate) fn edit<T>(
    shell: &mut Shell,
    request: &EditRequest<'_, T>,
) -> Result<Verdict<T>, Failure> {
    let mut original = (request.fetch)(shell)?;
    let file = TempFile::with(shell, &original)?;
    let mut step = Step::Edit;
    let mut edited = String::new();
    loop {
        if step == Step::Edit {
            file.run_editor(shell)?;
            edited = file.read(shell)?;
            if edited == original {
                return Ok(Verdict::Unchanged);
            }
        }
        let now = (request.fetch)(shell)?;
        let refused = if now == original {
            let wanted = match request.preview {
                Some(preview) => preview(shell, &original, &edited)?,
                None => true,
            };
            if !wanted {
                return Err(Failure::Reported);
            }
            match (request.apply)(shell, &edited) {
                Ok(done) => return Ok(Verdict::Applied(done)),
                Err(failure) => (tr!("Failed."), Some(failure)),
            }
        } else {
            original = now;
            (tr!("The XML configuration was changed by another user."), None)
        };
        step = again(shell, refused)?;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Edit,
    Apply,
}

/// Prints why the text was rejected and asks how to continue.
fn again(
    shell: &mut Shell,
    (message, failure): (String, Option<Failure>),
) -> Result<Step, Failure> {
    if !terminal::is_interactive() {
        shell.ui.error(&message)?;
        return Err(failure.unwrap_or(Failure::Reported));
    }
    if let Some(failure) = failure {
        shell.report(failure)?;
    }
    let question = tr!("{message} Try again? [y,n,f,?]: ", message = message);
    let help: [(char, &str); 4] = [
        ('y', mark!("yes, start the editor again")),
        ('n', mark!("no, discard the changes")),
        ('f', mark!("yes, submit the text again without editing")),
        ('?', mark!("print this help")),
    ];
    match ask(shell, &question, &help)? {
        'y' => Ok(Step::Edit),
        'f' => Ok(Step::Apply),
        _ => Err(Failure::Reported),
    }
}

/// Prompts for one of the keys; `?` prints their meaning, an unknown key repeats the prompt.
pub(crate) fn ask(
    shell: &mut Shell,
    question: &str,
    keys: &[(char, &'static str)],
) -> Result<char, Failure> {
    let modes = terminal::raw();
    let answer = loop {
        shell.ui.print(format!("\r{question}"))?;
        shell.ui.flush()?;
        let mut key = [0];
        if io::stdin().read(&mut key)? == 0 {
            break 'n';
        }
        let key = char::from(key[0]).to_ascii_lowercase();
        if key == '?' {
            shell.ui.print("\r\n")?;
            for (key, help) in keys {
                shell.ui.print(format!("{key} - {}\r\n", text(help)))?;
            }
        } else if keys.iter().any(|(known, _)| *known == key) {
            break key;
        }
    };
    drop(modes);
    shell.ui.print("\r\n")?;
    Ok(answer)
}

/// Runs the editor once, for texts that need no validation.
///
/// # Errors
/// If the editor or its file fails.
pub(crate) fn edit_once(shell: &mut Shell, original: &str) -> Result<String, Failure> {
    let file = TempFile::with(shell, original)?;
    file.run_editor(shell)?;
    file.read(shell)
}

/// Prints the changed lines and, on a terminal, asks for confirmation.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn show_difference(shell: &mut Shell, old: &str, new: &str) -> Result<bool, Failure> {
    show_changes(shell, old, new)?;
    if !terminal::is_interactive() {
        return Ok(true);
    }
    let keys = [
        ('y', mark!("yes, store the changes")),
        ('n', mark!("no, discard the changes")),
        ('?', mark!("print this help")),
    ];
    let question = tr!("Store this? [y,n,?]: ");
    Ok(ask(shell, &question, &keys)? == 'y')
}

/// Prints the changed lines.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn show_changes(shell: &mut Shell, old: &str, new: &str) -> Result<(), Failure> {
    let difference = similar::TextDiff::from_lines(old, new);
    let text = difference.unified_diff().context_radius(3).to_string();
    for line in text.lines() {
        let style = match line.as_bytes().first() {
            Some(b'+') => crate::ui::Style::Added,
            Some(b'-') => crate::ui::Style::Removed,
            Some(b'@') => crate::ui::Style::Faint,
            _ => crate::ui::Style::Plain,
        };
        let line = shell.ui.styled(style, line);
        shell.ui.print(format!("{line}\n"))?;
    }
    Ok(())
}

/// A temporary file, removed when dropped.
#[derive(Debug)]
struct TempFile {
    path: PathBuf,
}

impl Drop for TempFile {
    fn drop(&mut self) {
        // fails if the editor has removed it
        let _gone = std::fs::remove_file(&self.path);
    }
}

impl TempFile {
    fn with(shell: &Shell, content: &str) -> Result<Self, Failure> {
        let dir = shell.environment.variable("TMPDIR").unwrap_or_else(|| OsStr::new("/tmp"));
        let (path, mut file) = create(Path::new(dir)).map_err(|error| {
            let reason = errno_text(&error);
            Failure::Message(tr!(
                "g_mkstemp_full: failed to create temporary file: {reason}",
                reason = reason
            ))
        })?;
        let temp = Self { path };
        file.write_all(content.as_bytes()).map_err(|error| {
            let (path, reason) = (temp.path.display(), errno_text(&error));
            Failure::Message(tr!(
                "write: {path}: failed to write to temporary file: {reason}",
                path = path,
                reason = reason
            ))
        })?;
        Ok(temp)
    }

    fn read(&self, shell: &mut Shell) -> Result<String, Failure> {
        let path = self.path.display();
        match std::fs::read(&self.path) {
            Ok(content) => Ok(String::from_utf8_lossy(&content).into_owned()),
            Err(error) => {
                let reason = errno_text(&error);
                shell.ui.error(&tr!(
                    "{path}: failed to read temporary file: {reason}",
                    path = path,
                    reason = reason
                ))?;
                Err(Failure::Message(tr!(
                    "Failed to open file '{path}': {reason}",
                    path = path,
                    reason = reason
                )))
            }
        }
    }

    /// Runs the editor on the file and waits for it.
    fn run_editor(&self, shell: &mut Shell) -> Result<(), Failure> {
        let environment = &shell.environment;
        let editor = environment.variable("VISUAL").or_else(|| environment.variable("EDITOR"));
        let editor = editor.unwrap_or_else(|| OsStr::new("vi")).to_owned();
        let path = self.path.as_os_str();
        let words = if is_plain(&editor) {
            vec![editor, path.to_owned()]
        } else if is_plain(path) {
            let mut line = editor;
            line.push(" ");
            line.push(path);
            vec!["sh".into(), "-c".into(), line]
        } else {
            return Err(Failure::Message(tr!(
                "{path}: temporary filename contains shell meta or other unacceptable characters (is $TMPDIR wrong?)",
                path = self.path.display()
            )));
        };
        shell.ui.flush()?;
        run(&words).map_err(Failure::Message)
    }
}

/// Whether the text contains no character that is special to a shell.
fn is_plain(text: &OsStr) -> bool {
    text.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-/_.:@".contains(b))
}

fn create(dir: &Path) -> io::Result<(PathBuf, File)> {
    const TRIES: usize = 100;
    let mut last = io::Error::from_raw_os_error(nix::libc::EEXIST);
    for _ in 0..TRIES {
        let random = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("virsh{}.xml", random.get(..6).unwrap_or(&random));
        let path = dir.join(name);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

/// Runs a program in the foreground and waits for it.
fn run(words: &[OsString]) -> Result<(), String> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    #[expect(
        clippy::disallowed_methods,
        reason = "an editor runs in the foreground without a deadline"
    )]
    let status = std::process::Command::new(program).args(arguments).status();
    let shown = || {
        let quoted = |word: &OsString| quote_for_shell(&word.to_string_lossy());
        words.iter().map(quoted).collect::<Vec<_>>().join(" ")
    };
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(match (status.code(), status.signal()) {
            (Some(code), _) => {
                format!("internal error: Child process ({}) unexpected exit status {code}", shown())
            }
            (None, signal) => format!(
                "internal error: Child process ({}) unexpected fatal signal {}",
                shown(),
                signal.unwrap_or_default()
            ),
        }),
        Err(error) => {
            let (program, reason) = (program.to_string_lossy(), errno_text(&error));
            Err(format!("Cannot find '{program}' in path: {reason}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_private_and_removed() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = create(dir.path()).unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(TempFile { path: path.clone() });
        assert!(!path.exists());
        assert!(create(Path::new("/nowhere")).is_err());
    }

    #[test]
    fn plain_names_need_no_shell() {
        assert!(is_plain(OsStr::new("/usr/bin/vim.tiny")));
        assert!(!is_plain(OsStr::new("vi -n")));
        assert!(!is_plain(OsStr::new("a;b")));
    }

    #[test]
    fn a_failing_editor_is_reported() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        run(&words(&["true", "/x"])).unwrap();
        let error = run(&words(&["false", "/x"])).unwrap_err();
        assert_eq!(error, "internal error: Child process (false /x) unexpected exit status 1");
        let error = run(&words(&["frob-ed", "/x"])).unwrap_err();
        assert_eq!(error, "Cannot find 'frob-ed' in path: No such file or directory");
    }
}
