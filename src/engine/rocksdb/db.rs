//! The type of databases: its column families can be created and dropped while others use it.

use rocksdb::{DBWithThreadMode, MultiThreaded};

pub(super) type Db = DBWithThreadMode<MultiThreaded>;
