//! Names that applications choose, of what the store keeps for them.

use crate::error::{Error, Result};

/// Checks the name of something, such as "a consumer".
///
/// # Errors
///
/// `InvalidArgument` if it is empty, longer than this, or has control characters.
pub(super) fn check_name(of: &str, name: &str, bytes_max: usize) -> Result<()> {
    if name.is_empty() || name.len() > bytes_max || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "the name {name:?} of {of} must have 1 to {bytes_max} bytes, and no control characters"
        )));
    }
    Ok(())
}
