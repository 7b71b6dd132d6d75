//! `oxish`: a shell for virtual networks whose commands, options, output and exit codes are virsh's.
//!
//! The parser ([`grammar`]) turns words into commands with the help of the command table ([`command`],
//! [`commands`]); handlers call the public API only; [`table`], [`mod@format`] and [`ui`] print. Drivers are registered
//! here and nowhere else.

mod args;
mod command;
mod commands;
mod complete;
mod completion_script;
mod connection;
mod dhcp_pool;
mod document;
mod editor;
mod environment;
mod failure;
mod format;
mod grammar;
mod graph;
mod help;
mod i18n;
mod interactive;
mod inventory;
mod json;
mod log;
mod man;
mod options;
mod plan_output;
#[cfg(test)]
mod po;
mod quote;
mod reports;
mod shell;
mod startup;
mod suggest;
mod table;
mod terminal;
mod ui;
mod xml_hint;

use std::process::ExitCode;

use environment::Environment;
use oxivirt::Registry;
use oxivirt_network::embed;
use oxivirt_remote::client as remote;

fn main() -> ExitCode {
    let mut words = std::env::args_os();
    let program = words.next().unwrap_or_default();
    let environment = Environment::of_process();
    i18n::choose(&environment);
    start_tracing(&environment);
    let mut registry = Registry::new();
    oxivirt_test::register(&mut registry);
    embed::register(&mut registry, embed::Environment::of_process());
    remote::register(&mut registry, environment.of_client());
    startup::run(&program, words.collect(), environment, registry)
}

/// Logs of the libraries go to stderr, by default errors only.
fn start_tracing(environment: &Environment) {
    let level = match environment.filled("OXIVIRT_LOG") {
        Some("debug") => tracing::level_filters::LevelFilter::DEBUG,
        Some("info") => tracing::level_filters::LevelFilter::INFO,
        Some("warn") => tracing::level_filters::LevelFilter::WARN,
        Some("off") => tracing::level_filters::LevelFilter::OFF,
        _ => tracing::level_filters::LevelFilter::ERROR,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
