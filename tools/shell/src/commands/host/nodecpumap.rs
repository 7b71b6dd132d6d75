//! `nodecpumap`: CPU map of the host.

use crate::args::Args;
use crate::command::{CommandDef, OptionDef};
use crate::failure::{ErrorContext as _, Failure};
use crate::i18n::{mark, tr};
use crate::shell::Shell;
use crate::table::print_fields;

pub(crate) const COMMAND: CommandDef =
    CommandDef::new("nodecpumap", mark!("show the CPU map of the host"), run)
        .about(mark!("Shows which CPUs of the host are present and which are online."))
        .options(&[OptionDef::flag(
            "pretty",
            mark!("print ranges of CPU numbers instead of a map"),
        )]);

fn run(shell: &mut Shell, args: &Args) -> Result<(), Failure> {
    let connect = shell.connect()?;
    let map = shell.wait(connect.cpu_map()).context(|| tr!("Unable to get cpu map"))?;
    let online = map.online.iter().filter(|&&online| online).count();
    let shown = if args.flag("pretty") { ranges(&map.online) } else { letters(&map.online) };
    let fields = [
        (tr!("CPUs present:"), map.online.len().to_string()),
        (tr!("CPUs online:"), online.to_string()),
        (tr!("CPU map:"), shown),
    ];
    print_fields(shell, 15, &fields)
}

fn letters(online: &[bool]) -> String {
    online.iter().map(|&online| if online { 'y' } else { '-' }).collect()
}

/// Numbers of the CPUs online, consecutive ones as `first-last`.
fn ranges(online: &[bool]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for (number, _) in online.iter().enumerate().filter(|(_, online)| **online) {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let texts = ranges.iter().map(|&(first, last)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let online = [true, false, true, true, true, false];
        assert_eq!(letters(&online), "y-yyy-");
        assert_eq!(ranges(&online), "0,2-4");
        assert_eq!(ranges(&[]), "");
    }
}
