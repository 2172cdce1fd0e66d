//! What every [`LeaseStore`] must do, for who writes one: a long conversation, each answer of which is compared with what
//! the words mean.
//!
//! ```
//! # use shardflow_consumer::{MemoryLeases, conformance};
//! # async fn example() -> Result<(), conformance::Nonconforming> {
//! for seed in 0..20 {
//!     let store = MemoryLeases::default(); // empty each time
//!     conformance::converse(&store, seed).await?;
//! }
//! # Ok(())
//! # }
//! ```

mod model;
mod words;

use std::time::Duration;

use fastrand::Rng;

use self::model::Model;
use self::words::Words;
use crate::{LeaseStore, StoreError};

/// Talks to an empty store: a few hundred requests about three leases, three workers, the lock and the version, many of
/// which must be refused. The same seed asks the same.
///
/// A view may lag behind writes for up to five seconds, by tokio's clock.
///
/// # Errors
///
/// With the first answer that is not what the request means.
pub async fn converse(store: &dyn LeaseStore, seed: u64) -> Result<(), Nonconforming> {
    let mut rng = Rng::with_seed(seed);
    let mut model = Model::default();
    let asked = Asked { seed, step: 0, request: String::from("prepare, twice") };
    for _ in 0..2 {
        store.prepare().await.map_err(|error| asked.answered(&error, &"Ok"))?;
    }
    model.compare(store, &asked).await?;
    for step in 1..=STEPS {
        let words = Words::choose(&mut rng, &model);
        let asked = Asked { seed, step, request: format!("{words:?}") };
        let said = words.say_to(store).await;
        let meant = model.carry_out(&words);
        match (&said, &meant) {
            (Ok(()), Ok(())) => {}
            (Err(StoreError::Conflict(said)), Err(meant)) if said == meant => {}
            _ => return Err(asked.answered(&said, &meant)),
        }
        if let Some(key) = words.key() {
            let row = store.get(key).await.map_err(|error| asked.answered(&error, &"Ok"))?;
            let meant = model.lease(key);
            if row.as_ref() != meant {
                return Err(asked.answered(&row, &meant));
            }
        }
        // Each look may have to wait for a store that lags.
        if step % 10 == 0 {
            model.compare(store, &asked).await?;
        }
    }
    one_of_two_wins(store, &mut model, seed).await
}

/// Of two writes on the same condition, at the same time, one is carried out.
async fn one_of_two_wins(store: &dyn LeaseStore, model: &mut Model, seed: u64) -> Result<(), Nonconforming> {
    for step in STEPS + 1..=STEPS + RACES {
        let rivals = model.rivals();
        let asked = Asked { seed, step, request: format!("{rivals:?}, at the same time") };
        let [first, second] = &rivals;
        let said = tokio::join!(first.say_to(store), second.say_to(store));
        let winner = match &said {
            (Ok(()), Err(StoreError::Conflict(_))) => first,
            (Err(StoreError::Conflict(_)), Ok(())) => second,
            _ => return Err(asked.answered(&said, &"one of them carried out, one refused")),
        };
        let _refused = model.carry_out(winner).is_err();
        model.compare(store, &asked).await?;
    }
    Ok(())
}

/// A store answered what it must not.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}, step {step}: {answer} to {request}, which means {meaning}")]
#[non_exhaustive]
pub struct Nonconforming {
    /// Which conversation.
    pub seed: u64,
    /// The how manieth request of it.
    pub step: u32,
    /// What it was asked.
    pub request: String,
    /// What it answered.
    pub answer: String,
    /// What it should have answered.
    pub meaning: String,
}

const STEPS: u32 = 400;
const RACES: u32 = 10;
const LAG: Duration = Duration::from_secs(5);

/// A request, for who must find out what was wrong with its answer.
struct Asked {
    seed: u64,
    step: u32,
    request: String,
}

impl Asked {
    fn answered(&self, answer: &dyn std::fmt::Debug, meaning: &dyn std::fmt::Debug) -> Nonconforming {
        Nonconforming {
            seed: self.seed,
            step: self.step,
            request: self.request.clone(),
            answer: format!("{answer:?}"),
            meaning: format!("{meaning:?}"),
        }
    }
}
