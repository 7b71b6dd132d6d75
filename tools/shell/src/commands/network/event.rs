//! `net-event`: wait for network events.

use oxivirt::{ListFlags, NetworkEvent, NetworkEventId};

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::commands::events::{self, Arrived, stamp};
use crate::failure::Failure;
use crate::format::{EVENT_FORMATS, Format};
use crate::i18n::{mark, tr};
use crate::shell::Shell;

const EVENTS: &[&str] = &["lifecycle", "metadata-change"];

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-event", mark!("wait for network events"), run)
        .about(mark!(
            "Waits for an event and prints it, or with --loop prints all events until interrupted."
        ))
        .options(&[
            OptionDef::text("network", mark!("only events of this network"))
                .accepted()
                .complete(Completer::Network(ListFlags::NONE.bits())),
            OptionDef::text("event", mark!("event type"))
                .accepted()
                .complete(Completer::Words(EVENTS)),
            events::LOOP,
            events::TIMEOUT,
            events::LIST,
            events::TIMESTAMP,
            OptionDef::text(
                "format",
                mark!("output format: text, or json with one object per line"),
            )
            .complete(Completer::Words(EVENT_FORMATS))
            .ours(),
        ]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    if args.flag("list") {
        return events::list(shell, EVENTS);
    }
    let Some(word) = args.text("event")? else {
        return Err(Failure::Message(tr!("either --list or --event <type> is required")));
    };
    events::number(&word, EVENTS)?;
    let id = NetworkEventId::from_word(&word).unwrap_or(NetworkEventId::Lifecycle);
    let timeout = events::timeout(args)?;
    let format = Format::of_events(args)?;
    let network = if args.has_named("network") { Some(shell.network(args)?) } else { None };
    let connect = shell.connect()?;
    let (sender, receiver) = events::channel();
    let callback = events::forward(sender);
    let registered = shell.wait(connect.network_event_register(network.as_ref(), id, callback))?;
    let print = Print { with_time: args.flag("timestamp"), format };
    let line = |event: &Arrived<NetworkEvent>| print.line(event);
    let waited = events::wait(shell, receiver, args.flag("loop"), timeout, &line);
    if !shell.is_lost() {
        shell.wait(connect.network_event_deregister(registered))?;
    }
    let (count, end) = waited?;
    if format == Format::Json {
        return if count > 0 { Ok(()) } else { Err(Failure::Reported) };
    }
    events::finish(shell, count, &end)
}

struct Print {
    with_time: bool,
    format: Format,
}

impl Print {
    fn line(&self, (time, event): &Arrived<NetworkEvent>) -> String {
        if self.format == Format::Json {
            let mut line = crate::format::event_object(event, *time).to_string();
            line.push('\n');
            return line;
        }
        stamp(*time, self.with_time) + &event_text(event) + "\n"
    }
}

/// The text of an event.
pub(crate) fn event_text(event: &NetworkEvent) -> String {
    let name = event.network();
    match event {
        NetworkEvent::Lifecycle { event, .. } => {
            let what = event.word().unwrap_or("unknown");
            tr!("event 'lifecycle' for network {name}: {what}", name = name, what = what)
        }
        NetworkEvent::MetadataChange { kind, uri, .. } => {
            let (kind, uri) = (kind.word().unwrap_or("unknown"), uri.as_deref());
            tr!(
                "event 'metadata-change' for network {name}: type {kind}, uri {uri}",
                name = name,
                kind = kind,
                uri = uri.unwrap_or("<null>")
            )
        }
        NetworkEvent::Updated { section, .. } => {
            let what = section.word().unwrap_or("unknown");
            tr!("event 'updated' for network {name}: {what}", name = name, what = what)
        }
        NetworkEvent::Healed { steps, .. } => {
            let what = steps.join(", ");
            tr!("event 'healed' for network {name}: {what}", name = name, what = what)
        }
        NetworkEvent::Warning { text, .. } => {
            tr!("event 'warning' for network {name}: {what}", name = name, what = text)
        }
        NetworkEvent::Lease { change, lease, .. } => {
            let what = format!("{change:?}").to_ascii_lowercase();
            let address = &lease.ipaddr;
            tr!(
                "event 'lease' for network {name}: {address} {what}",
                name = name,
                address = address,
                what = what
            )
        }
        other => {
            let what = other.id().word().unwrap_or("unknown");
            format!("event '{what}' for network {name}")
        }
    }
}
