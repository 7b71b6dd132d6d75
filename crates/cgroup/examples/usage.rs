//! Prints the CPU time of the control groups that this process is in. Nothing is changed.
//!
//! `cargo run -p oxivirt-cgroup --example usage`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;

use oxivirt_cgroup::Hierarchies;

fn main() -> Result<(), Box<dyn Error>> {
    let hierarchies = Hierarchies::read()?;
    if hierarchies.is_empty() {
        println!("no cgroup hierarchy is mounted");
        return Ok(());
    }
    // A line is `hierarchy:controllers:path`; of version 1 there are several, of version 2 one.
    for line in std::fs::read_to_string("/proc/self/cgroup")?.lines() {
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        let group = hierarchies.group(path);
        match group.cpu_time() {
            Some(time) => println!("{path}: {} ms of CPU time", time.as_millis()),
            None => println!("{path}: no controller counts CPU time"),
        }
    }
    // The groups of a guest: where the driver would put the threads of its virtual CPUs.
    let guest = hierarchies.group("/machine/qemu-1-web.libvirt-qemu");
    for directory in guest.child("vcpu0").directories() {
        println!("{}", directory.display());
    }
    Ok(())
}
