//! The test harness of scenarios: a test that turns out to be unable to run is reported as ignored.
//!
//! A scenario is a function with the attribute `#[apply(scenario)]` in a test target without
//! libtest's harness, whose `main` calls [`main`]. Command line and output are libtest's: filters,
//! `--exact`, `--skip`, `--list`, `--test-threads` and so on. A scenario says what it needs by
//! [`crate::require::need`].

use std::any::Any;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

pub use inventory;
pub use macro_rules_attribute::apply;

/// A registered test.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Path of the function, from its crate.
    path: &'static str,
    run: fn(),
}

inventory::collect!(Scenario);

impl Scenario {
    /// A test by the path of its function; [`scenario`](crate::scenario) calls this.
    pub const fn new(path: &'static str, run: fn()) -> Self {
        Self { path, run }
    }

    /// The name as libtest has it: without the crate.
    fn name(&self) -> &'static str {
        self.path.split_once("::").map_or(self.path, |(_, name)| name)
    }
}

/// Registers a function as a test, async or not: `#[apply(scenario)]`.
#[macro_export]
macro_rules! scenario {
    ($(#[$meta:meta])* fn $name:ident() $body:block) => {
        $(#[$meta])*
        fn $name() $body

        $crate::harness::inventory::submit! {
            $crate::harness::Scenario::new(concat!(module_path!(), "::", stringify!($name)), $name)
        }
    };
    ($(#[$meta:meta])* async fn $name:ident() $body:block) => {
        $(#[$meta])*
        fn $name() {
            $crate::harness::block_on(async $body);
        }

        $crate::harness::inventory::submit! {
            $crate::harness::Scenario::new(concat!(module_path!(), "::", stringify!($name)), $name)
        }
    };
}

/// Runs a future on a runtime of its own.
///
/// # Panics
/// There are no threads.
#[expect(clippy::expect_used, reason = "a test without a runtime has failed")]
pub fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("a runtime").block_on(future);
}

/// The payload that ends a test which cannot run.
#[derive(Debug)]
struct Ignored(String);

/// Ends the running test, which is reported as ignored.
pub(crate) fn ignore(why: String) -> ! {
    // Unlike a panic this prints nothing.
    std::panic::resume_unwind(Box::new(Ignored(why)))
}

/// Runs the tests of this program that the command line selects.
pub fn main() -> ExitCode {
    let mut scenarios: Vec<&Scenario> = inventory::iter::<Scenario>().collect();
    scenarios.sort_by_key(|scenario| scenario.path);
    let trials = scenarios.into_iter().map(|scenario| {
        let run = scenario.run;
        Trial::ignorable_test(scenario.name(), move || outcome(catch_unwind(AssertUnwindSafe(run))))
    });
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(parallel);
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// How many scenarios run at a time: they wait for programs, packets and files most of the time.
fn parallel() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get) * 3
}

fn outcome(ended: Result<(), Box<dyn Any + Send>>) -> Result<Completion, Failed> {
    let Err(payload) = ended else { return Ok(Completion::Completed) };
    let payload = match payload.downcast::<Ignored>() {
        Ok(ignored) => return Ok(Completion::ignored_with(ignored.0)),
        Err(payload) => payload,
    };
    let text = payload.downcast_ref::<&str>().copied().map(str::to_owned);
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    Err(text.unwrap_or_else(|| "the test panicked".to_owned()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_and_failed_tests_are_distinguished() {
        let ignored = outcome(catch_unwind(|| ignore("no namespaces".to_owned())));
        assert!(matches!(
            ignored,
            Ok(Completion::Ignored { reason: Some(reason) }) if reason == "no namespaces"
        ));
        let failed = outcome(Err(Box::new("broken")));
        assert_eq!(
            failed.err().and_then(|failed| failed.message().map(str::to_owned)).as_deref(),
            Some("broken")
        );
        assert!(matches!(outcome(Ok(())), Ok(Completion::Completed)));
    }
}
