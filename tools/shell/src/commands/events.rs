//! Waiting for events, shared by `event`, `net-event` and `pool-event`.
//!
//! virsh: `virshEventStart` and its like, tools/virsh-util.c, tools/vsh.c

use std::time::{Duration, Instant};

use oxivirt::Callback;
use tokio::sync::mpsc;

use crate::args::Args;
use crate::command::OptionDef;
use crate::failure::Failure;
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::suggest::valid_values;

/// In seconds: the largest timeout whose milliseconds fit into an `int`.
const LONGEST_TIMEOUT: u32 = 2_147_483;

pub(crate) const LOOP: OptionDef =
    OptionDef::flag("loop", mark!("print events until the timeout or ^C, not only the first one"));
pub(crate) const TIMEOUT: OptionDef =
    OptionDef::number("timeout", mark!("timeout in seconds")).accepted();
pub(crate) const LIST: OptionDef = OptionDef::flag("list", mark!("list the event types"));
pub(crate) const TIMESTAMP: OptionDef =
    OptionDef::flag("timestamp", mark!("print the time before each event"));

/// An event with the time at which it arrived.
pub(crate) type Arrived<E> = (jiff::Timestamp, E);

/// How a wait for events ended.
#[derive(Debug)]
pub(crate) enum End {
    Enough,
    TimedOut,
    Interrupted,
    Lost,
}

/// What came first.
pub(crate) enum Next<T> {
    Event(Box<T>),
    End(End),
}

/// Prints the names of events.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn list(shell: &mut Shell, events: &[&str]) -> Result<(), Failure> {
    for event in events {
        shell.ui.print(format!("{event}\n"))?;
    }
    Ok(())
}

/// The number of the event `word`, which is its place among `events`.
///
/// # Errors
/// If it is not among them.
pub(crate) fn number(word: &str, events: &[&str]) -> Result<i32, Failure> {
    match (0..).zip(events).find(|(_, event)| **event == word) {
        Some((number, _)) => Ok(number),
        None => {
            let failure = Failure::Message(tr!("unknown event type {event}", event = word));
            Err(failure.hint(valid_values(word, events)))
        }
    }
}

/// The value of option `timeout`.
///
/// # Errors
/// If it is not a number of seconds, or too large.
pub(crate) fn timeout(args: &Args) -> Result<Option<Duration>, Failure> {
    let Some(seconds) = args.number::<u32>("timeout")? else { return Ok(None) };
    if (1..=LONGEST_TIMEOUT).contains(&seconds) {
        return Ok(Some(Duration::from_secs(seconds.into())));
    }
    Err(crate::args::malformed_number("timeout", &seconds.to_string()))
}

/// Carries events from their callbacks to the command.
pub(crate) fn channel<E>()
-> (mpsc::UnboundedSender<Arrived<E>>, mpsc::UnboundedReceiver<Arrived<E>>) {
    mpsc::unbounded_channel()
}

/// A callback that sends each event with its time.
pub(crate) fn forward<E: Clone + Send + 'static>(
    sender: mpsc::UnboundedSender<Arrived<E>>,
) -> Callback<E> {
    Box::new(move |event: &E| {
        // fails after the wait has ended
        let _ended = sender.send((jiff::Timestamp::now(), event.clone()));
    })
}

/// The time before a line, if it is wanted.
pub(crate) fn stamp(time: jiff::Timestamp, with_time: bool) -> String {
    if with_time {
        format!("{}: ", time.strftime("%Y-%m-%d %H:%M:%S.%3f+0000"))
    } else {
        String::new()
    }
}

/// Prints events as `line` writes them: the first one, or all until the wait ends.
///
/// # Errors
/// If stdout cannot be written.
pub(crate) fn wait<T>(
    shell: &mut Shell,
    mut receiver: mpsc::UnboundedReceiver<T>,
    until_stopped: bool,
    timeout: Option<Duration>,
    line: &dyn Fn(&T) -> String,
) -> Result<(u64, End), Failure> {
    let end = timeout.map(|timeout| Instant::now() + timeout);
    let mut count = 0_u64;
    loop {
        shell.ui.flush()?;
        let lost = || shell.is_lost();
        match shell.wait(next(&mut receiver, end, &lost)) {
            Next::Event(event) => {
                count += 1;
                shell.ui.print(line(&event))?;
                if !until_stopped {
                    return Ok((count, End::Enough));
                }
            }
            Next::End(end) => return Ok((count, end)),
        }
    }
}

/// Waits for the next event, until `end` or until the connection is lost.
pub(crate) async fn next<T>(
    receiver: &mut mpsc::UnboundedReceiver<T>,
    end: Option<Instant>,
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
