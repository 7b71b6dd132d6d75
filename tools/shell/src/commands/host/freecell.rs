//! `freecell`: free memory of the host.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new("freecell", mark!("show free memory"), run)
    .about(mark!("Shows the free memory of the host, or of its NUMA cells."))
    .options(&[
        OptionDef::number("cellno", mark!("number of a NUMA cell")).accepted(),
        OptionDef::flag("all", mark!("show all NUMA cells")),
    ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("all", "cellno")?;
    let cell: Option<i32> = args.number("cellno")?;
    let connect = shell.connect()?;
    if args.flag("all") {
        let nodes = shell.wait(connect.node_info())?.nodes;
        let max = i32::try_from(nodes).unwrap_or(i32::MAX);
        let cells = shell.wait(connect.cells_free_memory(0, max))?;
        for (number, bytes) in cells.iter().enumerate() {
            shell.ui.print(format!("{number:>5}: {:>10} KiB\n", bytes / 1024))?;
        }
        let sum: u64 = cells.iter().map(|bytes| bytes / 1024).sum();
        let total = tr!("Total");
        shell.ui.extra("--------------------\n")?;
        shell.ui.extra(format!("{total:>5}: {sum:>10} KiB\n"))?;
        return Ok(());
    }
    match cell {
        Some(cell) => {
            let free = shell.wait(connect.cells_free_memory(cell, 1))?;
            let kib = free.first().copied().unwrap_or_default() / 1024;
            shell.ui.print(format!("{cell}: {kib} KiB\n"))?;
        }
        None => {
            let kib = shell.wait(connect.free_memory())? / 1024;
            let total = tr!("Total");
            shell.ui.print(format!("{total}: {kib} KiB\n"))?;
        }
    }
    Ok(())
}
