//! Every change of queues that the driver makes, once (`tests/tests/queues.rs`).
//!
//! `oxivirt-campaign queues load|clear LINK` carries them out over netlink, or the later ones that take them back,
//! and prints `done` or `refused` for each; `oxivirt-campaign queues words load|clear LINK` prints what would do
//! the same behind `tc`.

use crate::error::{Error, Result};
use oxivirt_netlink::{Class, Handle, Hook, QueueChange};
use oxivirt_types::mac::MacAddr;

const MAC: MacAddr = MacAddr([0x52, 0x54, 0x00, 0x0a, 0xb1, 0x02]);

fn changes() -> Vec<QueueChange> {
    let class = |id, parent, rate| {
        let (ceiling, burst, quantum) = (5_000_000, None, 85);
        Class { id, parent, rate, ceiling, burst, quantum }
    };
    vec![
        QueueChange::AddTree { default: 2 },
        QueueChange::AddClass(class(1, 0, 1_000_000)),
        QueueChange::AddClass(Class { burst: Some(5120 * 1024), ..class(2, 1, 1_000_000) }),
        QueueChange::AddClass(class(0x1f, 1, 300_000)),
        // More than the 32 bits of the old form.
        QueueChange::AddClass(Class { ceiling: 6_000_000_000, ..class(9, 1, 5_000_000_000) }),
        QueueChange::ChangeClass(class(2, 1, 4_500_000)),
        QueueChange::AddFairness { class: 2, queue: 2 },
        QueueChange::AddMark,
        QueueChange::AddDestination { number: 0x831, mac: MAC, class: 0x1f },
        QueueChange::AddHook(Hook::Ingress),
        QueueChange::Police { hook: Hook::Ingress, rate: 128_000, burst: 128 * 1024 },
        // The other kind is not there.
        QueueChange::DeleteHook(Hook::Both),
        QueueChange::DeleteHook(Hook::Ingress),
        QueueChange::AddHook(Hook::Both),
        QueueChange::Police { hook: Hook::Both, rate: 1_000_000, burst: 50 * 1024 },
        QueueChange::FillChecksums,
    ]
}

fn backwards() -> Vec<QueueChange> {
    vec![
        QueueChange::DeleteDestination { number: 0x831 },
        QueueChange::DeleteFairness { queue: 2 },
        QueueChange::DeleteClass { id: 0x1f },
        QueueChange::DeleteClass { id: 9 },
        QueueChange::DeleteTree,
    ]
}

pub(super) fn run(words: &[String]) -> Result<bool> {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (is_words, words) = match words.as_slice() {
        ["words", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (changes, link) = match words {
        ["load", link] => (changes(), link),
        ["clear", link] => (backwards(), link),
        _ => return Err(Error::Wrong("load or clear, and a link".to_owned())),
    };
    if is_words {
        changes.iter().for_each(|change| println!("{}", change.words(link)));
        return Ok(true);
    }
    let wrong = |error: &dyn std::fmt::Display| Error::Wrong(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let index = nix::net::if_::if_nametoindex(*link).map_err(|error| wrong(&error))?;
    runtime.map_err(|error| wrong(&error))?.block_on(async {
        let links = Handle::open().map_err(|error| wrong(&error))?;
        for change in &changes {
            match links.change_queue(index, change).await {
                Ok(()) => println!("done"),
                Err(error) => {
                    eprintln!("{}: {}", change.words(link), oxivirt_sys::chain::text(&error));
                    println!("refused");
                }
            }
        }
        Ok(true)
    })
}
