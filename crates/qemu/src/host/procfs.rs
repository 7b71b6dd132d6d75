//! Reads the text files of `/proc` and `/sys`.

use std::fs;
use std::path::Path;

/// The content of a file without the final line end; nothing if it cannot be read.
pub(super) fn line(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

/// A file that is a number.
pub(super) fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    line(path)?.trim().parse().ok()
}

/// Most numbers of a list; no kernel has more processors or cells.
const RANGE_MAX: u32 = 65_536;

/// Numbers of a list such as `0-3,8`; what is not a number is left out.
pub(crate) fn ranges(text: &str) -> Vec<u32> {
    let mut numbers = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>())
            && last < RANGE_MAX
        {
            numbers.extend(first..=last);
        }
    }
    numbers
}

/// The list of numbers, `0-3,8`.
pub(crate) fn format_ranges(numbers: &[u32]) -> String {
    let mut parts: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match parts.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => parts.push((number, number)),
        }
    }
    let show = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    parts.iter().map(show).collect::<Vec<_>>().join(",")
}

/// A value of `meminfo` in KiB, of the host or of a NUMA node.
pub(super) fn memory(meminfo: &str, name: &str) -> Option<u64> {
    meminfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.split_whitespace().last()? == name)
            .then(|| value.split_whitespace().next()?.parse().ok())?
    })
}

/// A field of the first processor in `cpuinfo`.
pub(super) fn processor<'t>(cpuinfo: &'t str, name: &str) -> Option<&'t str> {
    cpuinfo.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// Nanoseconds of one tick of `/proc/stat` (`USER_HZ` is 100 on all architectures that QEMU runs on).
const TICK: u64 = 10_000_000;

/// Times of a processor in `/proc/stat`, of all with `None`: user, system, idle and waiting, in nanoseconds.
pub(super) fn times(stat: &str, cpu: Option<u32>) -> Option<oxivirt::CpuStats> {
    let name = cpu.map_or_else(|| String::from("cpu"), |cpu| format!("cpu{cpu}"));
    let line = stat.lines().find(|line| line.split_whitespace().next() == Some(&name))?;
    let values: Vec<u64> =
        line.split_whitespace().skip(1).map_while(|value| value.parse().ok()).collect();
    let [user, nice, system, idle, iowait, irq, softirq, ..] = values[..] else { return None };
    let sum = |parts: &[u64]| {
        parts.iter().fold(0_u64, |sum, part| sum.saturating_add(part.saturating_mul(TICK)))
    };
    Some(oxivirt::CpuStats {
        kernel: sum(&[system, irq, softirq]),
        user: sum(&[user, nice]),
        idle: sum(&[idle]),
        iowait: sum(&[iowait]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_numbers() {
        for text in ["0", "0-3,8", "1,3,5-6", ""] {
            assert_eq!(format_ranges(&ranges(text)), text);
        }
        assert_eq!(ranges("2-1,x,0-4000000000,7\n"), [7]);
    }

    #[test]
    fn memory_of_host_and_node() {
        assert_eq!(memory("MemTotal:  24684084 kB\nMemFree: 5 kB\n", "MemFree"), Some(5));
        assert_eq!(memory("Node 0 MemTotal:  17 kB\n", "MemTotal"), Some(17));
        assert_eq!(memory("MemTotal: many kB\nnonsense\n", "MemTotal"), None);
    }

    #[test]
    fn times_are_nanoseconds() {
        let stat = "cpu  10 20 30 40 50 60 70 0 0 0\ncpu1 1 0 2 3 4 0 0 0 0 0\ncpu2 1\n";
        let all = times(stat, None).unwrap();
        assert_eq!((all.kernel, all.user), (160 * TICK, 30 * TICK));
        let one = times(stat, Some(1)).unwrap();
        assert_eq!(
            (one.kernel, one.user, one.idle, one.iowait),
            (2 * TICK, TICK, 3 * TICK, 4 * TICK)
        );
        assert_eq!(times(stat, Some(2)), None);
        assert_eq!(times(stat, Some(7)), None);
    }
}
