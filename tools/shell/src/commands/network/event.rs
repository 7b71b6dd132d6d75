//! `net-event`: wait for network events.

use std::time::Duration;

use oxivirt::{ListFlags, NetworkEvent, NetworkEventId};
use tokio::sync::mpsc;

use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::Failure;
use crate::format::{EVENT_FORMATS, Format};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;

const EVENTS: &[&str] = &["lifecycle", "metadata-change"];

/// In seconds: the largest timeout whose milliseconds fit into an `int`.
const LONGEST_TIMEOUT: u32 = 2_147_483;

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
            OptionDef::flag(
                "loop",
                mark!("print events until the timeout or ^C, not only the first one"),
            ),
            OptionDef::number("timeout", mark!("timeout in seconds")).accepted(),
            OptionDef::flag("list", mark!("list the event types")),
            OptionDef::flag("timestamp", mark!("print the time before each event")),
            OptionDef::text(
                "format",
                mark!("output format: text, or json with one object per line"),
            )
            .complete(Completer::Words(EVENT_FORMATS))
            .ours(),
        ]);

/// How a wait for events ended.
pub(crate) enum End {
    Enough,
    TimedOut,
    Interrupted,
    Lost,
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    if args.flag("list") {
        for event in EVENTS {
            shell.ui.print(format!("{event}\n"))?;
        }
        return Ok(());
    }
    let Some(word) = args.text("event")? else {
        return Err(Failure::Message(tr!("either --list or --event <type> is required")));
    };
    if !EVENTS.contains(&word.as_str()) {
        let failure = Failure::Message(tr!("unknown event type {event}", event = word));
        return Err(failure.hint(valid_values(&word, EVENTS)));
    }
    let id = NetworkEventId::from_word(&word).unwrap_or(NetworkEventId::Lifecycle);
    let timeout = timeout(args)?;
    let format = Format::of_events(args)?;
    let network = if args.has_named("network") { Some(shell.network(args)?) } else { None };
    let connect = shell.connect()?;
    let (sender, receiver) = mpsc::unbounded_channel();
    let callback = move |event: &NetworkEvent| {
        // fails after the wait has ended
        let _ended = sender.send((jiff::Timestamp::now(), event.clone()));
    };
    let callback = Box::new(callback);
    let registered = shell.wait(connect.network_event_register(network.as_ref(), id, callback))?;
    let print = Print { with_time: args.flag("timestamp"), format };
    let waited = wait(shell, receiver, args.flag("loop"), timeout, &print);
    if !shell.is_lost() {
        shell.wait(connect.network_event_deregister(registered))?;
    }
    let (count, end) = waited?;
    if format == Format::Json {
        return if count > 0 { Ok(()) } else { Err(Failure::Reported) };
    }
    finish(shell, count, &end)
}

/// Prints how a wait ended and how many events there were; none is a failure.
///
/// # Errors
/// If there were no events, or stdout cannot be written.
pub(crate) fn finish(shell: &mut Shell, count: u64, end: &End) -> Result<(), Failure> {
    match end {
        End::Enough | End::Lost => {}
        End::TimedOut => shell.ui.print(tr!("event loop timed out\n"))?,
        End::Interrupted => shell.ui.print(tr!("event loop interrupted\n"))?,
    }
    shell.ui.print(tr!("events received: {count}\n", count = count))?;
    if let End::Lost = end {
        return Err(Failure::Message("internal error: client socket is closed".to_owned()));
    }
    if count > 0 { Ok(()) } else { Err(Failure::Reported) }
}

/// The value of option `timeout`.
pub(crate) fn timeout(args: &Args) -> Result<Option<Duration>, Failure> {
    let Some(seconds) = args.number::<u32>("timeout")? else { return Ok(None) };
    if (1..=LONGEST_TIMEOUT).contains(&seconds) {
        return Ok(Some(Duration::from_secs(seconds.into())));
    }
    Err(crate::args::malformed_number("timeout", &seconds.to_string()))
}

struct Print {
    with_time: bool,
    format: Format,
}

type Arrived = (jiff::Timestamp, NetworkEvent);

fn wait(
    shell: &mut Shell,
    mut receiver: mpsc::UnboundedReceiver<Arrived>,
    until_stopped: bool,
    timeout: Option<Duration>,
    print: &Print,
) -> Result<(u64, End), Failure> {
    let end = timeout.map(|timeout| std::time::Instant::now() + timeout);
    let mut count = 0_u64;
    loop {
        shell.ui.flush()?;
        let lost = || shell.is_lost();
        match shell.wait(next(&mut receiver, end, &lost)) {
            Next::Event(event) => {
                count += 1;
                let line = print.line(&event);
                shell.ui.print(line)?;
                if !until_stopped {
                    return Ok((count, End::Enough));
                }
            }
            Next::End(end) => return Ok((count, end)),
        }
    }
}

/// What came first.
pub(crate) enum Next<T> {
    Event(Box<T>),
    End(End),
}

/// Waits for the next event, until `end` or until the connection is lost.
pub(crate) async fn next<T>(
    receiver: &mut mpsc::UnboundedReceiver<T>,
    end: Option<std::time::Instant>,
    lost: &dyn Fn() -> bool,
) -> Next<T> {
    let timeout = async {
        match end {
            Some(end) => tokio::time::sleep_until(end.into()).await,
            None => std::future::pending().await,
        }
    };
    let gone = async {
        // the close callback cannot wake the command, so the flag is polled
        while !lost() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        biased;
        Some(event) = receiver.recv() => Next::Event(Box::new(event)),
        _ = tokio::signal::ctrl_c() => Next::End(End::Interrupted),
        () = timeout => Next::End(End::TimedOut),
        () = gone => Next::End(End::Lost),
    }
}

impl Print {
    fn line(&self, (time, event): &Arrived) -> String {
        if self.format == Format::Json {
            let mut line = crate::format::event_object(event, *time).to_string();
            line.push('\n');
            return line;
        }
        let stamp = if self.with_time {
            format!("{}: ", time.strftime("%Y-%m-%d %H:%M:%S.%3f+0000"))
        } else {
            String::new()
        };
        stamp + &event_text(event) + "\n"
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
