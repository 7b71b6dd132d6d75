//! Calls of our own program, as far as the daemon has them.

use oxivirt::{Error, ErrorCode, ErrorDomain, Result};
use oxivirt_rpc::xdr::Text;
use serde::de::DeserializeOwned;

use super::RemoteDriver;

impl RemoteDriver {
    /// Makes the call `number` of our own program, which answers a report.
    ///
    /// # Errors
    /// [`ErrorCode::NO_SUPPORT`] in the name of `api` if the daemon does not have the call,
    /// [`ErrorCode::RPC`] if it does not answer a report, else the error of the daemon.
    pub(super) async fn report<T: DeserializeOwned>(
        &self,
        api: &str,
        number: i32,
        call: impl Future<Output = Result<Text>>,
    ) -> Result<T> {
        if !self.extensions().await?.contains(&number) {
            return Err(Error::unsupported(ErrorDomain::NETWORK, api));
        }
        let report = call.await?.to_text();
        serde_json::from_str(&report).map_err(|error| {
            let detail = format!("{api} answered an invalid report: {error}");
            Error::new(ErrorCode::RPC, ErrorDomain::REMOTE, detail)
        })
    }

    /// Numbers of the calls of our own program that the daemon has; asked once.
    async fn extensions(&self) -> Result<&[i32]> {
        let numbers = self.extensions.get_or_try_init(|| async {
            match self.ask(self.extension.probe(self.context())).await {
                Ok(numbers) => Ok(numbers.0),
                // the error of a daemon that does not have the program, in whatever language
                Err(error) if matches!(error.code(), ErrorCode::RPC | ErrorCode::NO_SUPPORT) => {
                    Ok(Vec::new())
                }
                Err(error) => Err(error),
            }
        });
        numbers.await.map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use oxivirt::{NetworkDriver as _, NetworkRef, PlanVerb};
    use oxivirt_rpc::frame::{self, STATUS_OK};
    use oxivirt_rpc::{client, xdr};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    use super::*;
    use crate::client::Secrecy;
    use crate::protocol::extension::{PROBE, PROBE_MAX, PROGRAM};
    use crate::serve::dispatch::append_error;
    use crate::serve::session::rpc;

    /// How the daemon answers the probe.
    enum Probe {
        /// With the error of a daemon that does not have the program.
        CannotFindProgram,
        /// With the numbers of its calls.
        Calls(Vec<i32>),
        /// By closing the connection.
        Close,
    }

    /// Answers probes until the connection ends, and counts all calls.
    async fn answer(mut stream: DuplexStream, probe: Probe, n_calls: Arc<AtomicUsize>) {
        let mut bytes = Vec::new();
        while let Ok(1..) = stream.read_buf(&mut bytes).await {
            let mut out = Vec::new();
            while let Ok(Some(packet)) = frame::first(&bytes) {
                let (header, size) = (packet.header, frame::HEADER + packet.payload.len());
                bytes.drain(..size);
                n_calls.fetch_add(1, Ordering::Relaxed);
                assert_eq!((header.program, header.procedure), (PROGRAM, PROBE));
                match &probe {
                    Probe::CannotFindProgram => {
                        let detail = format!("Cannot find program {PROGRAM} version 1");
                        append_error(&mut out, header, rpc(detail));
                    }
                    Probe::Calls(numbers) => {
                        let list: xdr::List<i32, PROBE_MAX> = numbers.iter().copied().collect();
                        frame::append(&mut out, header.reply(STATUS_OK), |out| {
                            xdr::append(out, &list)
                        })
                        .unwrap();
                    }
                    Probe::Close => return,
                }
            }
            stream.write_all(&out).await.unwrap();
        }
    }

    fn connect(probe: Probe) -> (RemoteDriver, Arc<AtomicUsize>) {
        let (ours, theirs) = tokio::io::duplex(4096);
        let n_calls = Arc::<AtomicUsize>::default();
        drop(tokio::spawn(answer(theirs, probe, Arc::clone(&n_calls))));
        let driver = RemoteDriver::start(client::start(ours), Secrecy::Local, String::new());
        (driver, n_calls)
    }

    fn network() -> NetworkRef {
        NetworkRef { name: "lab".to_owned(), uuid: oxivirt::Uuid::nil() }
    }

    #[track_caller]
    fn check_unsupported<T: std::fmt::Debug>(result: Result<T>, api: &str) {
        let error = result.unwrap_err();
        assert_eq!((error.code(), error.domain()), (ErrorCode::NO_SUPPORT, ErrorDomain::NETWORK));
        let text = "this function is not supported by the connection driver";
        assert_eq!(error.message(), format!("{text}: {api}"));
    }

    #[tokio::test]
    async fn a_daemon_without_the_program_does_not_support_its_calls() {
        let (driver, n_calls) = connect(Probe::CannotFindProgram);
        check_unsupported(driver.network_health(&network(), 0).await, "oxivirtNetworkHealth");
        let plan = driver.network_plan(&network(), PlanVerb::Start, None, 0).await;
        check_unsupported(plan, "oxivirtNetworkPlan");
        assert_eq!(n_calls.load(Ordering::Relaxed), 1, "the daemon is asked once");
    }

    #[tokio::test]
    async fn a_daemon_with_other_calls_of_the_program_does_not_support_this_one() {
        let (driver, n_calls) = connect(Probe::Calls(vec![PROBE, 1, 3]));
        check_unsupported(driver.network_health(&network(), 0).await, "oxivirtNetworkHealth");
        assert_eq!(n_calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_broken_connection_is_not_a_missing_program() {
        let (driver, _) = connect(Probe::Close);
        let error = driver.network_health(&network(), 0).await.unwrap_err();
        assert_ne!(error.code(), ErrorCode::NO_SUPPORT, "{error:?}");
        let again = driver.network_health(&network(), 0).await.unwrap_err();
        assert_ne!(again.code(), ErrorCode::NO_SUPPORT, "{again:?}");
    }
}
