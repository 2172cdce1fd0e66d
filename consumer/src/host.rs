//! How busy the host or container of this worker is.

use std::fs::read_to_string;
use std::path::Path;
use std::time::Duration;

use crate::clock::Clock;
use crate::ecs::Ecs;
use shardflow_core::Utilisation;
use shardflow_engine::Moment;

/// Samples the processor's utilisation each time that the worker reports.
///
/// In a container it is what the container uses of what it may use: on ECS and Fargate by the task's metadata endpoint, as
/// the KCL has it, elsewhere, as on EKS, by control groups of either version. Without a container it is the whole host's.
#[derive(Debug)]
pub(crate) struct Host {
    clock: Clock,
    ecs: Option<Ecs>,
    before: Option<(Moment, Used)>,
    samples: Vec<f64>,
}

/// Processor time that was used, and how much of it there is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Used {
    pub(crate) time: Duration,
    /// Processors that may be used at once.
    pub(crate) processors: f64,
}

impl Host {
    /// As many averages as the KCL keeps. Its `noOfPersistedMetricsPerWorkerMetrics`.
    const KEPT: usize = 10;

    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, ecs: Ecs::of_this_container(), before: None, samples: Vec::new() }
    }

    /// The KCL's metric `C`, in per cent: averages of the times between reports. Nothing before the second call.
    ///
    /// Takes a second at most, and may be dropped: then there is no sample of that time.
    pub(crate) async fn sample(&mut self) -> Option<Utilisation> {
        let now = self.clock.now();
        let used = match &self.ecs {
            // No other source in its place: what two of them say cannot be compared.
            Some(ecs) => ecs.used().await,
            None => read(Path::new("/")),
        };
        if let (Some((then, before)), Some(used)) = (self.before, used) {
            self.samples.push(percentage(before, used, now.since(then)));
            let excess = self.samples.len().saturating_sub(Self::KEPT);
            self.samples.drain(..excess);
        }
        self.before = used.map(|used| (now, used));
        (!self.samples.is_empty()).then(|| Utilisation::new(self.samples.clone(), Some(100.0)))
    }
}

fn percentage(before: Used, after: Used, within: Duration) -> f64 {
    let available = (within.as_secs_f64() * after.processors).max(f64::MIN_POSITIVE);
    let used = after.time.saturating_sub(before.time).as_secs_f64();
    // Six decimals, as the KCL writes.
    ((used / available * 1e8).round() / 1e6).clamp(0.0, 100.0)
}

/// What the files under a root say.
fn read(root: &Path) -> Option<Used> {
    control_group_2(root).or_else(|| control_group_1(root)).or_else(|| whole_host(root))
}

fn control_group_2(root: &Path) -> Option<Used> {
    let file = |name: &str| read_to_string(root.join("sys/fs/cgroup").join(name)).ok();
    let stat = file("cpu.stat")?;
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()?;
    let quota = file("cpu.max").and_then(|max| {
        let (quota, period) = max.trim().split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok()?)
    });
    let set = file("cpuset.cpus.effective").and_then(|set| count(&set));
    Some(Used { time: Duration::from_micros(micros), processors: least(quota, set, root)? })
}

fn control_group_1(root: &Path) -> Option<Used> {
    let file = |name: &str| read_to_string(root.join("sys/fs/cgroup").join(name)).ok();
    let nanos = file("cpuacct/cpuacct.usage")?.trim().parse().ok()?;
    let number = |name: &str| file(name)?.trim().parse::<f64>().ok().filter(|number| *number > 0.0);
    let quota = number("cpu/cpu.cfs_quota_us").zip(number("cpu/cpu.cfs_period_us"));
    let set = file("cpuset/cpuset.effective_cpus").and_then(|set| count(&set));
    let processors = least(quota.map(|(quota, period)| quota / period), set, root)?;
    Some(Used { time: Duration::from_nanos(nanos), processors })
}

/// From `/proc/stat`: everything but idling and waiting, in hundredths of a second.
fn whole_host(root: &Path) -> Option<Used> {
    let stat = read_to_string(root.join("proc/stat")).ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|ticks| ticks.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal; guests are in user.
    let busy = [0, 1, 2, 5, 6, 7].into_iter().filter_map(|place| ticks.get(place)).sum::<u64>();
    Some(Used { time: Duration::from_millis(busy * 10), processors: host_processors(root)? })
}

/// The least of a quota, a set of processors, and all there are.
fn least(quota: Option<f64>, set: Option<f64>, root: &Path) -> Option<f64> {
    [quota, set, host_processors(root)].into_iter().flatten().filter(|n| *n > 0.0).reduce(f64::min)
}

fn host_processors(root: &Path) -> Option<f64> {
    let stat = read_to_string(root.join("proc/stat")).ok()?;
    let is_one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    u32::try_from(stat.lines().filter(is_one).count()).ok().filter(|count| *count > 0).map(f64::from)
}

/// How many processors a list such as `0-3,8` names.
fn count(list: &str) -> Option<f64> {
    let part = |part: &str| -> Option<u32> {
        match part.split_once('-') {
            Some((first, last)) => (last.parse::<u32>().ok()? + 1).checked_sub(first.parse().ok()?),
            None => part.parse::<u32>().ok().map(|_| 1),
        }
    };
    let parts: Option<Vec<_>> = list.trim().split(',').filter(|p| !p.is_empty()).map(part).collect();
    parts.map(|parts| f64::from(parts.iter().sum::<u32>()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::{env, fs};

    const STAT: &str = "cpu  100 0 50 900 10 1 2 3 0 0\ncpu0 1 2\ncpu1 1 2\ncpu2 1 2\ncpu3 1 2\nintr 5\n";

    /// A root folder with files, deleted with its handle.
    struct Root(PathBuf);

    impl Root {
        fn with(name: &str, files: &[(&str, &str)]) -> Self {
            let root = env::temp_dir().join(format!("shardflow-host-{}-{name}", std::process::id()));
            for (file, text) in files {
                let path = root.join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _gone = fs::remove_dir_all(&self.0).is_ok();
        }
    }

    #[test]
    fn a_container_is_measured_by_what_it_may_use() {
        let root = Root::with(
            "v2",
            &[
                ("proc/stat", STAT),
                ("sys/fs/cgroup/cpu.stat", "usage_usec 2500000\nuser_usec 1\n"),
                ("sys/fs/cgroup/cpu.max", "150000 100000\n"),
                ("sys/fs/cgroup/cpuset.cpus.effective", "0-1,3\n"),
            ],
        );
        let used = Used { time: Duration::from_micros(2_500_000), processors: 1.5 };
        assert_eq!(read(&root.0), Some(used));
        let root = Root::with(
            "v1",
            &[
                ("proc/stat", STAT),
                ("sys/fs/cgroup/cpuacct/cpuacct.usage", "7000000000\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
                ("sys/fs/cgroup/cpuset/cpuset.effective_cpus", "0-1\n"),
            ],
        );
        assert_eq!(read(&root.0), Some(Used { time: Duration::from_secs(7), processors: 2.0 }));
    }

    #[test]
    fn a_container_without_limits_and_a_host_may_use_all_processors() {
        let files = [
            ("proc/stat", STAT),
            ("sys/fs/cgroup/cpu.stat", "usage_usec 5\n"),
            ("sys/fs/cgroup/cpu.max", "max 100000\n"),
        ];
        let root = Root::with("unlimited", &files);
        assert_eq!(read(&root.0).unwrap().processors, 4.0);
        let root = Root::with("host", &files[..1]);
        assert_eq!(read(&root.0), Some(Used { time: Duration::from_millis(1_560), processors: 4.0 }));
        assert_eq!(read(Path::new("/nonexistent")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_without_an_answer_has_no_sample() {
        let clock = Clock::start();
        let ecs = Some(Ecs::new("http://127.0.0.1:1".into()));
        let mut host = Host { clock, ecs, before: None, samples: vec![7.0] };
        for _ in 0..2 {
            let told = host.sample().await.unwrap();
            assert_eq!((told.samples, host.before), (vec![7.0], None));
        }
    }

    #[test]
    fn utilisation_is_time_used_of_time_there_was() {
        let used = |millis| Used { time: Duration::from_millis(millis), processors: 2.0 };
        assert_eq!(percentage(used(1_000), used(16_000), Duration::from_secs(30)), 25.0);
        assert_eq!(percentage(used(0), used(99_000), Duration::from_secs(30)), 100.0);
        assert_eq!(percentage(used(5), used(1), Duration::from_secs(30)), 0.0, "a counter that went back");
    }
}
