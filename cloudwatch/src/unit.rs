//! The facade's units in CloudWatch's words.

use aws_sdk_cloudwatch::types::StandardUnit;
use metrics::Unit;

/// CloudWatch's unit, and what a value is to be multiplied by to be in it.
pub(crate) fn standard(unit: Unit) -> (StandardUnit, f64) {
    match unit {
        Unit::Count => (StandardUnit::Count, 1.0),
        Unit::Percent => (StandardUnit::Percent, 1.0),
        Unit::Seconds => (StandardUnit::Seconds, 1.0),
        Unit::Milliseconds => (StandardUnit::Milliseconds, 1.0),
        Unit::Microseconds => (StandardUnit::Microseconds, 1.0),
        Unit::Nanoseconds => (StandardUnit::Microseconds, 1e-3),
        // CloudWatch does not say whether its greater units are powers of 1,000 or of 1,024: bytes leave no doubt.
        Unit::Bytes => (StandardUnit::Bytes, 1.0),
        Unit::Kibibytes => (StandardUnit::Bytes, 1024.0),
        Unit::Mebibytes => (StandardUnit::Bytes, 1024.0 * 1024.0),
        Unit::Gibibytes => (StandardUnit::Bytes, 1024.0 * 1024.0 * 1024.0),
        Unit::Tebibytes => (StandardUnit::Bytes, 1024.0 * 1024.0 * 1024.0 * 1024.0),
        Unit::BitsPerSecond => (StandardUnit::BitsSecond, 1.0),
        Unit::KilobitsPerSecond => (StandardUnit::KilobitsSecond, 1.0),
        Unit::MegabitsPerSecond => (StandardUnit::MegabitsSecond, 1.0),
        Unit::GigabitsPerSecond => (StandardUnit::GigabitsSecond, 1.0),
        Unit::TerabitsPerSecond => (StandardUnit::TerabitsSecond, 1.0),
        Unit::CountPerSecond => (StandardUnit::CountSecond, 1.0),
    }
}
