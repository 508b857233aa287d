//! Conversion of the engines' errors to the tool's.

use crate::exit::Failure;
use annulus_workload::{Error, InvalidArgument};
use std::io;
use std::path::Path;

pub(in crate::commands) fn of(error: Error) -> Failure {
    let error = match error.downcast::<annulus::Error>() {
        Ok(error) => return (*error).into(),
        Err(other) => other,
    };
    match error.downcast::<InvalidArgument>() {
        Ok(error) => Failure::usage(error.to_string()),
        Err(other) => Failure::io("continue", Path::new("the benchmark"))(io::Error::other(other)),
    }
}
