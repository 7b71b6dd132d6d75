//! The drivers of networks and guests in one process, see [`crate::guests`].
//!
//! `oxivirt-campaign guests ROOT` reads lines `VERB NAME [ARGUMENT]` and answers each with `ok` and a JSON
//! string, or with `error NUMBER DOMAIN MESSAGE`.

use std::io::BufRead as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use oxivirt::{
    Autostart, Connection as _, DefineFlags, DomainDriver, DomainEvent, DomainRef, Error,
    NetworkDriver, Result,
};
use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::{HookOptions, Options as NetworkOptions, RestoreSettings, embed};
use oxivirt_qemu::capabilities::{Capabilities, Options as ProbeOptions};
use oxivirt_qemu::layout::Layout;
use oxivirt_qemu::{Driver, Options, StartWithHost};
use oxivirt_types::domain::{
    AddressSource, DomainCreateFlags, DomainDefineFlags, DomainDestroyFlags, DomainEventId,
    DomainListFlags, DomainShutdownFlags, DomainUndefineFlags, DomainXmlFlags,
};

/// Time between two looks at a state.
const LOOK: std::time::Duration = std::time::Duration::from_millis(2);

pub(super) fn run(words: &[String]) -> crate::Result<bool> {
    let usage = "usage: oxivirt-campaign guests ROOT";
    let root = words.first().ok_or_else(|| crate::Error::Wrong(usage.to_owned()))?;
    let launcher = crate::host::program("oxivirt_launch")?;
    Ok(answer(Path::new(root), launcher))
}

/// Answers until the input ends; whether the drivers could be opened.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn answer(root: &Path, launcher: std::path::PathBuf) -> bool {
    let session = match Session::open(root, launcher).await {
        Ok(session) => session,
        Err(error) => {
            report(&error);
            return false;
        }
    };
    println!("ready");
    let session = Arc::new(session);
    for line in std::io::stdin().lock().lines() {
        // The end of the input and an unreadable one are the same.
        let Ok(line) = line else { break };
        match session.call(&line).await {
            Ok(text) => println!("ok {}", serde_json::Value::from(text)),
            Err(error) => report(&error),
        }
    }
    true
}

fn report(error: &Error) {
    let message = error.message().replace('\n', " ");
    println!("error {} {} {message}", error.code().0, error.domain().0);
}

struct Session {
    networks: Arc<oxivirt_network::Driver<LinuxHost>>,
    guests: Driver,
    received: Arc<Mutex<Vec<String>>>,
}

impl Session {
    async fn open(root: &Path, launcher: std::path::PathBuf) -> Result<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let host =
            LinuxHost::open(path).map_err(|error| Error::invalid_argument(error.to_string()))?;
        let networks = NetworkOptions {
            layout: oxivirt_network::layout::Layout::below(root),
            lease_helper: embed::lease_helper(std::env::current_exe().ok().as_deref()),
            uri: "network:///system".to_owned(),
            autostart: oxivirt_network::StartWithHost::Once,
            restore_settings: RestoreSettings::Never,
            hooks: HookOptions {
                environment: std::env::vars_os().collect(),
                ..HookOptions::default()
            },
        };
        let networks = Arc::new(oxivirt_network::Driver::open(host, networks).await?);
        let layout = Layout::below(root);
        let probe = ProbeOptions {
            cache_dir: layout.capabilities_dir(),
            state_dir: layout.lib_dir(),
            ..ProbeOptions::system(Path::new("/"))
        };
        let options = Options {
            layout,
            uri: "qemu:///system".to_owned(),
            emulators: Arc::new(Capabilities::new(probe)),
            launcher,
            networks: Some(Arc::clone(&networks) as Arc<dyn NetworkDriver>),
            environment: std::env::vars_os().collect(),
            autostart: StartWithHost::Once,
        };
        let guests = Driver::open(options).await?;
        let received: Arc<Mutex<Vec<String>>> = Arc::default();
        for id in [DomainEventId::Lifecycle, DomainEventId::Reboot] {
            let received = Arc::clone(&received);
            let record = move |event: &DomainEvent| {
                let line = match event {
                    DomainEvent::Lifecycle { domain, event, detail } => {
                        format!("{} {} {detail}", domain.name, event.number())
                    }
                    other => format!("{} reboot", other.domain().name),
                };
                lock(&received).push(line);
            };
            guests.domain_event_register(None, id, Box::new(record)).await?;
        }
        Ok(Self { networks, guests, received })
    }

    async fn call(&self, line: &str) -> Result<String> {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, name, argument) = (word(), word(), word());
        if let Some(verb) = verb.strip_prefix("net-") {
            return self.network(verb, name, argument).await;
        }
        let guests = &self.guests;
        match verb {
            "define" => {
                let flags = DomainDefineFlags::empty();
                return Ok(guests.domain_define_xml(argument, flags).await?.uuid.to_string());
            }
            "create-xml" => {
                let flags = DomainCreateFlags::empty();
                return Ok(guests.domain_create_xml(argument, flags).await?.uuid.to_string());
            }
            "list" => {
                let flags = DomainListFlags::from_bits_retain(number(argument)?);
                let mut names = guests.list_all_domains(flags).await?;
                names.sort();
                let names: Vec<String> = names.into_iter().map(|domain| domain.name).collect();
                return Ok(names.join(" "));
            }
            "events" => return Ok(std::mem::take(&mut *lock(&self.received)).join("\n")),
            "uri" => return guests.uri().await,
            _ => {}
        }
        let domain = guests.domain_lookup_by_name(name).await?;
        self.guest(&domain, verb, argument).await
    }

    async fn network(&self, verb: &str, name: &str, argument: &str) -> Result<String> {
        let networks = &self.networks;
        if verb == "define" {
            networks.network_define_xml(argument, DefineFlags::NONE).await?;
            return Ok(String::new());
        }
        let network = networks.network_lookup_by_name(name).await?;
        match verb {
            "start" => networks.network_create(&network).await?,
            "destroy" => networks.network_destroy(&network).await?,
            "ports" => {
                let ports = networks.network_list_all_ports(&network, 0).await?;
                return Ok(ports.len().to_string());
            }
            other => return Err(Error::invalid_argument(format!("verb 'net-{other}'"))),
        }
        Ok(String::new())
    }

    async fn guest(&self, domain: &DomainRef, verb: &str, argument: &str) -> Result<String> {
        let guests = &self.guests;
        match verb {
            "start" => {
                let flags = DomainCreateFlags::from_bits_retain(number(argument)?);
                let id = guests.domain_create(domain, flags).await?.id;
                return Ok(id.map_or(String::new(), |id| id.to_string()));
            }
            "destroy" => {
                let flags = DomainDestroyFlags::from_bits_retain(number(argument)?);
                guests.domain_destroy(domain, flags).await?;
            }
            "shutdown" => guests.domain_shutdown(domain, DomainShutdownFlags::empty()).await?,
            "reboot" => guests.domain_reboot(domain, DomainShutdownFlags::empty()).await?,
            "reset" => guests.domain_reset(domain, 0).await?,
            "suspend" => guests.domain_suspend(domain).await?,
            "resume" => guests.domain_resume(domain).await?,
            "undefine" => guests.domain_undefine(domain, DomainUndefineFlags::empty()).await?,
            "autostart" => guests.domain_set_autostart(domain, Autostart::Enabled).await?,
            "xml" => {
                let flags = DomainXmlFlags::from_bits_retain(number(argument)?);
                return guests.domain_xml_desc(domain, flags).await;
            }
            "state" => {
                let status = guests.domain_state(domain, 0).await?;
                return Ok(format!("{} {}", status.state.number(), status.reason));
            }
            "until" => {
                while guests.domain_state(domain, 0).await?.state.number().to_string() != argument {
                    tokio::time::sleep(LOOK).await;
                }
            }
            "info" => {
                let info = guests.domain_info(domain).await?;
                return Ok(format!("{} {} {}", info.memory_kib, info.n_vcpus, info.cpu_time_ns));
            }
            "addresses" => {
                let source = AddressSource::Lease;
                let found = guests.domain_interface_addresses(domain, source, 0).await?;
                let lines = found.iter().flat_map(|interface| {
                    interface.addresses.iter().map(|address| {
                        format!("{} {}/{}", interface.name, address.address, address.prefix)
                    })
                });
                return Ok(lines.collect::<Vec<_>>().join("\n"));
            }
            other => return Err(Error::invalid_argument(format!("verb '{other}'"))),
        }
        Ok(String::new())
    }
}

fn lock(received: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An optional number, 0 if there is none.
fn number(word: &str) -> Result<u32> {
    if word.is_empty() {
        return Ok(0);
    }
    word.parse().map_err(|_| Error::invalid_argument(format!("number '{word}'")))
}
