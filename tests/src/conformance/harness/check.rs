//! What a check is, what it may need, and how a topic lists its checks.

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use shardflow_local::Service;

use super::Context;

/// A check that is running.
pub(crate) type Running<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Something that AWS does, and code that sees whether a server does it too.
pub struct Check {
    /// What AWS does, as a sentence. The table of deviations refers to it, so it stays as it is.
    pub name: &'static str,
    /// What a server must be able to do for the check to make sense.
    pub needs: &'static [Need],
    pub(crate) run: for<'a> fn(&'a Context) -> Running<'a>,
}

/// What a server, or the way in which it was started, must be able to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    /// It throttles shards.
    Throttles,
    /// It does not.
    NoThrottles,
    /// It has SubscribeToShard.
    FanOut,
    /// The metrics that came in can be read.
    Metrics,
    /// So much time can be made to pass.
    Passing(Duration),
}

/// Checks of one subject.
#[derive(Debug)]
pub struct Topic {
    /// The subject.
    pub name: &'static str,
    /// The service that it belongs to.
    pub service: Service,
    /// Its checks.
    pub checks: &'static [Check],
}

/// Lists the checks of a topic: what AWS does, what it takes to see it, and the function that looks.
macro_rules! topic {
    ($topic:literal, $service:ident; $($name:literal $([$($need:expr),+])? => $check:path,)+) => {
        pub(super) const TOPIC: $crate::conformance::Topic = $crate::conformance::Topic {
            name: $topic,
            service: ::shardflow_local::Service::$service,
            checks: &[$(
                $crate::conformance::Check {
                    name: $name,
                    needs: &[$($($need),+)?],
                    run: |context| ::std::boxed::Box::pin($check(context)),
                }
            ),+],
        };
    };
}
pub(crate) use topic;

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("needs", &self.needs).finish_non_exhaustive()
    }
}
