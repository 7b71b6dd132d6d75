//! Both ends of the launch socket: the daemon's, and that of a stand-in for `oxivirt_launch` that prints
//! the plan instead of executing it.
//!
//! `cargo run -p oxivirt-launch --example launch_socket`
#![expect(clippy::print_stdout, reason = "printing is what the example is for")]

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::thread;

use oxivirt_launch::{
    GO, Limit, Plan, Reply, Resource, WireError, descriptor_number, receive_plan, receive_reply,
    send_plan, send_reply,
};

fn launcher(mut socket: UnixStream) -> Result<(), WireError> {
    let (plan, descriptors) = receive_plan(&mut socket)?;
    println!("launcher: {} {}", plan.program.display(), plan.arguments.join(" "));
    println!("launcher: {} limits, {} descriptors", plan.limits.len(), descriptors.len());
    send_reply(&mut socket, &Reply::Ready { pid: 4711 })?;
    let mut go = [0];
    socket.read_exact(&mut go)?;
    println!("launcher: go, the program would run now");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut daemon, other) = UnixStream::pair()?;
    let launcher = thread::spawn(move || launcher(other));

    // The guest process finds the first descriptor under a number that the planner knows.
    let disk = format!("fd={},set=1", descriptor_number(0));
    let mut plan = Plan::new("/usr/bin/qemu-system-x86_64", ["-S", "-add-fd", &disk]);
    plan.limits.push(Limit { resource: Resource::Core, value: Some(0) });
    let file = File::open("/dev/null")?;
    send_plan(&mut daemon, &plan, &[file.as_fd()])?;

    match receive_reply(&mut daemon)? {
        // Here a driver puts the process into its control group.
        Some(Reply::Ready { pid }) => println!("daemon: process {pid} waits"),
        other => return Err(format!("no process: {other:?}").into()),
    }
    daemon.write_all(&[GO])?;
    // The end of the stream means that the program runs.
    assert!(receive_reply(&mut daemon)?.is_none(), "the launcher reported a failure");
    launcher.join().map_err(|_| "the launcher panicked")??;
    Ok(())
}
