use super::*;

const DOCUMENT: &str = "\
<qemuCaps>
  <emulator>/usr/bin/qemu-system-x86_64</emulator>
  <qemuctime>1700000000</qemuctime>
  <qemumoddirmtime>1700000001</qemumoddirmtime>
  <selfctime>1700000002</selfctime>
  <selfvers>1000</selfvers>
  <flag name='kvm'/>
  <flag name='sdl'/>
  <flag name='VGA'/>
  <flag name='tcg'/>
  <flag name='not-known-yet'/>
  <version>10000002</version>
  <microcodeVersion>17</microcodeVersion>
  <hostCPUSignature>GenuineIntel,family: 6, model: 63, stepping: 2</hostCPUSignature>
  <package>Debian 1:10.0</package>
  <kernelVersion>6.18.0</kernelVersion>
  <arch>x86_64</arch>
  <hostCPU type='kvm' model='base' migratability='yes'>
    <property name='avx' type='boolean' value='true' migratable='yes'/>
    <property name='family' type='number' value='6'/>
    <property name='vendor' type='string' value='GenuineIntel'/>
    <deprecatedFeatures>
      <property name='te'/>
    </deprecatedFeatures>
  </hostCPU>
  <cpu type='kvm' name='EPYC' typename='EPYC-x86_64-cpu' usable='no' deprecated='yes'>
    <blocker name='sse4a'/>
  </cpu>
  <machine type='kvm' name='pc-q35-10.0' alias='q35' hotplugCpus='yes' maxCpus='4096' \
defaultCPU='qemu64-x86_64-cpu' numaMemSupported='yes' defaultRAMid='pc.ram' deprecated='yes' acpi='yes'/>
  <cpu type='tcg' name='max'/>
  <machine type='tcg' name='isapc' maxCpus='1' default='yes' acpi='no'/>
  <gic version='3' kernel='no' emulated='yes'/>
  <sev>
    <cbitpos>51</cbitpos>
    <reducedPhysBits>1</reducedPhysBits>
    <pdh>AA==</pdh>
    <certChain>AQ==</certChain>
  </sev>
  <sgx supported='yes'>
    <flc>no</flc>
    <sgx1>yes</sgx1>
    <sgx2>no</sgx2>
    <section_size unit='KiB'>512</section_size>
    <sections>
      <section node='0' size='512' unit='KiB'/>
    </sections>
  </sgx>
  <hypervCapabilities supported='yes'>
    <cap name='relaxed'/>
  </hypervCapabilities>
  <kvmSupportsNesting/>
</qemuCaps>
";

#[test]
fn what_is_read_is_written() {
    let capabilities = EmulatorCapabilities::parse(DOCUMENT).unwrap();
    assert_eq!(capabilities.format(), DOCUMENT);
    let expected: BTreeSet<String> =
        ["kvm", "sdl", "VGA", "tcg", "not-known-yet"].map(str::to_owned).into();
    assert_eq!(capabilities.flags, expected);
    assert_eq!(capabilities.cpus[0].blockers, ["sse4a"]);
    assert!(capabilities.nesting && !capabilities.secure_guest);
    assert_eq!(capabilities.host_cpu(VirtType::Kvm).unwrap().properties.len(), 3);
}

#[test]
fn another_document_is_refused() {
    EmulatorCapabilities::parse("<domainCapabilities/>").unwrap_err();
    EmulatorCapabilities::parse("<qemuCaps>").unwrap_err();
}
