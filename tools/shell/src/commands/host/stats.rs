//! `nodecpustats`, `nodememstats`: what the host's processors and memory do.

use std::time::Duration;

use oxivirt::CpuStats;

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const CPU: CommandDef = CommandDef::new(
    "nodecpustats",
    mark!("print what the host's processors have spent their time with"),
    processors,
)
.about(mark!("Prints nanoseconds since the start of the host, or percentages of the next second."))
.options(&[
    OptionDef::number("cpu", mark!("only this processor")).accepted(),
    OptionDef::flag("percent", mark!("percentages of one second")),
]);

pub(crate) const MEMORY: CommandDef =
    CommandDef::new("nodememstats", mark!("print what the host's memory is used for"), memory)
        .options(&[OptionDef::number("cell", mark!("only this NUMA cell")).accepted()]);

/// Over which time percentages are measured.
const SECOND: Duration = Duration::from_secs(1);

/// An option where a negative number stands for all.
fn one(args: &Args, option: &str) -> Result<Option<u32>, Failure> {
    Ok(args.number::<i32>(option)?.and_then(|number| u32::try_from(number).ok()))
}

/// virsh: `cmdNodeCpuStats`, tools/virsh-host.c
fn processors(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let cpu = one(args, "cpu")?;
    let connect = shell.connect()?;
    let failed = || tr!("Unable to get node cpu stats");
    let first = shell.wait(connect.cpu_stats(cpu)).context(failed)?;
    if !args.flag("percent") {
        let rows = [
            ("user:", first.user),
            ("system:", first.kernel),
            ("idle:", first.idle),
            ("iowait:", first.iowait),
        ];
        for (label, time) in rows {
            shell.ui.print(format!("{label:<15} {time:>20}\n"))?;
        }
        return Ok(());
    }
    shell.wait(tokio::time::sleep(SECOND));
    let second = shell.wait(connect.cpu_stats(cpu)).context(failed)?;
    for (label, percent) in percentages(first, second) {
        shell.ui.print(format!("{label:<15} {percent:>5.1}%\n"))?;
    }
    Ok(())
}

/// Percentages of the time between two measurements.
fn percentages(first: CpuStats, second: CpuStats) -> [(&'static str, f64); 5] {
    let spent = |of: fn(&CpuStats) -> u64| of(&second).saturating_sub(of(&first));
    let (user, system) = (spent(|stats| stats.user), spent(|stats| stats.kernel));
    let (idle, iowait) = (spent(|stats| stats.idle), spent(|stats| stats.iowait));
    let total = user.saturating_add(system).saturating_add(idle).saturating_add(iowait);
    #[expect(clippy::cast_precision_loss, reason = "one decimal is printed")]
    let percent = |time: u64| if total == 0 { 0.0 } else { time as f64 / total as f64 * 100.0 };
    [
        ("usage:", percent(user.saturating_add(system))),
        ("user:", percent(user)),
        ("system:", percent(system)),
        ("idle:", percent(idle)),
        ("iowait:", percent(iowait)),
    ]
}

/// virsh: `cmdNodeMemStats`, tools/virsh-host.c
fn memory(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let cell = one(args, "cell")?;
    let connect = shell.connect()?;
    let stats = shell
        .wait(connect.memory_stats(cell))
        .context(|| tr!("Unable to get number of memory stats"))?;
    for (name, kib) in stats {
        shell.ui.print(format!("{name:<7}: {kib:>20} KiB\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_of_the_time_between() {
        let first = CpuStats { kernel: 100, user: 200, idle: 300, iowait: 400 };
        let second = CpuStats { kernel: 110, user: 230, idle: 350, iowait: 410 };
        let [usage, user, system, idle, iowait] = percentages(first, second).map(|(_, part)| part);
        let close = |found: f64, expect: f64| (found - expect).abs() < 1e-9;
        assert!(close(usage, 40.0) && close(user, 30.0) && close(system, 10.0));
        assert!(close(idle, 50.0) && close(iowait, 10.0));
        assert!(percentages(first, first).iter().all(|(_, part)| close(*part, 0.0)));
    }
}
