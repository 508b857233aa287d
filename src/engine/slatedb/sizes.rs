//! What is known of a partition's tables without reading its rows.

use super::database::SlateDb;
use super::handles::Partition;
use super::names::own_key;
use crate::engine::Usage;
use crate::error::Result;
use crate::placement::KeyRange;
use slatedb::bytes::Bytes;
use slatedb::manifest::SsTableView;
use slatedb::{SstIndex, SstReader};
use std::sync::Arc;

/// How many keys of a table are samples, at most.
const SAMPLES: usize = 256;

impl SlateDb {
    /// Returns the tables of a partition.
    fn tables(&self, partition: &Partition) -> Vec<SsTableView> {
        let manifest = self.open.db.manifest();
        let Some(segment) = manifest.segment(&partition.prefix.bytes()) else { return Vec::new() };
        let runs = segment.compacted().iter().flat_map(|run| run.sst_views());
        segment.l0().iter().chain(runs).cloned().collect()
    }

    fn reader(&self) -> SstReader {
        let place = &self.open.place;
        SstReader::new(place.data(), Arc::clone(&place.store), None, None)
    }

    fn index(&self, table: &SsTableView) -> Result<SstIndex> {
        let reader = self.reader();
        self.open.wait("reading an index", None, async {
            reader.open_with_handle(table.sst.clone())?.index().await
        })
    }

    /// Returns how many puts and deletions a table has. Each is asked once.
    fn rows(&self, table: &SsTableView) -> Result<(u64, u64)> {
        let id = u128::from(table.sst.id.value());
        if let Some(known) = self.rows_of_tables.lock().get(&id) {
            return Ok(*known);
        }
        let reader = self.reader();
        let stats = self.open.wait("reading statistics", None, async {
            reader.open_with_handle(table.sst.clone())?.stats().await
        })?;
        let rows = stats.map_or((0, 0), |stats| (stats.num_puts, stats.num_deletes));
        self.rows_of_tables.lock().insert(id, rows);
        Ok(rows)
    }

    /// Forgets tables that there are no more.
    fn forget_tables(&self) {
        let manifest = self.open.db.manifest();
        let mut known = self.rows_of_tables.lock();
        let there: std::collections::BTreeSet<u128> =
            manifest.all_sst_views().map(|table| u128::from(table.sst.id.value())).collect();
        known.retain(|id, _| there.contains(id));
    }

    pub(super) fn usage_of(&self, partition: &Partition) -> Result<Usage> {
        let in_memory = partition.in_memory.lock().bytes(self.open.flushed());
        let mut usage = Usage { bytes_in_memory: in_memory, ..Usage::default() };
        let tables = self.tables(partition);
        let (mut puts, mut deletes) = (0, 0);
        for table in &tables {
            let rows = self.rows(table)?;
            (puts, deletes) = (puts + rows.0, deletes + rows.1);
            usage.bytes_on_disk += table.estimate_size();
        }
        usage.keys_estimated = u64::saturating_sub(puts, deletes);
        if self.rows_of_tables.lock().len() > tables.len() * 4 + 1024 {
            self.forget_tables();
        }
        Ok(usage)
    }

    /// Returns about how many bytes of tables hold the keys of a range, counted in blocks.
    pub(super) fn bytes_of_range(&self, partition: &Partition, range: &KeyRange) -> Result<u64> {
        let start = partition.prefix.key(&range.start);
        let end = range.end.as_ref();
        let end = end.map_or_else(|| partition.prefix.end(), |end| partition.prefix.key(end));
        let mut bytes = 0;
        for table in self.tables(partition) {
            let info = &table.sst.info;
            let (Some(first), Some(last)) = (&info.first_entry, &info.last_entry) else { continue };
            let size = table.estimate_size();
            if *first >= end || *last < start {
                continue;
            }
            if *first >= start && *last < end {
                bytes += size;
                continue;
            }
            let index = self.index(&table)?;
            let at = |key: &Bytes| index.partition_point(|first| first < &key[..]);
            bytes += size * at(&end).saturating_sub(at(&start)) as u64 / index.len().max(1) as u64;
        }
        Ok(bytes)
    }

    /// Returns the first keys of blocks.
    pub(super) fn keys_of_blocks(&self, partition: &Partition) -> Result<Vec<Vec<u8>>> {
        let mut keys = Vec::new();
        for table in self.tables(partition) {
            let index = self.index(&table)?;
            let step = (index.len() / SAMPLES).max(1);
            keys.extend(index.iter().step_by(step).map(|(_, key)| own_key(key).to_vec()));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}
