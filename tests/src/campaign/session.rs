//! One connection with the embedded driver in this process, see [`crate::session`].
//!
//! `oxivirt-campaign session URI [events]` reads lines `VERB NETWORK [ARGUMENT]` and answers each with the
//! nanoseconds that the call took and what it returned, or with `error NUMBER DOMAIN MESSAGE`.
//!
//! Beside those of the embedded driver it takes `network:///session?config=DIR&runtime=DIR`, the
//! driver of a user, and the parameter `restore=yes`: settings of the host go back.

use std::io::BufRead as _;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use oxivirt::{
    Access, Connect, CreateFlags, DefineFlags, DhcpLease, Error, Network, NetworkEvent,
    NetworkEventId, PortCreateFlags, Result, TypedParam, TypedValue, Update, UpdateCommand,
    UpdateFlags, UpdateSection, Uri, XmlFlags,
};
use oxivirt_network::apply::linux::LinuxHost;
use oxivirt_network::layout::Layout;
use oxivirt_network::{Driver, HookOptions, Options, RestoreSettings, StartWithHost, embed};

pub(super) fn run(words: &[String]) -> crate::Result<bool> {
    let usage = "usage: oxivirt-campaign session URI [events]";
    let uri = words.first().ok_or_else(|| crate::Error::Wrong(usage.to_owned()))?;
    Ok(answer(uri, words.iter().any(|word| word == "events")))
}

/// Answers until the input ends; whether the connection could be opened.
#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn answer(uri: &str, events: bool) -> bool {
    let session = match Session::open(uri, events).await {
        Ok(session) => session,
        Err(error) => {
            report(&error);
            return false;
        }
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        // The end of the input and an unreadable one are the same.
        let Ok(line) = line else { break };
        match session.call(&line).await {
            Ok((time, text)) => println!("{} {}", time.as_nanos(), serde_json::Value::from(text)),
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
    connect: Connect,
    received: Arc<Mutex<Vec<String>>>,
}

impl Session {
    async fn open(uri: &str, with_events: bool) -> Result<Self> {
        let connect = Connect::new(Arc::new(driver(&uri.parse()?).await?), Access::ReadWrite);
        let received = Arc::new(Mutex::default());
        if with_events {
            for id in [
                NetworkEventId::Lifecycle,
                NetworkEventId::Healed,
                NetworkEventId::Warning,
                NetworkEventId::Lease,
            ] {
                let received: Arc<Mutex<Vec<String>>> = Arc::clone(&received);
                let record = move |event: &NetworkEvent| lock(&received).push(event_line(event));
                connect.network_event_register(None, id, Box::new(record)).await?;
            }
        }
        Ok(Self { connect, received })
    }

    async fn call(&self, line: &str) -> Result<(Duration, String)> {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (verb, name, argument) = (word(), word(), word());
        let begin = Instant::now();
        match verb {
            "define" => drop(self.connect.network_define_xml(argument, DefineFlags::NONE).await?),
            "create-xml" => {
                drop(self.connect.network_create_xml(argument, CreateFlags::NONE).await?);
            }
            "events" => {
                let received = std::mem::take(&mut *lock(&self.received));
                return Ok((begin.elapsed(), received.join("\n")));
            }
            _ => {
                let network = self.connect.network_lookup_by_name(name).await?;
                let begin = Instant::now();
                let text = match verb.strip_prefix("port-") {
                    Some(verb) => port_call(&network, verb, argument).await?,
                    None => network_call(&network, verb, argument).await?,
                };
                return Ok((begin.elapsed(), text));
            }
        }
        Ok((begin.elapsed(), String::new()))
    }
}

fn lock(received: &Mutex<Vec<String>>) -> std::sync::MutexGuard<'_, Vec<String>> {
    received.lock().unwrap_or_else(PoisonError::into_inner)
}

fn event_line(event: &NetworkEvent) -> String {
    let name = &event.network().name;
    match event {
        NetworkEvent::Lifecycle { event, .. } => format!("{name} {event:?}").to_lowercase(),
        NetworkEvent::Lease { change, lease, .. } => {
            format!("{name} lease {} ", lease.ipaddr) + &format!("{change:?}").to_lowercase()
        }
        NetworkEvent::Healed { steps, .. } => format!("{name} healed: {}", steps.join(", ")),
        NetworkEvent::Warning { text, .. } => format!("{name} warning: {text}"),
        other => format!("{name} {other:?}"),
    }
}

async fn driver(uri: &Uri) -> Result<Driver<LinuxHost>> {
    let param = |name| uri.param(name).map(PathBuf::from);
    let missing = || Error::invalid_argument("the URI names no directories");
    let layout = match (param("root"), param("config"), param("runtime")) {
        (Some(root), ..) => Layout::below(root),
        (None, Some(config), Some(runtime)) => Layout::session(config, runtime),
        _ => return Err(missing()),
    };
    let restores = uri.param("restore") == Some("yes");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let host = LinuxHost::open(path).map_err(|error| Error::invalid_argument(error.to_string()))?;
    let options = Options {
        layout,
        lease_helper: embed::lease_helper(std::env::current_exe().ok().as_deref()),
        uri: uri.as_str().to_owned(),
        autostart: StartWithHost::Once,
        restore_settings: match restores {
            true => RestoreSettings::WithLastNetwork,
            false => RestoreSettings::Never,
        },
        hooks: HookOptions { environment: std::env::vars_os().collect(), ..HookOptions::default() },
    };
    Driver::open(host, options).await
}

async fn network_call(network: &Network, verb: &str, argument: &str) -> Result<String> {
    match verb {
        "start" => network.create().await?,
        "destroy" => network.destroy().await?,
        "undefine" => network.undefine().await?,
        "add-dns-host" => {
            network
                .update(&Update {
                    command: UpdateCommand::AddLast,
                    section: UpdateSection::DnsHost,
                    parent_index: -1,
                    xml: argument.to_owned(),
                    flags: UpdateFlags::LIVE | UpdateFlags::CONFIG,
                })
                .await?;
        }
        "update" => network.update(&update(argument)?).await?,
        "xml" => {
            let flags = if argument.is_empty() { 0 } else { number(argument)? };
            return network.xml_desc(XmlFlags::from_bits_retain(flags)).await;
        }
        "active" => return Ok(network.is_active().await?.to_string()),
        "leases" => {
            let mac = Some(argument).filter(|mac| !mac.is_empty());
            let leases = network.dhcp_leases(mac).await?;
            return Ok(leases.iter().map(lease).collect::<Vec<_>>().join("\n"));
        }
        other => return Err(Error::invalid_argument(format!("verb '{other}'"))),
    }
    Ok(String::new())
}

async fn port_call(network: &Network, verb: &str, argument: &str) -> Result<String> {
    let (first, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    match verb {
        "create" => {
            let flags = PortCreateFlags::from_bits_retain(number(first)?);
            return Ok(network.port_create_xml(rest, flags).await?.uuid().to_string());
        }
        "list" => {
            let ports = network.list_all_ports().await?;
            let mut uuids: Vec<_> = ports.iter().map(|port| port.uuid().to_string()).collect();
            uuids.sort();
            return Ok(uuids.join("\n"));
        }
        _ => {}
    }
    let port = network.port_lookup_by_uuid_string(first).await?;
    match verb {
        "xml" => return port.xml_desc().await,
        "delete" => port.delete().await?,
        "limits" => {
            let params = port.parameters().await?;
            let text = params.iter().map(|param| match param.value {
                TypedValue::UInt(value) => format!("{}={value}", param.field),
                ref other => format!("{}={other:?}", param.field),
            });
            return Ok(text.collect::<Vec<_>>().join("\n"));
        }
        "limit" => {
            let params = rest.split_whitespace().filter_map(|word| word.split_once('='));
            let params = params.map(|(field, value)| {
                let value = TypedValue::UInt(number(value)?);
                Ok(TypedParam { field: field.to_owned(), value })
            });
            port.set_parameters(&params.collect::<Result<Vec<_>>>()?).await?;
        }
        other => return Err(Error::invalid_argument(format!("verb 'port-{other}'"))),
    }
    Ok(String::new())
}

/// Reads `COMMAND SECTION INDEX FLAGS XML`.
fn update(argument: &str) -> Result<Update> {
    let mut words = argument.splitn(5, ' ');
    let mut word = || words.next().unwrap_or_default();
    Ok(Update {
        command: UpdateCommand::from_number(number(word())?),
        section: UpdateSection::from_number(number(word())?),
        parent_index: number(word())?,
        flags: UpdateFlags::from_bits_retain(number(word())?),
        xml: word().to_owned(),
    })
}

fn number<T: FromStr>(word: &str) -> Result<T> {
    word.parse().map_err(|_| Error::invalid_argument(format!("number '{word}'")))
}

fn lease(lease: &DhcpLease) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    format!(
        "{} {} {} {} {} {}/{} {} {}",
        lease.iface,
        lease.expiry_time,
        lease.addr_type.number(),
        or_dash(&lease.mac),
        or_dash(&lease.iaid),
        lease.ipaddr,
        lease.prefix,
        or_dash(&lease.hostname),
        or_dash(&lease.client_id)
    )
}
