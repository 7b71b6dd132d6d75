//! Starts one guest process from a plan.
//!
//! A daemon with many threads cannot safely run code between `fork` and `exec`, and a guest process needs
//! a lot of it: a session of its own, limits, a locked pid file, a mount namespace, another user. So the
//! daemon starts `oxivirt_launch`, a small single-threaded program, and sends it a [`Plan`] over a UNIX
//! socket together with the descriptors the guest process inherits. The program carries out the plan in a
//! fixed order and takes no decision of its own.
//!
//! ```text
//! daemon                               oxivirt_launch                 its child
//!   spawn, socket as standard input ──▶ starts its child, exits ──▶   (parent is now init)
//!   plan + descriptors ────────────────────────────────────────────▶  descriptors, session, limits, pid file
//!   ◀────────────────────────────────────────────────── Ready { pid }
//!   cgroup, labels, early status
//!   go ────────────────────────────────────────────────────────────▶  mount namespace, user, exec
//!   ◀─────────────────────────── end of the stream, or Failed { .. }
//! ```
//!
//! A daemon that dies before `go` closes the socket, and the child exits without having started anything.
//!
//! Descriptor `i` of the plan has the number [`FIRST_DESCRIPTOR`]` + i` in the guest process, so the
//! planner can write the numbers into the command line.
//!
//! ```
//! use oxivirt_launch::{Plan, descriptor_number};
//!
//! let plan = Plan::new("/usr/bin/qemu-system-x86_64", ["-S", "-chardev"]);
//! assert_eq!(plan.arguments, ["-S", "-chardev"]);
//! assert_eq!(descriptor_number(2), 22);
//! ```
//!
//! `examples/launch_socket.rs` has both ends of the conversation.

mod plan;
mod wire;

pub use plan::{Credentials, DeviceNode, Devices, Limit, Plan, Resource};
pub use wire::{
    GO, PLAN_MAX, Reply, WireError, receive_plan, receive_reply, send_plan, send_reply,
};

/// Number of the first passed descriptor in the guest process; 3 to 19 are the program's own.
pub const FIRST_DESCRIPTOR: i32 = 20;
/// Most descriptors of one plan: what one `SCM_RIGHTS` message carries (`SCM_MAX_FD`, unix(7)).
pub const DESCRIPTORS_MAX: usize = 253;

/// Number of the plan's descriptor `index` in the guest process.
///
/// The index is below [`DESCRIPTORS_MAX`]; a greater one gives the number of the last.
#[must_use]
pub fn descriptor_number(index: usize) -> i32 {
    let index = i32::try_from(index.min(DESCRIPTORS_MAX)).unwrap_or_default();
    FIRST_DESCRIPTOR + index
}
