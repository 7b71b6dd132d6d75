//! A virtual machine from its XML to the button that switches it off, with the daemon killed below it: the
//! second part of the demonstration.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use futures::{AsyncReadExt as _, AsyncWriteExt as _};
use oxivirt::{Connect, DomainStream, OpenOptions, Registry};
use oxivirt_remote::client::Environment;
use oxivirt_types::domain::ConsoleFlags;

use crate::Netns;
use crate::error::{Error, Result};
use crate::guest_daemon::GuestDaemon;
use crate::process::{PATIENCE, Run, Running, wait_until};
use crate::qemu::{self, Image};
use crate::report::Report;

const NETWORK: &str = include_str!("../../data/networks/default.xml");
const NAME: &str = "machine";
/// The host's own address towards the outside, and that of a server there.
const UPLINK: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
const PAGE: &str = "a page from outside";
const GUEST_PAGE: &str = "a page from the guest";

/// Shows it; says what is missing if there is no emulator.
pub(super) fn demonstrate(report: &mut Report) -> Result<()> {
    report.section("A virtual machine: a daemon of guests, networks and pools");
    if let Some(missing) = qemu::NEED.missing().or_else(qemu::missing_image) {
        report.note(format_args!("not shown: {missing}"));
        return Ok(());
    }
    let image = Image::get()?;
    let mut daemon = GuestDaemon::new()?;
    let _outside = Outside::of(daemon.netns())?;
    report.note(format_args!("{}", daemon.uri()));
    start(&daemon, &image, report)?;
    let Some(address) = lease(&daemon, report) else { return Ok(()) };
    let mut number = String::new();
    report.check("list names it as running", || {
        number = daemon.shell("oxish", &format!("domid {NAME}"))?.trim().to_owned();
        Ok(daemon.shell("oxish", "list")?.trim().to_owned())
    });
    report.check("its console: it fetches a page from outside, through NAT", || {
        let said = ask(&daemon, &format!("wget -q -O - http://{OUTSIDE}/"), PAGE)?;
        Ok(said)
    });
    report.check("the host fetches a page from it", || {
        ask(
            &daemon,
            &format!(
                "mkdir -p /www; echo {GUEST_PAGE} > /www/index.html; httpd -h /www; echo served"
            ),
            "served",
        )?;
        let mut page = String::new();
        wait_until("the guest serves", || {
            let fetch = daemon.netns().run(["busybox", "wget", "-q", "-O", "-"]);
            page = fetch.args([format!("http://{address}/")]).output()?.stdout;
            Ok(page.contains(GUEST_PAGE))
        })?;
        Ok(page.trim().to_owned())
    });
    report.check("the daemon is killed and started again: the guest is the same", || {
        daemon.kill()?;
        daemon.start()?;
        let found = daemon.shell("oxish", &format!("domid {NAME}"))?;
        match found.trim() == number {
            true => ask(&daemon, "echo still here", "still here"),
            false => Err(Error::Wrong(format!("number {found}"))),
        }
    });
    stop(&daemon, report);
    Ok(())
}

/// A server on the host's uplink.
struct Outside {
    _netns: Netns,
    _server: Running,
}

impl Outside {
    fn of(host: &Netns) -> Result<Self> {
        let netns = host.nested()?;
        host.veth("uplink", &netns, "eth0")?;
        host.sh(&format!("ip address add {UPLINK}/24 dev uplink; ip link set uplink up"))?;
        // No route to the guests: answers arrive only if packets have the host's address.
        netns.sh(&format!("ip address add {OUTSIDE}/24 dev eth0; ip link set eth0 up"))?;
        let serve = format!(
            "mkdir -p /tmp/www; echo {PAGE} > /tmp/www/index.html; \
             busybox httpd -f -p {OUTSIDE}:80 -h /tmp/www & cat > /dev/null; kill $!"
        );
        let server = netns.run(["sh", "-c", &serve]).start()?;
        host.wait_addresses()?;
        Ok(Self { _netns: netns, _server: server })
    }
}

fn start(daemon: &GuestDaemon, image: &Image, report: &mut Report) -> Result<()> {
    daemon.write("default.xml", NETWORK)?;
    report.check("net-define, net-start", || {
        daemon.shell("oxish", "net-define ROOT/default.xml")?;
        daemon.shell("oxish", "net-start default").map(|_| "")
    });
    let disk = daemon.root().join("disk.qcow2");
    Run::new(["qemu-img", "create", "-q", "-f", "qcow2"]).args([&disk]).args(["64M"]).stdout()?;
    let xml = format!(
        "<domain type='qemu'>\n  <name>{NAME}</name>\n  <memory unit='MiB'>128</memory>\n  <os>\n    \
         <type machine='q35'>hvm</type>\n    <kernel>{}</kernel>\n    <initrd>{}</initrd>\n    \
         <cmdline>console=ttyS0 quiet panic=-1 name={NAME}</cmdline>\n  </os>\n  \
         <features><acpi/></features>\n  <devices>\n    <disk type='file'>\n      \
         <driver name='qemu' type='qcow2'/>\n      <source file='{}'/>\n      \
         <target dev='vda' bus='virtio'/>\n    </disk>\n    <interface type='network'>\n      \
         <source network='default'/>\n      <model type='virtio'/>\n    </interface>\n    \
         <serial type='pty'/>\n    <graphics type='vnc'/>\n  </devices>\n</domain>\n",
        image.kernel.display(),
        image.initramfs.display(),
        disk.display()
    );
    report.listing(&xml);
    daemon.write("machine.xml", &xml)?;
    report.check("define, start", || {
        daemon.shell("oxish", "define ROOT/machine.xml")?;
        let begin = Instant::now();
        daemon.shell("oxish", &format!("start {NAME}"))?;
        Ok(format!("running after {} ms", begin.elapsed().as_millis()))
    });
    Ok(())
}

/// The address that the guest has got, when it has booted.
fn lease(daemon: &GuestDaemon, report: &mut Report) -> Option<Ipv4Addr> {
    let mut address = None;
    report.check("it boots and takes an address from the network", || {
        let begin = Instant::now();
        wait_until("a lease", || {
            let shown = daemon.shell("oxish", &format!("domifaddr {NAME}"))?;
            let mut words = shown.split_whitespace().filter_map(|word| word.split_once('/'));
            address = words.find_map(|(address, _)| address.parse::<Ipv4Addr>().ok());
            Ok(address.is_some())
        })?;
        let shown = address.map_or_else(String::new, |address| address.to_string());
        Ok(format!("{shown} after {:.1} s", begin.elapsed().as_secs_f64()))
    });
    address
}

fn stop(daemon: &GuestDaemon, report: &mut Report) {
    report.check("its power button: shut off by itself", || {
        daemon.shell("oxish", &format!("shutdown {NAME}"))?;
        let mut state = String::new();
        wait_until("the guest is off", || {
            state = daemon.shell("oxish", &format!("domstate {NAME} --reason"))?;
            Ok(state.contains("shut off"))
        })?;
        Ok(state.trim().to_owned())
    });
    report.check("undefine, net-destroy: no emulator, no tap, no port is left", || {
        daemon.shell("oxish", &format!("undefine {NAME}"))?;
        let ports = daemon.shell("oxish", "net-port-list default")?;
        daemon.shell("oxish", "net-destroy default")?;
        let links = daemon.netns().sh("ip -br link | cut -d' ' -f1")?;
        let emulators = daemon.netns().processes_of(qemu::SYSTEM)?.len();
        match links.contains("vnet") || links.contains("virbr") || emulators > 0 {
            true => Err(Error::Wrong(format!("{emulators} emulators, links {links}"))),
            false if !ports.trim().is_empty() => Err(Error::Wrong(format!("ports: {ports}"))),
            false => Ok(""),
        }
    });
}

/// Types a command on the guest's console and waits for a line that ends with `answer`; the line.
fn ask(daemon: &GuestDaemon, command: &str, answer: &str) -> Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Wrong(format!("no runtime: {source}")))?;
    runtime.block_on(async {
        let mut console = console(&daemon.uri()).await.map_err(|error| refused(&error))?;
        let failed = |source: std::io::Error| Error::Wrong(format!("the console failed: {source}"));
        console.write_all(format!("{command}\n").as_bytes()).await.map_err(failed)?;
        console.flush().await.map_err(failed)?;
        let (mut said, mut buffer) = (String::new(), [0; 1024]);
        let end = Instant::now() + PATIENCE;
        loop {
            // The shell's prompt may stand before the answer.
            let lines = said.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            if let Some(line) = lines.map(str::trim).find(|line| line.ends_with(answer)) {
                return Ok(line.trim_start_matches("/ # ").to_owned());
            }
            let left = end.saturating_duration_since(Instant::now());
            let read = tokio::time::timeout(left, console.read(&mut buffer)).await;
            match read {
                Ok(Ok(count)) if count > 0 => {
                    let text = buffer.get(..count).unwrap_or_default();
                    said.push_str(&String::from_utf8_lossy(text));
                }
                Ok(Err(source)) => return Err(failed(source)),
                _ => return Err(Error::Wrong(format!("the console said: {said}"))),
            }
        }
    })
}

async fn console(uri: &str) -> oxivirt::Result<Box<dyn DomainStream>> {
    let mut registry = Registry::new();
    oxivirt_remote::client::register(&mut registry, Environment::of_process());
    let options = OpenOptions { deadline: Some(Duration::from_secs(30)), ..OpenOptions::default() };
    let connect = Connect::open(uri, &registry, &options).await?;
    let domain = connect.domain_lookup_by_name(NAME).await?;
    domain.open_console(None, ConsoleFlags::FORCE).await
}

fn refused(error: &oxivirt::Error) -> Error {
    Error::Wrong(format!("error {} of domain {}: {error}", error.code(), error.domain()))
}
