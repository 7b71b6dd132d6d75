//! `pool-event`: wait for events of storage pools.

use oxivirt::{StorageEvent, StoragePoolEventId, StoragePoolLifecycle, StoragePoolListFlags};

use super::{any_pool, pool};
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::events::{self, Arrived, stamp};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

/// virsh's words, in the order of the numbers.
const EVENTS: &[&str] = &["lifecycle", "refresh"];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("pool-event", mark!("wait for events of storage pools"), run)
        .about(mark!(
            "Waits for an event and prints it, or with --loop prints all events until interrupted."
        ))
        .options(&[
            any_pool("pool", StoragePoolListFlags::empty()).accepted(),
            OptionDef::text("event", mark!("event type"))
                .accepted()
                .complete(Completer::Words(EVENTS)),
            events::LOOP,
            events::TIMEOUT,
            events::LIST,
            events::TIMESTAMP,
        ]);

/// virsh: `cmdPoolEvent`, tools/virsh-pool.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    if args.flag("list") {
        return events::list(shell, EVENTS);
    }
    let Some(word) = args.text("event")? else {
        return Err(Failure::Message(tr!("either --list or --event <type> is required")));
    };
    let id = match events::number(&word, EVENTS)? {
        0 => StoragePoolEventId::Lifecycle,
        _ => StoragePoolEventId::Refresh,
    };
    let timeout = events::timeout(args)?;
    let pool = if args.has_named("pool") { Some(pool(shell, args)?) } else { None };
    let connect = shell.connect()?;
    let (sender, receiver) = events::channel();
    let reference = pool.as_ref().map(oxivirt::StoragePool::reference);
    let callback = events::forward(sender);
    let registered = shell.wait(connect.storage_pool_event_register(reference, id, callback))?;
    let with_time = args.flag("timestamp");
    let line = |event: &Arrived<StorageEvent>| line(event, with_time);
    let waited = events::wait(shell, receiver, args.flag("loop"), timeout, &line);
    if !shell.is_lost() {
        shell.wait(connect.storage_pool_event_deregister(registered))?;
    }
    let (count, end) = waited?;
    events::finish(shell, count, &end)
}

fn line((time, event): &Arrived<StorageEvent>, with_time: bool) -> String {
    let name = event.pool();
    let text = match event {
        StorageEvent::Lifecycle { event, .. } => {
            let what = word(*event);
            tr!("event 'lifecycle' for storage pool {name}: {what}", name = name, what = what)
        }
        _ => tr!("event '{event}' for storage pool {name}", event = "refresh", name = name),
    };
    stamp(*time, with_time) + &text + "\n"
}

const fn word(event: StoragePoolLifecycle) -> &'static str {
    match event {
        StoragePoolLifecycle::Defined => "Defined",
        StoragePoolLifecycle::Undefined => "Undefined",
        StoragePoolLifecycle::Started => "Started",
        StoragePoolLifecycle::Stopped => "Stopped",
        StoragePoolLifecycle::Created => "Created",
        StoragePoolLifecycle::Deleted => "Deleted",
        _ => "unknown",
    }
}
