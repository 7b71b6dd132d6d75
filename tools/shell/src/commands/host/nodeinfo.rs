//! `nodeinfo`: CPUs and memory of the host.

use crate::args::Args;
use crate::command::CommandDef;
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::print_fields;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("nodeinfo", mark!("show CPUs and memory of the host"), run)
        .about(mark!("Shows the CPUs and the memory of the host."));

fn run(shell: &mut Shell, _: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let answer = shell.wait(connect.node_info());
    let info = answer.context(|| tr!("failed to get node information"))?;
    let mut fields = vec![(tr!("CPU model:"), info.model), (tr!("CPU(s):"), info.cpus.to_string())];
    if info.mhz != 0 {
        fields.push((tr!("CPU frequency:"), format!("{} MHz", info.mhz)));
    }
    fields.extend([
        (tr!("CPU socket(s):"), info.sockets.to_string()),
        (tr!("Core(s) per socket:"), info.cores.to_string()),
        (tr!("Thread(s) per core:"), info.threads.to_string()),
        (tr!("NUMA cell(s):"), info.nodes.to_string()),
        (tr!("Memory size:"), format!("{} KiB", info.memory_kib)),
    ]);
    print_fields(shell, 20, &fields)
}
