//! The arguments that the store's benches take.
#![allow(unreachable_pub, reason = "a part of each bench")]

/// The arguments of a bench: whether to run it only to see that it works, and what to measure.
pub struct Arguments {
    pub quick: bool,
    filters: Vec<String>,
}

impl Arguments {
    pub fn read() -> Self {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
        let quick = arguments.iter().any(|a| a == "--quick" || a == "--test");
        let filters = arguments.into_iter().filter(|a| !a.starts_with("--")).collect();
        Self { quick, filters }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }
}
