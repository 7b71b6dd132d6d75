//! Runs the `sh` blocks of the documents.
//!
//! The blocks of a page are one session, in the order of the page: in namespaces of its own, as root of a
//! private view of the file system (`sandbox.sh`), with the built programs on `PATH` and the files of the page
//! (`<!-- file: NAME -->`) in the current directory. `<!-- run` comments hold commands for the session that
//! a reader does not need. A block that cannot run there says why: `<!-- not run: REASON -->`.

use std::fs;
use std::path::Path;

use super::Check;
use crate::docs::{self, Block, Note, Page};
use crate::process::{self, Call};
use crate::ui::Failure;

/// Seconds for the session of a page.
const DEADLINE: &str = "180";
/// Lines of a failed session's output that are shown.
const SHOWN: usize = 25;
/// Exit status of `sandbox.sh` where the kernel cannot do what it needs.
const UNSUPPORTED: &str = "exit status: 77";
const SANDBOX: &str = include_str!("sandbox.sh");

impl Check {
    pub(super) fn blocks(&mut self) {
        let pages = match docs::shell_pages(&process::workspace()) {
            Ok(pages) => pages,
            Err(failure) => return self.report.fail(&failure),
        };
        let programs = self.program("oxish");
        let programs = programs.parent().unwrap_or_else(|| Path::new("/")).to_owned();
        for page in &pages {
            for block in shell_blocks(page) {
                if let Note::NotRun(reason) = &block.note {
                    self.report.skip(&format!("{}:{}: {reason}", page.name, block.line));
                }
            }
            let Some(prefix) = self.setup.prefix.clone() else {
                self.skip(&page.name, "netns", "no namespace can be made");
                continue;
            };
            match session(page, &programs, &prefix) {
                Ok(Outcome { passed, failure: None }) => self.report.pass(passed),
                Ok(Outcome { passed, failure: Some(failure) }) => {
                    self.report.pass(passed);
                    self.report.fail(&failure);
                }
                Err(failure) if failure.to_string().contains(UNSUPPORTED) => {
                    self.skip(&page.name, "netns", "overlay file systems are not supported");
                }
                Err(failure) => self.report.fail(&failure),
            }
        }
    }
}

/// What a session found.
#[derive(Debug)]
struct Outcome {
    /// Blocks that ended with success.
    passed: usize,
    /// The first one that did not.
    failure: Option<Failure>,
}

fn shell_blocks(page: &Page) -> impl Iterator<Item = &Block> {
    page.blocks.iter().filter(|block| block.language == "sh")
}

fn is_run(block: &&Block) -> bool {
    !matches!(block.note, Note::NotRun(_))
}

/// Runs the blocks of a page.
///
/// # Errors
/// The session cannot be prepared.
fn session(page: &Page, programs: &Path, prefix: &[String]) -> Result<Outcome, Failure> {
    if shell_blocks(page).filter(is_run).count() == 0 {
        return Ok(Outcome { passed: 0, failure: None });
    }
    let directory = programs.join("blocks").join(page.name.replace('/', "-"));
    prepare(page, &directory)
        .map_err(|error| Failure::new(format!("'{}': {error}", directory.display())))?;
    let words = ["timeout", "--kill-after=5", DEADLINE, "unshare", "--net", "--mount", "--pid"];
    let ended = Call::new(words)
        .arguments(["--fork", "--kill-child", "bash"])
        .argument(directory.join("sandbox.sh"))
        .argument(&directory)
        .argument(programs)
        .argument(process::workspace())
        .behind(prefix)
        .capture_all(&directory.join("output"));
    let results = fs::read_to_string(directory.join("results")).unwrap_or_default();
    let output = fs::read_to_string(directory.join("output")).unwrap_or_default();
    match (ended, results.is_empty()) {
        (Err(failure), true) => Err(Failure::new(format!("{failure}\n{}", last_lines(&output)))),
        (ended, _) => Ok(judge(page, &results, ended.is_ok(), &output)),
    }
}

/// Writes what the session reads.
#[expect(clippy::disallowed_methods, reason = "files of one run, written again by the next")]
fn prepare(page: &Page, directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory.join("files"))?;
    fs::write(directory.join("sandbox.sh"), SANDBOX)?;
    for block in &page.blocks {
        if let Note::File(name) = &block.note {
            fs::write(directory.join("files").join(name), &block.text)?;
        }
    }
    let mut session = String::from(SESSION);
    for block in shell_blocks(page).filter(is_run) {
        let name = format!("{}.sh", block.line);
        // Line numbers in messages of the shell are those of the page.
        let text = "\n".repeat(block.line.saturating_sub(1)) + &block.text;
        fs::write(directory.join(&name), text)?;
        session.push_str(&format!(". /blocks/{name}\nprintf 'passed {}\\n' >&9\n", block.line));
    }
    fs::write(directory.join("session.sh"), session)
}

const SESSION: &str = "\
set -e -o pipefail
exec 9>/blocks/results
trap 'printf \"failed %s %s\\n\" \"$LINENO\" \"$BASH_COMMAND\" >&9' ERR
";

/// Compares what the session reported with the blocks of the page.
fn judge(page: &Page, results: &str, is_ended_well: bool, output: &str) -> Outcome {
    let passed = results.lines().filter(|line| line.starts_with("passed ")).count();
    let failed = results.lines().find_map(|line| line.strip_prefix("failed "));
    let next = shell_blocks(page).filter(is_run).nth(passed);
    let what = match (failed, next) {
        (None, None) if is_ended_well => return Outcome { passed, failure: None },
        (Some(failed), _) => {
            let (line, command) = failed.split_once(' ').unwrap_or((failed, ""));
            format!("{}:{line}: the command fails: {command}", page.name)
        }
        (None, Some(block)) => {
            format!("{}:{}: the block does not end", page.name, block.line)
        }
        (None, None) => format!("{}: the session fails at its end", page.name),
    };
    let failure = Failure::new(format!("{what}\n{}", last_lines(output)));
    Outcome { passed, failure: Some(failure) }
}

fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let shown = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default();
    shown.iter().map(|line| format!("  | {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page::parse(
            "a.md",
            "```sh\ntrue\n```\n\n<!-- not run: x -->\n```sh\nufw\n```\n\n```sh\nfalse\n```\n",
        )
    }

    #[test]
    fn sessions_have_the_lines_of_the_page() {
        let directory = std::env::temp_dir().join(format!("xtask-blocks-{}", std::process::id()));
        prepare(&page(), &directory).unwrap();
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!(read("11.sh"), format!("{}false\n", "\n".repeat(10)));
        let session = read("session.sh");
        assert!(session.ends_with(". /blocks/11.sh\nprintf 'passed 11\\n' >&9\n"), "{session}");
        assert!(!session.contains("/blocks/7.sh"), "a block that is not run");
        fs::remove_dir_all(directory).unwrap();
    }

    #[track_caller]
    fn check(results: &str, is_ended_well: bool, passed: usize, failure: Option<&str>) {
        let outcome = judge(&page(), results, is_ended_well, "said\n");
        let first = outcome.failure.map(|failure| failure.to_string());
        let first = first.as_ref().and_then(|text| text.lines().next());
        assert_eq!((outcome.passed, first), (passed, failure), "{results}");
    }

    #[test]
    fn failures_have_file_and_line() {
        check("passed 2\npassed 11\n", true, 2, None);
        let fails = "a.md:11: the command fails: false";
        check("passed 2\nfailed 11 false\n", false, 1, Some(fails));
        check("passed 2\n", false, 1, Some("a.md:11: the block does not end"));
        check("passed 2\npassed 11\n", false, 2, Some("a.md: the session fails at its end"));
    }
}
