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
