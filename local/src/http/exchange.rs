//! One call from its decoded request to its answer, as the rules want it.

use std::future;

use http::Response;

use super::Body;
use super::answer::{Protocol, Refusal};
use super::endpoint::{Endpoint, Reply};
use crate::control::{Call, Entries, Fault, Operation, Outcome};

/// What a call that was applied gives.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) response: Response<Body>,
    /// Entries of PutRecords that failed.
    pub(super) failed_entries: usize,
}

/// Entries that are to fail, and with which code.
#[derive(Clone, Debug)]
pub(super) struct FailingEntries {
    pub(super) entries: Entries,
    pub(super) code: String,
}

impl Endpoint {
    /// Carries a call out, unless a rule wants otherwise, and logs it. `apply` is given the entries that are to fail.
    pub(super) async fn carry_out(
        &self,
        call: Call<'_>,
        protocol: Protocol,
        apply: impl FnOnce(Option<FailingEntries>) -> Result<Applied, Refusal> + Send,
    ) -> Reply {
        let mut pending = self.control.begin(&call);
        let decision = self.control.decide(&call);
        if !decision.delay.is_zero() {
            tokio::time::sleep(decision.delay).await;
        }
        let (result, answer_dropped) = match decision.fault {
            None | Some(Fault::Delay(_)) => (apply(None), false),
            Some(Fault::DropResponse) => (apply(None), true),
            Some(Fault::FailEntries { entries, code }) if call.operation == Operation::PutRecords => {
                (apply(Some(FailingEntries { entries, code })), false)
            }
            Some(Fault::FailEntries { code, .. }) if call.operation == Operation::PutRecord => {
                (Err(Refusal::new(code, 400, "refused on request")), false)
            }
            Some(Fault::FailEntries { .. }) => (apply(None), false),
            Some(Fault::Throttle) => {
                let code = call.operation.throttle_code();
                (Err(Refusal::new(code, 400, "throttled on request")), false)
            }
            Some(Fault::Refuse { code, status, message }) => {
                (Err(Refusal::new(code, status, message)), false)
            }
            Some(Fault::DropRequest) => {
                pending.end(Outcome::RequestDropped);
                return Reply::Cut;
            }
            Some(Fault::Hang) => {
                pending.end(Outcome::Hung);
                future::pending().await
            }
        };
        match result {
            Err(refusal) => {
                pending.end(Outcome::Refused { code: refusal.code.clone() });
                Reply::Answer(protocol.refuse(&refusal))
            }
            Ok(_) if answer_dropped => {
                pending.end(Outcome::ResponseDropped);
                Reply::Cut
            }
            Ok(applied) => {
                pending.end(match applied.failed_entries {
                    0 => Outcome::Succeeded,
                    entries => Outcome::PartlyFailed { entries },
                });
                Reply::Answer(applied.response)
            }
        }
    }
}

impl Applied {
    pub(super) fn fully(response: Response<Body>) -> Self {
        Self { response, failed_entries: 0 }
    }
}
