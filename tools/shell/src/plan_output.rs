//! Plans of the driver: what an operation would do, as text or machine-readable.

use oxivirt::report::{NetworkPlan, PlanStep};

use crate::failure::Failure;
use crate::format::{Format, print_value};
use crate::i18n::trn;
use crate::shell::Shell;
use crate::ui::Style;

/// Prints a plan that is not carried out.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print(
    shell: &mut Shell,
    format: Option<Format>,
    plan: &NetworkPlan,
) -> Result<(), Failure> {
    if let Some(format) = format {
        return print_value(shell, format, plan);
    }
    print_steps(shell, &plan.steps)?;
    let count = count(&plan.steps);
    shell.ui.extra(trn!(
        "{count} step, not done\n",
        "{count} steps, none done\n",
        count = count
    ))?;
    Ok(())
}

/// Prints numbered steps, with the rules or the file content below each.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn print_steps(shell: &mut Shell, steps: &[PlanStep]) -> Result<(), Failure> {
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

/// A length as the count of a message.
pub(crate) fn count<T>(items: &[T]) -> u128 {
    // a slice has at most isize::MAX items
    u128::try_from(items.len()).unwrap_or(u128::MAX)
}
