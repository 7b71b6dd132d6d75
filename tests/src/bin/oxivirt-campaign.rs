//! The campaigns, benchmarks and helpers of the tests, see [`oxivirt_tests::campaign`].

use std::process::ExitCode;

fn main() -> ExitCode {
    oxivirt_tests::campaign::main()
}
