//! DisableEnhancedMonitoring.

use std::time::SystemTime;

use super::Kinesis;
use super::enable_enhanced_monitoring::{MonitoringRequest, MonitoringResponse};
use super::error::KinesisError;
use super::stamp::Stamp;

impl Kinesis {
    pub(crate) fn disable_enhanced_monitoring(
        &mut self,
        now: SystemTime,
        disable: MonitoringRequest,
    ) -> Result<MonitoringResponse, KinesisError> {
        let named = disable.names()?;
        let stream = self.stream(Stamp::of(now), &disable.stream)?;
        stream.require_listable()?;
        let current = stream.monitoring.clone();
        stream.monitoring.retain(|name| !named.contains(name));
        Ok(MonitoringResponse::of(stream, current))
    }
}
