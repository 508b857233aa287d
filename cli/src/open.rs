//! Opening the store that the command line names.

use crate::exit::{Failure, Outcome};
use crate::output::Output;
use crate::patience::patiently;
use annulus::log::Position;
use annulus::rebalancer::SavedHeat;
use annulus::{CreateMode, ErrorKind, Options, Store, StoreBuilder};
use clap::Args;
use std::path::{Path, PathBuf};

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
        // Trimming is work for a process that keeps running; one that ends soon would only begin
        // it. The commands that reshape turn it on.
        options.reshape.trim = false;
        // What a command reads and writes is not the application's load, and what is known of that
        // load must stay as it is; commands that need heat turn it on.
        options.heat = None;
        // Nor does a command read a key often.
        options.hot_cache_bytes = 0;
        // What is kept for consumers is for the application to decide: a command takes nothing away.
        options.changes_keep_bytes = u64::MAX;
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
    /// Returns a builder that opens the store with these options.
    pub(crate) fn builder(&self) -> StoreBuilder {
        Store::builder(&self.store).options(self.memory.options())
    }

    /// Opens the store, which must exist.
    pub(crate) fn open(&self) -> Outcome<Store> {
        Ok(self.builder().create(CreateMode::Never).open()?)
    }
}

/// Which store, for commands that only read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    store: StoreArgs,

    /// Create, change and lock nothing: for a directory that may not be written, or that must stay
    /// as it is. What an interrupted change left is neither completed nor removed, only reported.
    /// Another process may have the store open: then it is seen as it was at one moment
    #[arg(long)]
    read_only: bool,
}

impl ReadArgs {
    /// Returns how much memory the store may use.
    pub(crate) const fn memory(&self) -> &MemoryArgs {
        &self.store.memory
    }

    /// Opens the store, which must exist. Reports what cannot be seen of it, or only in part.
    pub(crate) fn open(&self, output: &mut Output) -> Outcome<Store> {
        let store = self.open_with(self.memory().options(), output)?;
        if self.read_only {
            store.recovery().lost.iter().for_each(|lost| output.note(format_args!("lost: {lost}")));
        }
        Ok(store)
    }

    /// The same with these options, for a command that itself reports what logs had lost.
    pub(crate) fn open_with(&self, options: Options, output: &mut Output) -> Outcome<Store> {
        let builder = Store::builder(&self.store.store).options(options);
        let builder = builder.create(CreateMode::Never).read_only(self.read_only);
        // Read-only, it may meet a process that removes files just then.
        let store = patiently(|| builder.clone().open())?;
        for damaged in &store.recovery().damaged {
            output.note(format_args!("damaged: {damaged}"));
        }
        Ok(store)
    }
}

/// Which store, for commands that inspect it without opening it, so that it may be open elsewhere.
#[derive(Debug, Args)]
pub(crate) struct ClosedStoreArgs {
    /// The store's directory; another process may have the store open
    #[arg(short, long, value_name = "DIR", env = "ANNULUS_STORE", hide_env_values = true)]
    pub(crate) store: PathBuf,
}

/// Which consumer of changes.
#[derive(Debug, Args)]
pub(crate) struct ConsumerArgs {
    /// From the position that this consumer has committed. Opens the store read-only for it
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    consumer: Option<String>,
}

impl ConsumerArgs {
    /// Returns the position that the consumer has committed, if one is named.
    pub(crate) fn position(&self, store: &Path) -> Outcome<Option<Position>> {
        let Some(name) = &self.consumer else { return Ok(None) };
        let store = Store::builder(store).create(CreateMode::Never).read_only(true).open()?;
        Ok(Some(store.consumer(name)?.position()?))
    }
}

/// The message when no load has been recorded yet.
pub(crate) const NO_HEAT: &str = "nothing is known of the load yet: it is recorded while an \
     application has the store open and uses it, every few seconds and when it is closed";

impl ClosedStoreArgs {
    /// Returns what was last recorded of the load. A damaged file is reported and skipped: only
    /// statistics are lost with it.
    pub(crate) fn last_heat(&self, output: &Output) -> Outcome<KnownHeat> {
        let mut damaged = Vec::new();
        let heat = match SavedHeat::read(&self.store) {
            Err(error) if matches!(error.kind(), ErrorKind::Damaged | ErrorKind::Incompatible) => {
                damaged.push(error.to_string());
                None
            }
            read => read?,
        };
        damaged.extend(heat.as_ref().and_then(|heat| heat.damaged.clone()));
        damaged.iter().for_each(|damaged| output.note(format_args!("note: {damaged}")));
        if heat.is_none() && !self.store.is_dir() {
            let path = self.store.display();
            return Err(Failure::not_found(format!("there is no store in {path}")));
        }
        Ok(KnownHeat { heat, damaged })
    }
}

/// What is known of a store's load without opening it.
pub(crate) struct KnownHeat {
    /// `None` if nothing was ever recorded, or nothing that can be read.
    pub(crate) heat: Option<SavedHeat>,
    /// What is wrong with the files that cannot be used, for JSON; people were told already.
    pub(crate) damaged: Vec<String>,
}

impl KnownHeat {
    /// Adds what is damaged to a failure in JSON, because that may be why something is not found.
    pub(crate) fn explain(&self, failure: Failure, output: &Output) -> Failure {
        if !output.json() || self.damaged.is_empty() {
            return failure;
        }
        failure.note(self.damaged.join("; "))
    }
}
