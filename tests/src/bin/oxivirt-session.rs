//! One connection with the embedded driver in this process, see [`oxivirt_tests::session`].
//!
//! `oxivirt-session URI` reads lines `VERB NETWORK [XML]` and answers each with the nanoseconds that
//! the call took, or with `error NUMBER DOMAIN MESSAGE`.

use std::io::BufRead as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use oxivirt::{
    Connect, DefineFlags, Error, OpenOptions, Registry, Result, Update, UpdateCommand, UpdateFlags,
    UpdateSection,
};
use oxivirt_network::embed::Environment;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let Some(uri) = std::env::args().nth(1) else {
        eprintln!("usage: oxivirt-session URI");
        return ExitCode::FAILURE;
    };
    let connect = match open(&uri).await {
        Ok(connect) => connect,
        Err(error) => {
            report(&error);
            return ExitCode::FAILURE;
        }
    };
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        // The end of the input and an unreadable one are the same.
        let Ok(line) = line else { break };
        match call(&connect, &line).await {
            Ok(time) => println!("{}", time.as_nanos()),
            Err(error) => report(&error),
        }
    }
    ExitCode::SUCCESS
}

async fn open(uri: &str) -> Result<Connect> {
    let mut registry = Registry::new();
    let environment = Environment::of_process();
    oxivirt_network::register(&mut registry, environment);
    Connect::open(uri, &registry, &OpenOptions::default()).await
}

fn report(error: &Error) {
    let message = error.message().replace('\n', " ");
    println!("error {} {} {message}", error.code().0, error.domain().0);
}

async fn call(connect: &Connect, line: &str) -> Result<Duration> {
    let mut words = line.splitn(3, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (verb, name, xml) = (word(), word(), word());
    if verb == "define" {
        let begin = Instant::now();
        connect.network_define_xml(xml, DefineFlags::NONE).await?;
        return Ok(begin.elapsed());
    }
    let network = connect.network_lookup_by_name(name).await?;
    let begin = Instant::now();
    match verb {
        "start" => network.create().await?,
        "destroy" => network.destroy().await?,
        "undefine" => network.undefine().await?,
        "add-dns-host" => {
            let update = Update {
                command: UpdateCommand::AddLast,
                section: UpdateSection::DnsHost,
                parent_index: -1,
                xml: xml.to_owned(),
                flags: UpdateFlags::LIVE | UpdateFlags::CONFIG,
            };
            network.update(&update).await?;
        }
        other => return Err(Error::invalid_argument(format!("verb '{other}'"))),
    }
    Ok(begin.elapsed())
}
