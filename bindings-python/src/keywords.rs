//! Keyword arguments, taken one by one.

use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use crate::error;

/// The keyword arguments of a call. What nobody takes is an error.
#[derive(Debug)]
pub(crate) struct Keywords<'py>(Option<Bound<'py, PyDict>>);

impl<'py> Keywords<'py> {
    pub(crate) fn new(keywords: Option<&Bound<'py, PyDict>>) -> PyResult<Self> {
        Ok(Self(keywords.map(PyDictMethods::copy).transpose()?))
    }

    /// A value, unless it is absent or `None`.
    pub(crate) fn take(&self, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(keywords) = &self.0 else { return Ok(None) };
        let value = keywords.get_item(name)?;
        if value.is_some() {
            keywords.del_item(name)?;
        }
        Ok(value.filter(|value| !value.is_none()))
    }

    pub(crate) fn text(&self, name: &str) -> PyResult<Option<String>> {
        self.take(name)?.map(|value| extract(name, &value, "a string")).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> PyResult<Option<u64>> {
        self.take(name)?.map(|value| extract(name, &value, "a whole number, not negative")).transpose()
    }

    pub(crate) fn flag(&self, name: &str) -> PyResult<Option<bool>> {
        self.take(name)?.map(|value| extract(name, &value, "True or False")).transpose()
    }

    pub(crate) fn seconds(&self, name: &str) -> PyResult<Option<Duration>> {
        self.take(name)?
            .map(|value| {
                let number: f64 = value.extract().map_err(|_| error::option(name, &value, SECONDS))?;
                Duration::try_from_secs_f64(number).map_err(|_| error::option(name, &value, SECONDS))
            })
            .transpose()
    }

    /// What the KPL or the KCL calls by a name of its own: names and values.
    pub(crate) fn options(&self) -> PyResult<Vec<(String, String)>> {
        let Some(options) = self.take("options")? else { return Ok(Vec::new()) };
        let wrong = |_| error::option("options", &options, "names and values, all strings");
        options.call_method0("items")?.try_iter()?.map(|item| item?.extract().map_err(wrong)).collect()
    }

    /// All have been taken.
    pub(crate) fn finish(self) -> PyResult<()> {
        let Some(left) = self.0.and_then(|left| left.keys().into_iter().next()) else { return Ok(()) };
        let name = left.cast_into::<PyString>()?;
        Err(PyTypeError::new_err(format!("there is no keyword argument {:?}", name.to_string_lossy())))
    }
}

const SECONDS: &str = "seconds, 0 or more";

fn extract<'py, T>(name: &str, value: &Bound<'py, PyAny>, rule: &'static str) -> PyResult<T>
where
    T: for<'a> FromPyObject<'a, 'py>,
{
    value.extract().map_err(|_| error::option(name, value, rule))
}

/// A time limit that a call was given, in seconds; `None` is without limit.
pub(crate) fn limit(timeout: Option<f64>) -> PyResult<Option<Duration>> {
    match timeout {
        None => Ok(None),
        Some(f64::INFINITY) => Ok(None),
        // What is past already is no time at all, as everywhere in Python.
        Some(seconds) if seconds < 0.0 => Ok(Some(Duration::ZERO)),
        Some(seconds) => Duration::try_from_secs_f64(seconds).map(Some).map_err(|_| {
            pyo3::exceptions::PyValueError::new_err(format!("timeout cannot be {seconds}: it takes seconds"))
        }),
    }
}
