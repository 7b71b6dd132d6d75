//! What is done to the host, as values. Nothing here reads a file, a clock or the kernel.

mod error;
pub mod qemu_img;
mod step;
mod volume;

pub use error::PlanError;
pub(crate) use qemu_img::backing;
pub use qemu_img::{Argument, QemuImg};
pub use step::{Access, Place, Resource, Step, Undo};
pub(crate) use volume::access;
pub use volume::{
    CopyFrom, CreateOptions, Creation, Preallocation, Reflink, Resize, create, resize,
};
