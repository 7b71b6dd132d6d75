//! dnsmasq processes.

use std::path::Path;
use std::time::Duration;

use oxivirt_sys::{file, pidfile};
use uuid::Uuid;

use super::files::on_thread;
use super::{LinuxHost, netserv};
use crate::apply::HostError;
use crate::apply::host::{End, Processes, RunningDnsmasq};
use crate::components::dhcp::{Serve, StopServing};
use crate::dnsmasq::{Launch, Process};

/// How long a dnsmasq may take to end before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the processes of a dnsmasq are looked for until none is left.
const SCANS: usize = 20;

impl Processes for LinuxHost {
    async fn start_dnsmasq(&self, launch: &Launch) -> Result<(), HostError> {
        Ok(launch.start().await?)
    }

    fn reload_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Result<(), HostError> {
        match find(conf_file, pid_file) {
            Some(process) => Ok(process.reload()?),
            None => Err(HostError::NoDnsmasqProcess { conf_file: conf_file.to_owned() }),
        }
    }

    async fn stop_dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Result<(), HostError> {
        if let Some(process) = find(conf_file, pid_file) {
            end(process.with_children(conf_file)).await?;
        } else {
            // After a crash it may still be on its way to becoming a daemon, one fork after the other.
            for _ in 0..SCANS {
                let processes = Process::find_all(conf_file);
                if processes.is_empty() {
                    break;
                }
                end(processes).await?;
            }
        }
        let pid_file = pid_file.to_owned();
        on_thread(move || {
            file::remove(&pid_file)?;
            Ok(())
        })
        .await
    }

    async fn serve(&self, step: &Serve) -> Result<(), HostError> {
        let step = step.clone();
        on_thread(move || netserv::serve(&step)).await
    }

    async fn stop_serving(&self, step: &StopServing) -> Result<(), HostError> {
        let step = step.clone();
        on_thread(move || netserv::stop(&step)).await
    }

    fn served(&self, socket: &Path, network: Uuid) -> Option<u64> {
        netserv::served(socket, network)
    }

    fn service_end(&self, socket: &Path) -> Option<(i32, End)> {
        netserv::end(socket)
    }

    fn dnsmasq(&self, conf_file: &Path, pid_file: &Path) -> Option<RunningDnsmasq> {
        let process = find(conf_file, pid_file)?;
        Some(RunningDnsmasq { servers_file: process.servers_file() })
    }

    fn dnsmasq_end(&self, conf_file: &Path, pid_file: &Path) -> Option<(i32, End)> {
        let process = find(conf_file, pid_file)?;
        let pid = process.pid();
        Some((pid, Box::pin(process.gone())))
    }
}

/// The dnsmasq whose pid is in a pid file.
fn find(conf_file: &Path, pid_file: &Path) -> Option<Process> {
    pidfile::read(pid_file).and_then(|pid| Process::find(pid, conf_file))
}

async fn end(processes: Vec<Process>) -> Result<(), HostError> {
    for process in &processes {
        process.terminate()?;
    }
    for process in processes {
        process.ended(STOP_TIMEOUT).await?;
    }
    Ok(())
}
