//! The command line of `cargo xtask check`.

use super::Scope;
use crate::metadata::Metadata;
use crate::ui::Failure;

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) is_quick: bool,
    pub(super) is_list: bool,
    /// Names of steps; empty selects by scope.
    pub(super) only: Vec<String>,
    /// Packages of the workspace; empty means all.
    pub(super) packages: Vec<String>,
}

impl Options {
    /// # Errors
    /// An unknown option, or one without its value.
    pub(super) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = arguments.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--quick" => options.is_quick = true,
                "--list" => options.is_list = true,
                "--only" => options.only.push(value(word, words.next())?),
                "-p" | "--package" => options.packages.push(value(word, words.next())?),
                _ => {
                    return Err(Failure::new(format!(
                        "unknown option '{word}'; usage: \
                         cargo xtask check [--quick] [-p CRATE]… [--only STEP]… [--list]"
                    )));
                }
            }
        }
        if options.is_quick && !options.packages.is_empty() {
            return Err(Failure::new("--quick and -p exclude each other"));
        }
        Ok(options)
    }

    pub(super) fn scope(&self) -> Scope {
        match (self.is_quick, self.packages.is_empty()) {
            (true, _) => Scope::Quick,
            (false, true) => Scope::Full,
            (false, false) => Scope::Crates,
        }
    }

    /// Replaces short names (`conf`, `shell`) by those of the packages.
    ///
    /// # Errors
    /// A name that no package of the workspace has.
    pub(super) fn resolve(&mut self, metadata: &Metadata) -> Result<(), Failure> {
        for name in &mut self.packages {
            let found = metadata.members.iter().find(|member| member.is_called(name));
            *name = match found {
                Some(member) => member.name.clone(),
                None => return Err(Failure::new(format!("the workspace has no crate '{name}'"))),
            };
        }
        Ok(())
    }
}

fn value(option: &str, word: Option<&str>) -> Result<String, Failure> {
    word.map(str::to_owned).ok_or_else(|| Failure::new(format!("{option} needs a value")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Failure> {
        let words: Vec<String> = words.iter().copied().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn options_are_read() {
        let options = parse(&["-p", "conf", "--only", "tests", "-p", "rpc"]).unwrap();
        assert_eq!(options.packages, ["conf", "rpc"]);
        assert_eq!(options.only, ["tests"]);
        assert_eq!(options.scope(), Scope::Crates);
    }

    #[test]
    fn wrong_command_lines_are_rejected() {
        for words in [&["--fast"][..], &["--only"], &["-p"], &["--quick", "-p", "conf"]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }
}
