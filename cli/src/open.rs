//! Opening the store that the command line names.

use crate::exit::Outcome;
use annulus::{Creation, Options, Store, StoreBuilder};
use clap::Args;
use std::path::PathBuf;

/// Which store, and how much memory for it.
#[derive(Debug, Args)]
pub(crate) struct StoreArgs {
    /// The store's directory
    #[arg(short, long, value_name = "DIR", env = "ANNULUS_STORE", hide_env_values = true)]
    pub(crate) store: PathBuf,

    #[command(flatten)]
    pub(crate) memory: MemoryArgs,
}

/// How much memory an open store may use.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Memory for blocks that were read, over all shards [default: 256]
    #[arg(long, value_name = "MIB", help_heading = "Memory")]
    cache_mib: Option<usize>,

    /// Memory for writes before they go to files, over all shards [default: 256]
    #[arg(long, value_name = "MIB", help_heading = "Memory")]
    write_buffer_mib: Option<usize>,
}

impl MemoryArgs {
    pub(crate) fn options(&self) -> Options {
        let mut options = Options::default();
        // Trimming is work for a process that stays; one that ends soon would only begin it. The
        // commands that reshape ask for it.
        options.reshape.trim = false;
        let bytes = |mib: usize| mib.saturating_mul(1 << 20);
        if let Some(mib) = self.cache_mib {
            options.cache_bytes = bytes(mib);
        }
        if let Some(mib) = self.write_buffer_mib {
            options.write_buffer_bytes = bytes(mib);
        }
        options
    }
}

impl StoreArgs {
    /// What opens the store with these options.
    pub(crate) fn builder(&self) -> StoreBuilder {
        Store::builder(&self.store).options(self.memory.options())
    }

    /// Opens the store; it must be there.
    pub(crate) fn open(&self) -> Outcome<Store> {
        Ok(self.builder().create(Creation::Never).open()?)
    }
}
