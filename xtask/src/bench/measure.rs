//! Measuring a case: the programs take turns, so that what disturbs the machine disturbs them alike.

use serde_json::Value;

use super::case::{Case, Load, Pace};
use super::note;
use super::programs::{Program, Programs, Time};
use super::report::{Measured, Runs};

/// Everything that is needed to measure.
pub(super) struct Bench {
    programs: Programs,
    runs: usize,
    window: Window,
}

/// What a run measures, after its warm-up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) seconds: f64,
    /// So many records, instead of seconds, if it is not 0.
    pub(super) records: u64,
}

impl Bench {
    pub(super) fn prepare(runs: usize, window: Window, with_kpl: bool) -> Result<Self, String> {
        Ok(Self { programs: Programs::build(with_kpl)?, runs, window })
    }

    pub(super) fn measure(&self, case: &Case) -> Result<Vec<Measured>, String> {
        match case {
            Case::Floor => Ok(vec![self.floor()?]),
            Case::Full { .. } | Case::Threads | Case::Shards | Case::Metrics | Case::Linger => {
                case.loads().into_iter().map(|load| self.load(load)).collect()
            }
        }
    }

    fn load(&self, load: Load) -> Result<Measured, String> {
        let best = Load { outstanding: Load::KPL_BEST, ..load.clone() };
        let with_kpl = load.with_kpl && self.programs.has_kpl();
        let rate = |program| match load.pace {
            Pace::Full => Ok(0.0),
            Pace::Half => self.half(program, &load),
            Pace::Rate(rate) => Ok(f64::from(rate)),
        };
        let ours_rate = rate(Program::Shardflow)?;
        let kpl_rate = if with_kpl { rate(Program::Kpl)? } else { 0.0 };
        let (mut ours, mut kpl, mut kpl_best, mut floor) = <(Runs, Runs, Runs, Runs)>::default();
        for n in 1..=self.runs {
            let mut told = Vec::new();
            let mut run = |name, program, load: &Load, rate, into: &mut Runs| {
                let result = self.run(program, load, rate)?;
                told.push(format!("{name} {:.2}", result["cpu_s_per_M"].as_f64().unwrap_or(f64::NAN)));
                into.push(result);
                Ok::<_, String>(())
            };
            run("Shardflow", Program::Shardflow, &load, ours_rate, &mut ours)?;
            if with_kpl {
                run("KPL", Program::Kpl, &load, kpl_rate, &mut kpl)?;
            }
            if with_kpl && load.with_best {
                run("KPL at its best", Program::Kpl, &best, 0.0, &mut kpl_best)?;
            }
            if load.with_floor {
                run("floor", Program::Floor, &load, 0.0, &mut floor)?;
            }
            note(&format!("{}, run {n} of {}: {} CPU s/M", load.name, self.runs, told.join(", ")));
        }
        Ok(Measured::Load { load, ours, kpl, kpl_best, floor })
    }

    fn floor(&self) -> Result<Measured, String> {
        let mut of_size = Vec::new();
        for size in [100, 1024] {
            let Some(load) = (Case::Full { size, shards: 1 }).loads().pop() else { continue };
            let (mut floor, mut sending) = (Runs::default(), Runs::default());
            for _ in 0..self.runs {
                floor.push(self.run(Program::Floor, &load, 0.0)?);
                sending.push(self.run(Program::Sending, &load, 0.0)?);
            }
            of_size.push((size, floor, sending));
        }
        Ok(Measured::Floor(of_size))
    }

    /// Half of the rate that the program reaches.
    fn half(&self, program: Program, load: &Load) -> Result<f64, String> {
        let full = self.run(program, load, 0.0)?;
        Ok((full["records_per_s"].as_f64().unwrap_or(0.0) / 2.0).max(1.0))
    }

    fn run(&self, program: Program, load: &Load, rate: f64) -> Result<Value, String> {
        let Window { seconds, records } = self.window;
        let time = match program {
            Program::Shardflow => Time { warm: 1.5, seconds, records },
            // Its driver makes that longer until the JVM has compiled what is hot.
            Program::Kpl => Time { warm: 5.0, seconds, records },
            Program::Floor | Program::Sending => Time { warm: 0.3, seconds: seconds / 2.0, records },
        };
        self.programs.run(program, load, rate, time)
    }
}
