//! What this process takes of the machine, as Linux tells.

/// What this process takes.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Resident memory in bytes.
    pub resident: usize,
    /// Threads.
    pub threads: usize,
}

impl Usage {
    /// What it takes now; nothing where there is no `/proc`.
    #[must_use]
    pub fn now() -> Option<Self> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<usize>().ok()
        };
        Some(Self { resident: field("VmRSS:")? << 10, threads: field("Threads:")? })
    }

    /// The most of each.
    #[must_use]
    pub fn most(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), threads: self.threads.max(other.threads) }
    }
}
