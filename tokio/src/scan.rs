//! Scans as streams.

use crate::inner::Inner;
use crate::portions::{BYTES_MAX, Portions, Source, stream_of_portions};
use annulus::Result;
use std::sync::Arc;

type Row = (Vec<u8>, Vec<u8>);

/// Rows in key order, as a [`Stream`](futures_core::Stream); see [`annulus::Scan`] for what it sees.
///
/// It reads ahead no more than one portion of rows, up to 128 KiB and the last row, and reads nothing
/// while it is not polled. After an error it ends. Dropping it ends the scan.
pub struct Scan {
    portions: Portions<annulus::Scan>,
}

impl Scan {
    /// Opens a scan and reads the first portion, in one visit to the pool.
    pub(crate) async fn open(
        inner: &Arc<Inner>,
        open: impl FnOnce() -> Result<annulus::Scan> + Send + 'static,
    ) -> Result<Self> {
        Ok(Self { portions: Portions::open(inner, open).await? })
    }
}

impl Source for annulus::Scan {
    type Item = Row;

    fn read(&mut self, items_max: usize, rows: &mut Vec<Row>) -> Result<bool> {
        let mut bytes = 0;
        while rows.len() < items_max && bytes < BYTES_MAX {
            let Some((key, value)) = self.next_row()? else { return Ok(false) };
            bytes += key.len() + value.len();
            rows.push((key.to_vec(), value.to_vec()));
        }
        Ok(true)
    }
}

stream_of_portions!(Scan, (Vec<u8>, Vec<u8>), "row");
