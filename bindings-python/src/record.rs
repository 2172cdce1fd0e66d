//! Records as Python gives and gets them.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple};
use shardflow_core::HashKey;

use crate::error;

/// Python's `Record`: data, and the key that decides its shard.
#[pyclass(frozen, eq, module = "shardflow")]
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Record(shardflow_core::Record);

impl From<shardflow_core::Record> for Record {
    fn from(record: shardflow_core::Record) -> Self {
        Self(record)
    }
}

impl Record {
    pub(crate) fn inner(&self) -> &shardflow_core::Record {
        &self.0
    }
}

#[pymethods]
impl Record {
    #[new]
    #[pyo3(signature = (data, partition_key=None, explicit_hash_key=None))]
    fn new(
        data: &Bound<'_, PyAny>,
        partition_key: Option<&Bound<'_, PyAny>>,
        explicit_hash_key: Option<u128>,
    ) -> PyResult<Self> {
        make(data, partition_key, explicit_hash_key).map(Self)
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.data())
    }

    #[getter]
    fn partition_key(&self) -> Option<&str> {
        (!self.0.is_keyless()).then(|| self.0.partition_key().as_str())
    }

    #[getter]
    fn explicit_hash_key(&self) -> Option<u128> {
        if self.0.is_keyless() { None } else { self.0.explicit().map(|key| key.0) }
    }

    #[getter]
    fn hash_key(&self) -> u128 {
        self.0.hash_key().0
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.data().hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self) -> String {
        let key = self.partition_key().map_or_else(|| "None".to_owned(), |key| format!("{key:?}"));
        format!("<Record partition_key={key} of {} bytes>", self.0.data().len())
    }

    /// For `pickle`.
    fn __getnewargs__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyBytes>, Option<&str>, Option<u128>) {
        (self.data(py), self.partition_key(), self.explicit_hash_key())
    }
}

/// A record of data, which is copied, and a key.
pub(crate) fn make(
    data: &Bound<'_, PyAny>,
    key: Option<&Bound<'_, PyAny>>,
    explicit_hash_key: Option<u128>,
) -> PyResult<shardflow_core::Record> {
    let data = bytes(data)?;
    let record = match key {
        None => shardflow_core::Record::keyless(data),
        Some(key) => {
            let Ok(key) = key.cast::<PyString>() else {
                let what = key.get_type().name()?;
                return Err(PyTypeError::new_err(format!("a partition key is a str, not {what}")));
            };
            shardflow_core::Record::new(key.to_str()?, data).map_err(|wrong| error::invalid(&wrong))?
        }
    };
    Ok(match explicit_hash_key {
        Some(hash_key) => record.explicit_hash_key(HashKey(hash_key)),
        None => record,
    })
}

/// A record of an item of a batch: data alone, a pair of key and data, or a record.
pub(crate) fn of_item(item: &Bound<'_, PyAny>) -> PyResult<shardflow_core::Record> {
    if let Ok(pair) = item.cast::<PyTuple>() {
        if pair.len() != 2 {
            return Err(PyTypeError::new_err("an item of put_many is data, (key, data) or a Record"));
        }
        let key = pair.get_item(0)?;
        let key = (!key.is_none()).then_some(&key);
        return make(&pair.get_item(1)?, key, None);
    }
    if let Ok(record) = item.cast::<Record>() {
        return Ok(record.get().0.clone());
    }
    make(item, None, None)
}

/// A copy of what a buffer holds: the application may change or free it.
pub(crate) fn bytes(data: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(bytes) = data.cast::<PyBytes>() {
        return Ok(Bytes::copy_from_slice(bytes.as_bytes()));
    }
    match PyBuffer::<u8>::get(data) {
        Ok(buffer) => Ok(buffer.to_vec(data.py())?.into()),
        Err(_) => {
            let what = data.get_type().name()?;
            Err(PyTypeError::new_err(format!("data is bytes, bytearray or memoryview, not {what}")))
        }
    }
}
