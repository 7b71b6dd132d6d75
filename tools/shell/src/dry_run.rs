//! What an operation would do, in words or for a program.

use oxivirt_network::preview::PreviewStep;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::format::{Format, print_value};
use crate::i18n::tr;
use crate::shell::Shell;
use crate::ui::Style;

/// Prints steps that are not done.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print(
    shell: &mut Shell,
    format: Option<Format>,
    network: &str,
    steps: &[PreviewStep],
) -> Result<(), Failure> {
    if let Some(format) = format {
        return print_value(shell, format, &json!({"network": network, "steps": values(steps)}));
    }
    print_steps(shell, steps)?;
    shell.ui.extra(tr!("{count} steps, none of them done\n", count = steps.len()))?;
    Ok(())
}

/// Steps for a program.
pub(crate) fn values(steps: &[PreviewStep]) -> Vec<Value> {
    let value =
        |step: &PreviewStep| json!({"kind": step.kind, "step": step.text, "lines": step.lines});
    steps.iter().map(value).collect()
}

/// Steps in words.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_steps(shell: &mut Shell, steps: &[PreviewStep]) -> Result<(), Failure> {
    for (index, step) in steps.iter().enumerate() {
        let text = shell.ui.styled(Style::Bold, &step.text);
        shell.ui.print(format!("{:>3}. {text}\n", index + 1))?;
        for line in &step.lines {
            let line = shell.ui.styled(Style::Faint, line);
            shell.ui.print(format!("       {line}\n"))?;
        }
    }
    Ok(())
}
