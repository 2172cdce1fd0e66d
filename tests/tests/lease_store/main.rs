//! Lease stores mean the same by the same words: a long conversation, and what each of them says to it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not as expected fails the test")]

mod admin;
mod captured;
mod java;
mod layout;
mod requests;
mod streams;
mod table;

use shardflow_consumer::conformance::converse;
use shardflow_consumer::{Checkpoint, LeaseRow, LeaseStore, MemoryLeases, ShardId};
use shardflow_tests::application::Application;

#[tokio::test(start_paused = true)]
async fn memory_means_what_the_words_mean() {
    for seed in 0..20 {
        converse(&MemoryLeases::default(), seed).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn dynamodb_means_what_the_words_mean() {
    for seed in 0..3 {
        let app = Application::new(1);
        converse(&app.leases(), seed).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_not_empty_is_no_partner() {
    let store = MemoryLeases::default();
    store.create(&LeaseRow::new(ShardId::numbered(7), Checkpoint::Latest)).await.unwrap();
    let error = converse(&store, 0).await.unwrap_err();
    assert_eq!(error.step, 0, "{error}");
}
