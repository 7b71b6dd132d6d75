//! The client library with a daemon that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use oxivirt::{
    Connect, ErrorCode, ListFlags, NetworkEvent, NetworkEventId, OpenOptions, Reconnect, Registry,
};
use oxivirt_remote::client::{Environment, register};
use oxivirt_tests::process::{PATIENCE, wait_until};
use oxivirt_tests::{Daemon, apply, scenario};

use super::daemon;

/// Time between two definitions of which one has to have an event.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether every thread of a process is stopped: after the signal, running threads go on for a moment.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("stat")).ok())
        .all(|stat| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T')))
}

fn registry() -> Registry {
    let mut registry = Registry::new();
    register(&mut registry, Environment::of_process());
    registry
}

fn reconnect(daemon: &Daemon) -> Reconnect {
    Reconnect::new(daemon.uri(), Arc::new(registry()), OpenOptions::default())
}

async fn define(reconnect: &Reconnect, name: &str) {
    let connect = reconnect.connect().await.unwrap();
    let xml = format!("<network><name>{name}</name></network>");
    connect.network_define_xml(&xml, oxivirt::DefineFlags::NONE).await.unwrap();
}

#[apply(scenario)]
async fn a_daemon_that_was_restarted_is_found_again() {
    let mut daemon = daemon();
    let client = reconnect(&daemon);
    let mut events = client.network_events(None, NetworkEventId::Lifecycle);
    let mut names = Vec::new();
    for name in ["red", "blue"] {
        // The stream registers when it is first polled, and what is defined before has no event.
        let received = async {
            while let Some(event) = events.next().await {
                if let Ok(NetworkEvent::Lifecycle { network, .. }) = event
                    && network.name == name
                {
                    return names.push(network.name);
                }
            }
        };
        let defined = async {
            loop {
                define(&client, name).await;
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::select! {
            () = received => {}
            () = defined => {}
            () = tokio::time::sleep(PATIENCE) => panic!("no event of {name}"),
        }
        if name == "red" {
            daemon.stop().unwrap();
            assert!(client.connect().await.is_err());
            daemon.restart(&[]).unwrap();
        }
    }
    assert_eq!(names, ["red", "blue"]);
    let networks = client.connect().await.unwrap().list_all_networks(ListFlags::NONE).await;
    assert_eq!(networks.unwrap().len(), 2);
}

#[apply(scenario)]
async fn a_stream_ends_with_its_connection() {
    let mut daemon = daemon();
    let options = OpenOptions::default();
    let connect = Connect::open(&daemon.uri(), &registry(), &options).await.unwrap();
    let mut events = connect.network_events(None, NetworkEventId::Lifecycle).await.unwrap();
    daemon.stop().unwrap();
    assert_eq!(events.next().await, None);
    drop(connect);
}

#[apply(scenario)]
async fn a_daemon_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let daemon = daemon();
    let deadline = Some(Duration::from_secs(1));
    let options = OpenOptions { deadline, ..OpenOptions::default() };
    let connect = Connect::open(&daemon.uri(), &registry(), &options).await.unwrap();
    let processes = daemon.netns().processes().unwrap();
    let of_daemon = processes.iter().find(|process| process.inside == daemon.pid()).unwrap();
    let stopped = of_daemon.stop().unwrap();
    wait_until("every thread of the daemon to stop", || Ok(is_stopped(of_daemon.outside))).unwrap();
    let answer = connect.list_all_networks(ListFlags::NONE).await;
    drop(stopped);
    assert_eq!(answer.unwrap_err().code(), ErrorCode::OPERATION_TIMEOUT);
    // Late replies are dropped. On a busy machine the replies of the next calls may be late too.
    let answered = async {
        while let Err(error) = connect.list_all_networks(ListFlags::NONE).await {
            assert_eq!(error.code(), ErrorCode::OPERATION_TIMEOUT);
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}
