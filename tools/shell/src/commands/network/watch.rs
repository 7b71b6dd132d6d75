//! `net-watch`: monitor networks.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use oxivirt::{CallbackId, Connect, ListFlags, NetworkEvent, NetworkEventId};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::event::event_text;
use crate::args::Args;
use crate::command::{CommandDef, Completer, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::inventory::{self, Node};
use crate::shell::Shell;
use crate::table::Table;
use crate::terminal;
use crate::ui::Style;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("net-watch", mark!("monitor networks"), run)
        .about(mark!(
            "Shows networks with their guests, leases and traffic, and recent events, until interrupted by ^C. Without a terminal each update is printed below the previous one."
        ))
        .options(&[
            OptionDef::text("network", mark!("only this network"))
                .positional()
                .complete(Completer::Network(ListFlags::NONE.bits())),
            OptionDef::number("interval", mark!("seconds between updates (default 2)")),
            OptionDef::number("count", mark!("exit after this number of updates")),
        ]);

/// Number of events kept.
const EVENTS: usize = 100;

/// ECMA-48 and xterm: switch to the alternate screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// Cursor to the top; clear the rest of a line and of the screen.
const HOME: &str = "\x1b[H";
const REST_OF_LINE: &str = "\x1b[K";
const REST_OF_SCREEN: &str = "\x1b[J";

/// State of the display.
struct Watch {
    counters: BTreeMap<String, (Instant, [u64; 4])>,
    events: VecDeque<String>,
}

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let only =
        if args.has_named("network") { Some(shell.network(args)?.name().to_owned()) } else { None };
    let interval = Duration::from_secs(args.number::<u32>("interval")?.unwrap_or(2).max(1).into());
    let count: Option<u32> = args.number("count")?;
    let connect = shell.connect()?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let callbacks = listen(shell, &connect, &sender);
    let on_screen = terminal::shows_results();
    if on_screen {
        shell.ui.print(ENTER)?;
    }
    let watched = watch(shell, only.as_deref(), interval, count, &mut receiver, on_screen);
    if on_screen {
        shell.ui.print(LEAVE)?;
        shell.ui.flush()?;
    }
    for callback in callbacks {
        shell.wait(connect.network_event_deregister(callback)).unwrap_or_default();
    }
    watched
}

/// Registers for every kind of event that the driver supports.
fn listen(
    shell: &Shell,
    connect: &Connect,
    sender: &mpsc::UnboundedSender<String>,
) -> Vec<CallbackId> {
    let kinds = [
        NetworkEventId::Lifecycle,
        NetworkEventId::MetadataChange,
        NetworkEventId::Updated,
        NetworkEventId::Healed,
        NetworkEventId::Lease,
        NetworkEventId::Warning,
    ];
    let register = |kind| {
        let sender = sender.clone();
        let callback = move |event: &NetworkEvent| {
            let time = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
            // fails after the command has ended
            let _ended = sender.send(format!("{time}  {}", event_text(event)));
        };
        shell.wait(connect.network_event_register(None, kind, Box::new(callback))).ok()
    };
    kinds.into_iter().filter_map(register).collect()
}

fn watch(
    shell: &mut Shell,
    only: Option<&str>,
    interval: Duration,
    count: Option<u32>,
    events: &mut mpsc::UnboundedReceiver<String>,
    on_screen: bool,
) -> Result<(), Failure> {
    let mut watch = Watch { counters: BTreeMap::new(), events: VecDeque::new() };
    let mut shown = 0;
    let mut resized = shell.wait(async { signal(SignalKind::window_change()) })?;
    loop {
        let nodes = nodes(shell, only)?;
        let table = watch.table(shell, &nodes);
        watch.show(shell, &table, on_screen)?;
        shown += 1;
        if count.is_some_and(|count| shown >= count) {
            return Ok(());
        }
        let end = Instant::now() + interval;
        loop {
            let next = shell.wait(async {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => Next::Stop,
                    _ = resized.recv() => Next::Redraw,
                    Some(event) = events.recv() => Next::Event(event),
                    () = tokio::time::sleep_until(end.into()) => Next::Update,
                }
            });
            match next {
                Next::Stop => return Ok(()),
                Next::Update => break,
                Next::Redraw if on_screen => watch.show(shell, &table, on_screen)?,
                Next::Redraw => {}
                Next::Event(event) => {
                    watch.events.push_back(event);
                    if watch.events.len() > EVENTS {
                        watch.events.pop_front();
                    }
                    // show the change immediately
                    break;
                }
            }
        }
    }
}

enum Next {
    Stop,
    Redraw,
    Update,
    Event(String),
}

fn nodes(shell: &mut Shell, only: Option<&str>) -> Result<Vec<Node>, Failure> {
    let connect = shell.connect()?;
    let mut networks = shell
        .wait(connect.list_all_networks(ListFlags::NONE))
        .context(|| tr!("Failed to list networks"))?;
    networks.retain(|network| only.is_none_or(|name| network.name() == name));
    networks.sort_by_key(|network| network.name().to_ascii_lowercase());
    // a network that disappears meanwhile is omitted
    Ok(networks.iter().filter_map(|network| inventory::gather(shell, network).ok()).collect())
}

impl Watch {
    fn table(&mut self, shell: &Shell, nodes: &[Node]) -> String {
        let mut table = Table::new([
            tr!("Name"),
            tr!("State"),
            tr!("Bridge"),
            tr!("Ports"),
            tr!("Leases"),
            tr!("Received"),
            tr!("Sent"),
            tr!("Received/s"),
            tr!("Sent/s"),
        ]);
        for node in nodes {
            let ports = node.guests.iter().filter(|guest| guest.port.is_some()).count();
            let leases: usize = node.guests.iter().map(|guest| guest.addresses.len()).sum();
            let traffic = self.traffic(node);
            let cells = [
                node.name.clone(),
                if node.active { tr!("active") } else { tr!("inactive") },
                node.bridge.clone().unwrap_or_else(|| "-".to_owned()),
                ports.to_string(),
                leases.to_string(),
            ];
            table.push(cells.into_iter().chain(traffic));
        }
        if shell.ui.is_quiet() { table.render_quiet() } else { table.render() }
    }

    /// Bytes received and sent, in total and per second since the last update.
    fn traffic(&mut self, node: &Node) -> [String; 4] {
        let counters = node.bridge.as_deref().filter(|_| node.active).and_then(inventory::counters);
        let Some(now) = counters else { return [unknown(), unknown(), unknown(), unknown()] };
        let [received, sent, ..] = now;
        let before = self.counters.insert(node.name.clone(), (Instant::now(), now));
        let rate = |index: usize| match before {
            Some((then, counters)) => {
                let old = counters.get(index).copied().unwrap_or_default();
                let new = now.get(index).copied().unwrap_or_default();
                let ms = u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX).max(1);
                bytes(new.saturating_sub(old).saturating_mul(1000) / ms)
            }
            None => unknown(),
        };
        [bytes(received), bytes(sent), rate(0), rate(1)]
    }

    fn show(&self, shell: &mut Shell, table: &str, on_screen: bool) -> Result<(), Failure> {
        if !on_screen {
            shell.ui.print(format!("{table}\n"))?;
            shell.ui.flush()?;
            return Ok(());
        }
        let lines = fit(&self.lines(shell, table), terminal::columns(), terminal::rows());
        let mut screen = HOME.to_owned();
        for line in &lines {
            screen.push_str(line);
            screen.push_str(REST_OF_LINE);
            screen.push_str("\r\n");
        }
        screen.push_str(REST_OF_SCREEN);
        shell.ui.print(screen)?;
        shell.ui.flush()?;
        Ok(())
    }

    fn lines(&self, shell: &Shell, table: &str) -> Vec<String> {
        let mut lines: Vec<String> = table.lines().map(str::to_owned).collect();
        lines.push(String::new());
        lines.push(shell.ui.styled(Style::Faint, &tr!("Events (^C ends):")));
        lines.extend(self.events.iter().rev().cloned());
        lines
    }
}

/// The cell of an unknown value.
fn unknown() -> String {
    "-".to_owned()
}

/// The part that fits on the terminal; one row is left for the cursor.
fn fit(lines: &[String], columns: usize, rows: usize) -> Vec<String> {
    let cut = |line: &String| {
        if line.starts_with('\x1b') { line.clone() } else { line.chars().take(columns).collect() }
    };
    lines.iter().take(rows.saturating_sub(1)).map(cut).collect()
}

/// A number of bytes with a binary unit.
fn bytes(number: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut tenths = number.saturating_mul(10);
    let mut unit = "B";
    for next in UNITS {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = next;
    }
    if unit == "B" {
        format!("{number} B")
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (number, expect) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (3 << 30, "3.0 GiB"),
            (u64::MAX, "1.5 EiB"),
        ] {
            assert_eq!(bytes(number), expect);
        }
    }

    #[test]
    fn a_screen_holds_what_fits() {
        let lines: Vec<String> = (0..9).map(|n| format!("{n}{}", "x".repeat(50))).collect();
        let shown = fit(&lines, 10, 5);
        assert_eq!(shown.len(), 4);
        assert!(shown.iter().all(|line| line.chars().count() == 10));
    }
}
