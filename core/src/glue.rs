//! The header that serializers of the Glue schema registry write in front of a record's data.

use std::fmt;

use bytes::Bytes;

/// Data that a serializer of the AWS Glue schema registry has written, taken apart: 18 bytes of header, and the payload.
///
/// The header says by which version of which schema the payload is written. What it says, and how to read the payload by
/// it, is for a client of the registry and a library of the format (Avro, JSON, Protobuf).
///
/// ```
/// use bytes::Bytes;
/// use shardflow_core::{GlueCompression, GlueEncoded};
///
/// let id = *b"\x8f\x02\x5c\x1a\xbc\x7e\x4d\x10\x9d\x36\x00\x01\x02\x03\x04\x05";
/// let data = Bytes::from([&[3, 0][..], &id, b"payload"].concat());
/// let encoded = GlueEncoded::parse(&data).ok_or("written without the registry")?;
/// assert_eq!(encoded.schema_version_id.to_string(), "8f025c1a-bc7e-4d10-9d36-000102030405");
/// assert_eq!((encoded.compression, encoded.payload), (GlueCompression::None, Bytes::from("payload")));
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct GlueEncoded {
    /// The version of the schema: what `GetSchemaVersion` of the registry takes.
    pub schema_version_id: SchemaVersionId,
    /// How the payload is compressed.
    pub compression: GlueCompression,
    /// The payload, as it lies in the data: nothing is copied, and nothing decompressed.
    pub payload: Bytes,
}

impl GlueEncoded {
    /// Bytes of the header: version, compression, and the id of the schema's version.
    pub const HEADER: usize = 18;

    /// Takes data apart, or tells that no such serializer has written it: it is shorter than the header, or of another
    /// version or compression. The KCL passes such data on as it is.
    ///
    /// Data of another kind that begins with the same two bytes is taken for encoded too; the registry does not know its
    /// schema then.
    #[must_use]
    pub fn parse(data: &Bytes) -> Option<Self> {
        let (header, _) = data.split_first_chunk::<{ Self::HEADER }>()?;
        let [VERSION, compression, id @ ..] = *header else { return None };
        let compression = match compression {
            0 => GlueCompression::None,
            5 => GlueCompression::Zlib,
            _ => return None,
        };
        Some(Self {
            schema_version_id: SchemaVersionId(id),
            compression,
            payload: data.slice(Self::HEADER..),
        })
    }
}

/// The only version of the header: `HEADER_VERSION_BYTE` of the registry's serializers.
const VERSION: u8 = 3;

/// How a serializer of the Glue schema registry has compressed a payload.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum GlueCompression {
    /// Not at all.
    None,
    /// By zlib, as RFC 1950 has it.
    Zlib,
}

/// Names one version of a schema in the Glue schema registry. Shown as a UUID.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SchemaVersionId(pub [u8; 16]);

impl fmt::Display for SchemaVersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, byte) in self.0.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(version: u8, compression: u8, payload: &[u8]) -> Bytes {
        [&[version, compression][..], &[7; 16], payload].concat().into()
    }

    #[test]
    fn header_and_payload_are_told_apart() {
        let encoded = GlueEncoded::parse(&data(3, 5, b"x")).unwrap();
        assert_eq!(encoded.schema_version_id, SchemaVersionId([7; 16]));
        assert_eq!(encoded.schema_version_id.to_string(), "07070707-0707-0707-0707-070707070707");
        assert_eq!((encoded.compression, encoded.payload), (GlueCompression::Zlib, Bytes::from("x")));
        let nothing = GlueEncoded::parse(&data(3, 0, b"")).unwrap();
        assert_eq!((nothing.compression, nothing.payload), (GlueCompression::None, Bytes::new()));
    }

    #[test]
    fn what_no_serializer_has_written_is_left_alone() {
        for other in [data(2, 0, b"x"), data(3, 1, b"x"), data(3, 0, b"").slice(..17), Bytes::new()] {
            assert_eq!(GlueEncoded::parse(&other), None, "{other:?}");
        }
    }
}
