//! Where rows that are no leases are kept: beside the leases since KCL 3.5, in tables of their own before.

use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;

use super::item::{Item, LAYOUT, string};
use super::leases::store_error;
use super::place::Place;
use crate::StoreError;

/// How the tables of an application are laid out. Workers that see it differently would elect two leaders.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Layout {
    /// One table: the KCL 3.5 and later, and every application that is new.
    Single,
    /// Members and the leader's lock have a table each: the KCL 3.0 to 3.4, and a fleet on its way from there.
    Legacy,
    /// The same, and this worker has been told to move: what is read is everywhere, what is written goes beside the
    /// leases, but for the lock, which moves last.
    Moving,
}

/// Tells the layout as a worker of the KCL 3.5 does: one table, unless there is a table of coordinator state that does not
/// say that the fleet has left it. Nothing is created or changed.
pub(super) async fn decide(
    state: Place<'_>,
    members: Place<'_>,
    may_describe: bool,
    moves: bool,
) -> Result<Layout, StoreError> {
    // Reading a row tells the same, but policies for the KCL 3.5 need not allow it where there is no such table.
    if may_describe && !is_there(state).await? {
        return Ok(Layout::Single);
    }
    let layout = match state.get(LAYOUT).await {
        Ok(item) => from_row(item.as_ref(), moves)?,
        Err(error) if is_missing(&error) => return Ok(Layout::Single),
        Err(StoreError::Refused { code, message }) => {
            let table = state.table;
            let why = "which tells how the application's tables are laid out, cannot be read";
            return Err(StoreError::refused(code, format!("the table {table}, {why}: {message}")));
        }
        Err(error) => return Err(error),
    };
    if layout != Layout::Single && !has_rows_to_read(members, may_describe).await? {
        return Err(StoreError::refused(
            "IncompleteLayout",
            format!(
                "there is a table {}, as the KCL 3.0 to 3.4 has it, but no {}. If no such KCL works here, the first is a \
                 leftover (one that tried to join a newer fleet leaves it): delete it. If one does, let it make the second",
                state.table, members.table
            ),
        ));
    }
    Ok(layout)
}

/// What the row of the table migration says, or that there is none, to a worker that is told to move or not.
pub(super) fn from_row(item: Option<&Item>, moves: bool) -> Result<Layout, StoreError> {
    match item.map(|item| string(item, "tm").unwrap_or_default()) {
        // A worker of the KCL 3.4, which may still be there or come back, fails at members among its leases.
        None | Some("TABLE_MIGRATION_STATUS_INIT") if moves => Err(StoreError::refused(
            TOO_EARLY,
            format!(
                "not every worker of the fleet is known to understand the move to one table: first run all of them on the \
                 KCL 3.5 or on this library without the option to move, until {LAYOUT} says DEPLOYED, after an hour"
            ),
        )),
        None | Some("TABLE_MIGRATION_STATUS_INIT") => Ok(Layout::Legacy),
        Some("TABLE_MIGRATION_STATUS_DEPLOYED" | "TABLE_MIGRATION_STATUS_PENDING") => {
            Ok(if moves { Layout::Moving } else { Layout::Legacy })
        }
        Some("TABLE_MIGRATION_STATUS_COMPLETE") => Ok(Layout::Single),
        Some(other) => {
            let message = format!("{LAYOUT} says {other:?}, and this version does not know what that means");
            Err(StoreError::refused("UnknownLayout", message))
        }
    }
}

/// The code of a refusal to move.
pub(super) const TOO_EARLY: &str = "MigrationNotDeployed";

/// Whether an error says that there is no such table.
pub(super) fn is_missing(error: &StoreError) -> bool {
    matches!(error, StoreError::Refused { code, .. } if code == "ResourceNotFoundException")
}

async fn has_rows_to_read(place: Place<'_>, may_describe: bool) -> Result<bool, StoreError> {
    if may_describe {
        return is_there(place).await;
    }
    // No worker is called so; it is the answer that there is no such table that matters.
    match place.get("?").await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn is_there(place: Place<'_>) -> Result<bool, StoreError> {
    // A lease table of a very long name leaves no room for another behind it.
    if place.table.len() > 255 {
        return Ok(false);
    }
    match place.dynamodb.describe_table().table_name(place.table).send().await {
        Ok(_) => Ok(true),
        Err(error) => match error.as_service_error() {
            Some(DescribeTableError::ResourceNotFoundException(_)) => Ok(false),
            _ => Err(store_error(&error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::item::text;
    use super::*;

    #[test]
    fn only_a_completed_migration_leaves_the_legacy_tables() {
        let row = |status: &str| Item::from([("tm".into(), text(status))]);
        let refusal = |item: Option<&Item>, moves| match from_row(item, moves) {
            Err(StoreError::Refused { code, .. }) => code,
            other => format!("{other:?}"),
        };
        assert_eq!(from_row(None, false).unwrap(), Layout::Legacy);
        assert_eq!(refusal(None, true), "MigrationNotDeployed");
        for (status, moving) in
            [("INIT", None), ("DEPLOYED", Some(Layout::Moving)), ("PENDING", Some(Layout::Moving))]
        {
            let row = row(&format!("TABLE_MIGRATION_STATUS_{status}"));
            assert_eq!(from_row(Some(&row), false).unwrap(), Layout::Legacy);
            match moving {
                Some(moving) => assert_eq!(from_row(Some(&row), true).unwrap(), moving),
                None => assert_eq!(refusal(Some(&row), true), "MigrationNotDeployed"),
            }
        }
        for moves in [false, true] {
            let complete = row("TABLE_MIGRATION_STATUS_COMPLETE");
            assert_eq!(from_row(Some(&complete), moves).unwrap(), Layout::Single);
            for odd in [row("TABLE_MIGRATION_STATUS_UNKNOWN"), Item::new()] {
                assert_eq!(refusal(Some(&odd), moves), "UnknownLayout");
            }
        }
    }
}
