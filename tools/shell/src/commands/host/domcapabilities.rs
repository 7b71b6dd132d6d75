//! `domcapabilities`, `cpu-models`: what guests can have on this host.

use oxivirt::DomainCapabilitiesQuery;

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::document::{WRAP, XPATH, print_xml};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

pub(crate) const COMMAND: CommandDef = CommandDef::new(
    "domcapabilities",
    mark!("print what guests can have on the host as XML"),
    capabilities,
)
.options(&[
    OptionDef::text("virttype", mark!("what runs the guests, such as kvm")).accepted(),
    OptionDef::text("emulatorbin", mark!("path of the emulator")).accepted(),
    OptionDef::text("arch", mark!("architecture of the guests")).accepted(),
    OptionDef::text("machine", mark!("machine of the guests")).accepted(),
    XPATH,
    WRAP,
]);

pub(crate) const CPU_MODELS: CommandDef =
    CommandDef::new("cpu-models", mark!("list the CPU models of an architecture"), models).options(
        &[OptionDef::text("arch", mark!("architecture of the guests")).positional().required()],
    );

/// virsh: `cmdDomCapabilities`, tools/virsh-host.c
fn capabilities(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let (virt_type, emulator) = (args.text("virttype")?, args.text("emulatorbin")?);
    let (arch, machine) = (args.text("arch")?, args.text("machine")?);
    let connect = shell.connect()?;
    let query = DomainCapabilitiesQuery {
        emulator: emulator.as_deref(),
        arch: arch.as_deref(),
        machine: machine.as_deref(),
        virt_type: virt_type.as_deref(),
    };
    let xml = shell
        .wait(connect.domain_capabilities(&query))
        .context(|| tr!("failed to get emulator capabilities"))?;
    print_xml(shell, args, &xml)
}

/// virsh: `cmdCPUModelNames`, tools/virsh-host.c
fn models(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let arch = args.required("arch")?;
    let connect = shell.connect()?;
    let models = shell
        .wait(connect.cpu_model_names(&arch))
        .context(|| tr!("failed to get CPU model names"))?;
    if models.is_empty() {
        shell.ui.extra(tr!("all CPU models are accepted\n"))?;
    }
    for model in models {
        shell.ui.print(format!("{model}\n"))?;
    }
    Ok(())
}
