//! Running `tc` commands, several by one process.

use std::path::Path;

use crate::command::{Command, CommandError};

/// A command that `tc` refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which, from 0.
    pub index: usize,
    /// What `tc` said.
    pub complaint: String,
}

/// Runs commands in order, each whatever became of those before it; the refused ones.
///
/// A command is what follows `tc` on a command line, in one line. A `tc` that fails without
/// telling which command it could not do has done none.
///
/// # Errors
/// [`CommandError`] if `tc` could not be run.
pub async fn run(program: &Path, commands: &[&str]) -> Result<Vec<Refusal>, CommandError> {
    let mut input = commands.join("\n");
    input.push('\n');
    let command = Command::new(program).args(["-force", "-batch", "-"]).stdin(input.into_bytes());
    let output = command.run().await?;
    let complaint = output.complaint();
    let refusals = parse(&complaint);
    if refusals.is_empty() && !output.status.success() {
        let all = 0..commands.len();
        return Ok(all.map(|index| Refusal { index, complaint: complaint.clone() }).collect());
    }
    Ok(refusals)
}

/// Each complaint ends in a line `Command failed -:NUMBER`, counted from 1.
fn parse(complaint: &str) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let mut said = Vec::new();
    for line in complaint.lines() {
        let number =
            line.strip_prefix("Command failed -:").and_then(|text| text.trim().parse().ok());
        match number {
            Some(number) => {
                let index = usize::saturating_sub(number, 1);
                refusals.push(Refusal { index, complaint: said.join("; ") });
                said.clear();
            }
            None => said.push(line),
        }
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_number() {
        let text = "Error: Specified class not found.\nCommand failed -:2\nCannot find device \"x\"\n\
                    We have an error talking to the kernel\nCommand failed -:3";
        let refusal = |index, complaint: &str| Refusal { index, complaint: complaint.to_owned() };
        let second = "Cannot find device \"x\"; We have an error talking to the kernel";
        assert_eq!(
            parse(text),
            [refusal(1, "Error: Specified class not found."), refusal(2, second)]
        );
        assert_eq!(parse(""), []);
    }
}
