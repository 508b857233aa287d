//! The operating system: threads, descriptors, identities of files, room, waits between attempts; and the
//! places where tests make it fail.

pub(crate) mod backoff;
pub(crate) mod descriptors;
pub(crate) mod failpoint;
pub(crate) mod file_id;
pub(crate) mod files;
pub(crate) mod helpers;
pub(crate) mod parallel;
pub(crate) mod space;
