//! `event`: wait for domain events.

use oxivirt::{DomainEvent, DomainEventId, DomainLifecycleEvent, DomainListFlags, MetadataType};

use super::domain;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::events::{self, Arrived, stamp};
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;

/// virsh's words, in the order of the numbers.
const EVENTS: &[&str] = &[
    "lifecycle",
    "reboot",
    "rtc-change",
    "watchdog",
    "io-error",
    "graphics",
    "io-error-reason",
    "control-error",
    "block-job",
    "disk-change",
    "tray-change",
    "pm-wakeup",
    "pm-suspend",
    "balloon-change",
    "pm-suspend-disk",
    "device-removed",
    "block-job-2",
    "tunable",
    "agent-lifecycle",
    "device-added",
    "migration-iteration",
    "job-completed",
    "device-removal-failed",
    "metadata-change",
    "block-threshold",
    "memory-failure",
    "memory-device-size-change",
    "nic-mac-change",
];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("event", mark!("wait for domain events"), run)
        .about(mark!(
            "Waits for an event and prints it, or with --loop prints all events until interrupted."
        ))
        .options(&[
            OptionDef::text("domain", mark!("only events of this domain"))
                .accepted()
                .complete(Completer::Domain(DomainListFlags::empty().bits())),
            OptionDef::text("event", mark!("event type"))
                .accepted()
                .complete(Completer::Words(EVENTS)),
            OptionDef::flag("all", mark!("events of all types")),
            events::LOOP,
            events::TIMEOUT,
            events::LIST,
            events::TIMESTAMP,
        ]);

/// Numbers of the wanted kinds of events.
fn wanted(args: &Args) -> Result<Vec<i32>, Failure> {
    let Some(word) = args.text("event")? else {
        if args.flag("all") {
            return Ok((0..).zip(EVENTS).map(|(number, _)| number).collect());
        }
        let line = tr!("one of --list, --all, or --event <type> is required");
        return Err(Failure::Message(line));
    };
    Ok(vec![events::number(&word, EVENTS)?])
}

/// virsh: `cmdEvent`, tools/virsh-domain-event.c
fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    args.exclusive("all", "event")?;
    if args.flag("list") {
        return events::list(shell, EVENTS);
    }
    let wanted = wanted(args)?;
    let timeout = events::timeout(args)?;
    let domain = if args.has_named("domain") { Some(domain(shell, args)?) } else { None };
    let domain = domain.as_ref().map(oxivirt::Domain::reference);
    let connect = shell.connect()?;
    let (sender, receiver) = events::channel();
    let mut registered = Vec::new();
    for number in wanted {
        let callback = events::forward(sender.clone());
        let id = DomainEventId::from_number(number);
        registered.push(shell.wait(connect.domain_event_register(domain, id, callback))?);
    }
    let with_time = args.flag("timestamp");
    let line = |event: &Arrived<DomainEvent>| line(event, with_time);
    let waited = events::wait(shell, receiver, args.flag("loop"), timeout, &line);
    if !shell.is_lost() {
        for id in registered {
            shell.wait(connect.domain_event_deregister(id))?;
        }
    }
    let (count, end) = waited?;
    events::finish(shell, count, &end)
}

fn line((time, event): &Arrived<DomainEvent>, with_time: bool) -> String {
    stamp(*time, with_time) + &event_text(event) + "\n"
}

/// The text of an event. What it says of the event itself are virsh's words, which scripts compare.
fn event_text(event: &DomainEvent) -> String {
    use oxivirt::FamilyEvent as _;
    let number = usize::try_from(event.id().number()).unwrap_or(usize::MAX);
    let word = EVENTS.get(number).copied().unwrap_or("unknown");
    let name = event.domain();
    let text = tr!("event '{event}' for domain '{name}'", event = word, name = name);
    text + &details(event)
}

/// What follows the name of the domain.
fn details(event: &DomainEvent) -> String {
    match event {
        DomainEvent::Lifecycle { event, detail, .. } => {
            let (event, detail) = lifecycle_words(*event, *detail);
            format!(": {event} {detail}")
        }
        DomainEvent::RtcChange { offset, .. } => format!(": {offset}"),
        DomainEvent::Watchdog { action, .. } => {
            let actions = ["none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"];
            format!(": {}", word_of(&actions, *action))
        }
        DomainEvent::IoError { path, alias, action, .. } => {
            let action = word_of(&["none", "pause", "report"], *action);
            format!(": {path} ({alias}) {action}")
        }
        DomainEvent::IoErrorReason { path, alias, action, reason, .. } => {
            let action = word_of(&["none", "pause", "report"], *action);
            format!(": {path} ({alias}) {action} due to {reason}")
        }
        DomainEvent::BalloonChange { actual_kib, .. } => format!(": {actual_kib}KiB"),
        DomainEvent::DeviceAdded { alias, .. } | DomainEvent::DeviceRemoved { alias, .. } => {
            format!(": {alias}")
        }
        DomainEvent::TrayChange { alias, reason, .. } => {
            format!(" disk {alias}: {}", word_of(&["opened", "closed"], *reason))
        }
        DomainEvent::AgentLifecycle { state, reason, .. } => {
            let state = word_of(&["unknown", "connected", "disconnected"], *state);
            let reason = word_of(&["unknown", "domain started", "channel event"], *reason);
            format!(": state: '{state}' reason: '{reason}'")
        }
        DomainEvent::MetadataChange { kind, uri, .. } => {
            let kind = match kind {
                MetadataType::Description => "description",
                MetadataType::Title => "title",
                MetadataType::Element => "element",
                MetadataType::Unknown(_) => "unknown",
            };
            format!(": type {kind}, uri {}", uri.as_deref().unwrap_or("<null>"))
        }
        _ => String::new(),
    }
}

fn word_of<'w>(words: &[&'w str], number: i32) -> &'w str {
    usize::try_from(number).ok().and_then(|at| words.get(at)).copied().unwrap_or("unknown")
}

/// virsh's words for a lifecycle event and its detail.
fn lifecycle_words(event: DomainLifecycleEvent, detail: i32) -> (&'static str, &'static str) {
    let (word, details): (_, &[&'static str]) = match event {
        DomainLifecycleEvent::Defined => ("Defined", &["Added", "Updated", "Renamed", "Snapshot"]),
        DomainLifecycleEvent::Undefined => ("Undefined", &["Removed", "Renamed"]),
        DomainLifecycleEvent::Started => {
            ("Started", &["Booted", "Migrated", "Restored", "Snapshot", "Event wakeup"])
        }
        DomainLifecycleEvent::Suspended => (
            "Suspended",
            &["Paused", "Migrated", "I/O Error", "Watchdog", "Restored", "Snapshot", "API error"],
        ),
        DomainLifecycleEvent::Resumed => ("Resumed", &["Unpaused", "Migrated", "Snapshot"]),
        DomainLifecycleEvent::Stopped => (
            "Stopped",
            &["Shutdown", "Destroyed", "Crashed", "Migrated", "Saved", "Failed", "Snapshot"],
        ),
        DomainLifecycleEvent::Shutdown => (
            "Shutdown",
            &["Finished", "Finished after guest request", "Finished after host request"],
        ),
        DomainLifecycleEvent::PmSuspended => ("PMSuspended", &["Memory", "Disk"]),
        DomainLifecycleEvent::Crashed => ("Crashed", &["Panicked"]),
        _ => ("unknown", &[]),
    };
    (word, word_of(details, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxivirt::{DomainRef, Uuid};

    #[track_caller]
    fn check(event: &DomainEvent, expect: &str) {
        assert_eq!(event_text(event), expect);
    }

    #[test]
    fn texts_are_those_of_virsh() {
        let domain = DomainRef { name: "g".to_owned(), uuid: Uuid::nil(), id: None };
        let of = || domain.clone();
        let (event, detail) = (DomainLifecycleEvent::Stopped, 1);
        let stopped = DomainEvent::Lifecycle { domain: of(), event, detail };
        check(&stopped, "event 'lifecycle' for domain 'g': Stopped Destroyed");
        check(&DomainEvent::Reboot { domain: of() }, "event 'reboot' for domain 'g'");
        let agent = DomainEvent::AgentLifecycle { domain: of(), state: 2, reason: 1 };
        let expect = "event 'agent-lifecycle' for domain 'g': state: 'disconnected' \
                      reason: 'domain started'";
        check(&agent, expect);
        let (kind, uri) = (MetadataType::Title, None);
        let title = DomainEvent::MetadataChange { domain: of(), kind, uri };
        check(&title, "event 'metadata-change' for domain 'g': type title, uri <null>");
    }
}
