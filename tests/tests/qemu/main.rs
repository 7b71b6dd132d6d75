//! What meets QEMU: guests, their driver, the prober, the client of the monitor, the readers of disk images.

mod capabilities;
mod daemon;
mod driver;
mod guest;
mod images;
mod interfaces;
mod monitor;
mod planned;
mod running;
mod takeover;
mod unprivileged;

fn main() -> std::process::ExitCode {
    oxivirt_tests::harness::main()
}
