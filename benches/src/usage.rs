//! What this process has used so far. Linux only: it is read from `/proc`, as it is for the KPL.

use std::fs;
use std::io;

/// CPU time and memory of this process.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Seconds of CPU, user and system. Linux counts them in hundredths.
    pub cpu_seconds: f64,
    /// The most memory that it has had at a time, in MiB.
    pub peak_mib: f64,
}

impl Usage {
    /// What it is now.
    ///
    /// # Errors
    ///
    /// When there is no such `/proc`.
    pub fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/self/stat")?;
        let status = fs::read_to_string("/proc/self/status")?;
        let used = cpu_seconds(&stat).zip(peak_mib(&status));
        let (cpu_seconds, peak_mib) = used.ok_or_else(|| io::Error::other("/proc/self cannot be read"))?;
        Ok(Self { cpu_seconds, peak_mib })
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    // The name of the program, in parentheses, can have anything in it.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    // USER_HZ is 100 on every architecture that Linux still runs on.
    Some((times.next()?.ok()? + times.next()?.ok()?) / 100.0)
}

fn peak_mib(status: &str) -> Option<f64> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(peak.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_proc_are_read() {
        let stat = "42 (a) b) S 1 42 42 0 -1 4194560 900 0 0 0 150 25 0 0 20 0 3 0 1000 1 1";
        assert_eq!(cpu_seconds(stat), Some(1.75));
        assert_eq!(peak_mib("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 100 kB\n"), Some(2.0));
        assert_eq!(cpu_seconds(""), None);
    }
}
