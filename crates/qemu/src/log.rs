//! The log of a guest.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use crate::command::CommandLine;

/// The time as libvirt writes it into logs.
#[must_use]
pub(crate) fn time() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.3f+0000").to_string()
}

/// What the log says of a start, behind the time.
///
/// libvirt 11.3.0: `qemuLogOperation`, src/qemu/qemu_process.c; `virCommandToStringFull`
#[must_use]
pub(crate) fn header(command: &CommandLine, qemu_version: u32) -> String {
    let (major, minor, micro) =
        (qemu_version / 1_000_000, qemu_version / 1000 % 1000, qemu_version % 1000);
    let uname = rustix::system::uname();
    let mut text = format!(
        ": starting up libvirt version: 11.3.0, package: oxivirt {}, qemu version: \
         {major}.{minor}.{micro}, kernel: {}, hostname: {}\n",
        env!("CARGO_PKG_VERSION"),
        uname.release().to_string_lossy(),
        uname.nodename().to_string_lossy(),
    );
    for (name, value) in &command.environment {
        text.push_str(&format!("{name}={} \\\n", quoted(value)));
    }
    text.push_str(&quoted(&command.program.to_string_lossy()));
    for argument in &command.arguments {
        let separator = if argument.starts_with('-') { " \\\n" } else { " " };
        text.push_str(separator);
        text.push_str(&quoted(argument));
    }
    text.push('\n');
    text
}

/// A word of a shell command.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_=+/.,:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Notes the end of a guest.
pub(crate) fn end(path: &Path, reason: &str) {
    let line = format!("{}: shutting down, reason={reason}\n", time());
    let written = OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        tracing::debug!(path = %path.display(), %error, "cannot note the end of a guest in its log");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_logged_an_option_a_line() {
        let command = CommandLine {
            program: "/usr/bin/qemu".into(),
            arguments: ["-name", "guest=a b", "-S"].map(str::to_owned).to_vec(),
            environment: vec![("LC_ALL".to_owned(), "C".to_owned())],
            descriptors: Vec::new(),
            descriptor_sets: 0,
        };
        let text = header(&command, 10_000_002);
        assert!(text.contains("qemu version: 10.0.2, "), "{text}");
        assert!(
            text.ends_with("LC_ALL=C \\\n/usr/bin/qemu \\\n-name 'guest=a b' \\\n-S\n"),
            "{text}"
        );
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
