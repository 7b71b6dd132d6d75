//! The same kill points as strace(1) sees them.
//!
//! strace decides what a thread is, decodes arguments and names descriptors by its own code; the
//! rules of [`super::calls`] are applied to its text. If both lists have the same calls equally
//! often, the tracer overlooks nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{Call, Kind, Moment, leads_out, table};

/// How often each call occurs.
pub type Counts = BTreeMap<String, usize>;

/// Arguments for strace before the program: follow threads, let go of programs that it starts (strace
/// would wait for the end of a daemon), name descriptors, only our calls.
pub fn arguments(output: &str) -> Vec<String> {
    // `?` lets strace accept names that this architecture lacks.
    let names: Vec<String> = table().map(|(_, name, _)| format!("?{name}")).collect();
    let filter = format!("trace={}", names.join(","));
    ["-f", "-b", "execve", "-y", "-s", "0", "-o", output, "-e", &filter].map(str::to_owned).to_vec()
}

/// The kill points of the traced program itself in strace's output.
pub fn count(output: &str) -> Counts {
    let mut counts = Counts::new();
    let mut threads = BTreeSet::new();
    // What a thread began and another line finishes.
    let mut unfinished: BTreeMap<&str, &str> = BTreeMap::new();
    for line in output.lines() {
        let Some((thread, rest)) = line.split_once(' ') else {
            continue;
        };
        if threads.is_empty() {
            threads.insert(thread);
        }
        let rest = rest.trim_start();
        if let Some(resumed) = rest.strip_prefix("<... ") {
            let begun = unfinished.remove(thread).unwrap_or_default();
            if threads.contains(thread) {
                threads.extend(new_thread(begun, resumed));
            }
            continue;
        }
        let Some((name, arguments)) = rest.split_once('(') else {
            continue;
        };
        if rest.ends_with("<unfinished ...>") {
            unfinished.insert(thread, rest);
        }
        if !threads.contains(thread) {
            continue;
        }
        threads.extend(new_thread(rest, rest));
        if changes(name, arguments) {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// The same count over the tracer's own list.
pub fn count_traced(calls: &[Call]) -> Counts {
    let mut counts = Counts::new();
    for call in calls.iter().filter(|call| call.moment == Moment::Before) {
        *counts.entry(call.name.clone()).or_default() += 1;
    }
    counts
}

/// The number of the thread that a call made, if it made one.
fn new_thread<'a>(begun: &str, finished: &'a str) -> Option<&'a str> {
    let starts = begun.starts_with("clone") && begun.contains("CLONE_THREAD");
    let result = finished.rsplit_once(" = ")?.1;
    (starts && result.bytes().all(|byte| byte.is_ascii_digit())).then_some(result)
}

fn changes(name: &str, arguments: &str) -> bool {
    let Some((_, _, kind)) = table().find(|(_, known, _)| *known == name) else {
        return false;
    };
    match kind {
        Kind::Path(_) | Kind::Descriptor(_) | Kind::Always => true,
        Kind::Open(_) => arguments.contains("O_CREAT") || arguments.contains("O_TRUNC"),
        Kind::Write(at) => {
            let argument = arguments.split(", ").nth(at).unwrap_or_default();
            let (descriptor, target) = argument.split_once('<').unwrap_or((argument, ""));
            let target = target.rsplit_once('>').map_or(target, |(target, _)| target);
            descriptor.parse().is_ok_and(|descriptor| leads_out(descriptor, target))
        }
        Kind::Clone | Kind::Clone3 => !arguments.contains("CLONE_THREAD"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(output: &str, expect: &[(&str, usize)]) {
        let counts = count(output);
        let found: Vec<(&str, usize)> =
            counts.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(found, expect, "{output}");
    }

    #[test]
    fn calls_of_the_program_count() {
        check("7 unlink(\"\"...) = 0\n", &[("unlink", 1)]);
        check("7 write(1</x>, \"\"..., 3) = 3\n", &[]);
        check("7 write(3</x>, \"\"..., 3) = 3\n", &[("write", 1)]);
        check("7 write(3<anon_inode:[eventfd]>, \"\"..., 8) = 8\n", &[]);
        check("7 openat(AT_FDCWD</>, \"\"..., O_RDONLY) = 3</x>\n", &[]);
        check("7 openat(AT_FDCWD</>, \"\"..., O_WRONLY|O_CREAT, 0644) = 3</x>\n", &[("openat", 1)]);
        check("7 +++ exited with 0 +++\n", &[]);
    }

    #[test]
    fn its_threads_count_and_its_children_do_not() {
        check(
            "7 clone3({flags=CLONE_VM|CLONE_THREAD}, 88) = 8\n8 unlink(\"\") = 0\n",
            &[("unlink", 1)],
        );
        check(
            "7 clone(child_stack=NULL, flags=SIGCHLD) = 8\n8 unlink(\"\") = 0\n",
            &[("clone", 1)],
        );
        check(
            "7 clone3({flags=CLONE_THREAD} <unfinished ...>\n7 <... clone3 resumed>, 88) = 9\n9 unlink(\"\") = 0\n",
            &[("unlink", 1)],
        );
    }

    #[test]
    fn an_interrupted_call_counts_once() {
        check("7 unlink(\"\" <unfinished ...>\n7 <... unlink resumed>) = 0\n", &[("unlink", 1)]);
    }
}
