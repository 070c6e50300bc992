//! How the stream's sequences become the numbers by which SQL knows the log: the same ones, until the stream is found
//! behind SQL; from then on shifted, so that no number is ever used for two messages.

use protocol::id::OperationId;
use protocol::time::Timestamp;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set};
use uuid::Uuid;

use super::entity::{log_numbering, operation, settled_copy};
use super::{Context, Store, StoreError, column, commit, sequence, with_timeout};
use crate::accepted::Accepted;

/// Numbers that are left out at a renumbering: more than workers can still have in their hands from before it.
const MARGIN: u64 = 1 << 32;

/// What has to be added to a sequence of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Numbering {
    /// Counts renumberings.
    pub epoch: u32,
    shift: u64,
    since: u64,
    inherited: u64,
}

/// What SQL knows of the newest messages that were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Newest {
    /// The highest number; 0 for none.
    pub number: u64,
    /// The newest that names its operation.
    pub operation: Option<(u64, OperationId)>,
}

impl Numbering {
    /// The number of a message with this sequence in the stream. 0, "none", stays 0.
    pub const fn number(&self, in_stream: u64) -> u64 {
        if in_stream == 0 { 0 } else { in_stream.saturating_add(self.shift) }
    }

    /// The sequence in the stream; none for numbers of the time before the stream was found behind.
    pub const fn in_stream(&self, number: u64) -> Option<u64> {
        if number < self.since { None } else { number.checked_sub(self.shift) }
    }

    /// The last number of a message that the log had when it was renumbered: up to here, what is gone was settled
    /// under an earlier number.
    pub const fn inherited(&self) -> u64 {
        self.inherited
    }

    /// The first number of this numbering.
    pub const fn first(&self) -> u64 {
        if self.since == 0 { 1 } else { self.since }
    }
}

impl Store {
    /// The numbering that holds now.
    pub async fn numbering(&self) -> Result<Numbering, StoreError> {
        with_timeout("reading how the log is numbered", read(self.reader())).await
    }

    /// The newest messages that are settled.
    pub async fn newest(&self) -> Result<Newest, StoreError> {
        with_timeout("reading the newest settled message", newest(self.reader())).await
    }

    /// Whether SQL knows another operation under the number of one of these commands.
    pub(crate) async fn takes_numbers_of_others(&self, commands: &[&Accepted]) -> Result<bool, StoreError> {
        let doing = "reading which numbers are taken";
        let numbers = operation::Column::Sequence.is_in(commands.iter().map(|command| column(command.sequence)));
        let rows = operation::Entity::find()
            .select_only()
            .columns([operation::Column::Sequence, operation::Column::Operation])
            .filter(numbers)
            .into_tuple::<(i64, Uuid)>();
        let rows = with_timeout(doing, async { rows.all(self.reader()).await.context(doing) }).await?;
        let other = |(number, operation): &(i64, Uuid)| {
            let same = |command: &&&Accepted| column(command.sequence) == *number;
            commands.iter().find(same).is_some_and(|command| command.envelope.operation.0 != *operation)
        };
        Ok(rows.iter().any(other))
    }

    /// Renumbers the log: from `first` to `last` are the stream's sequences that it holds. Does nothing if another worker did
    /// so after `ended` was read.
    pub async fn renumber(&self, ended: Numbering, first: u64, last: u64, now: Timestamp) -> Result<(), StoreError> {
        let doing = "renumbering the log";
        with_timeout(doing, async {
            let transaction = self.begin().await?;
            let highest = newest(&transaction).await?.number;
            // Never below a numbering of before, of which no message may have been settled.
            let since = highest.max(ended.first()).saturating_add(MARGIN);
            let row = log_numbering::ActiveModel {
                epoch: Set(i32::try_from(ended.epoch.saturating_add(1)).unwrap_or(i32::MAX)),
                shift: Set(column(since.saturating_sub(first))),
                since: Set(column(since)),
                inherited: Set(column(last.saturating_add(since.saturating_sub(first)))),
                highest: Set(column(highest)),
                began_at: Set(now.as_millis()),
            };
            let faster = OnConflict::column(log_numbering::Column::Epoch).do_nothing().to_owned();
            let insert = log_numbering::Entity::insert(row).on_conflict(faster);
            insert.exec_without_returning(&transaction).await.context(doing)?;
            commit(transaction).await
        })
        .await
    }
}

async fn read(connection: &impl ConnectionTrait) -> Result<Numbering, StoreError> {
    let last = log_numbering::Entity::find().order_by_desc(log_numbering::Column::Epoch).limit(1);
    let row = last.one(connection).await.context("reading how the log is numbered")?;
    Ok(row.map_or_else(Numbering::default, |row| Numbering {
        epoch: u32::try_from(row.epoch).unwrap_or(0),
        shift: sequence(row.shift),
        since: sequence(row.since),
        inherited: sequence(row.inherited),
    }))
}

async fn newest(connection: &impl ConnectionTrait) -> Result<Newest, StoreError> {
    let doing = "reading the newest settled message";
    let ledger = operation::Entity::find()
        .select_only()
        .columns([operation::Column::Sequence, operation::Column::Operation])
        .order_by_desc(operation::Column::Sequence)
        .limit(1)
        .into_tuple::<(i64, Uuid)>();
    let copies = settled_copy::Entity::find()
        .select_only()
        .columns([settled_copy::Column::Sequence, settled_copy::Column::Operation])
        .order_by_desc(settled_copy::Column::Sequence)
        .limit(1);
    let named = copies.clone().filter(settled_copy::Column::Operation.is_not_null()).into_tuple::<(i64, Uuid)>();
    let copies = copies.into_tuple::<(i64, Option<Uuid>)>();
    let ledger = ledger.one(connection).await.context(doing)?;
    let named = named.one(connection).await.context(doing)?;
    let copy = copies.one(connection).await.context(doing)?.map(|(number, _)| number);
    let operation = ledger.max(named).map(|(number, operation)| (sequence(number), OperationId(operation)));
    Ok(Newest { number: copy.map_or(0, sequence).max(operation.map_or(0, |(number, _)| number)), operation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_number_leads_back_to_its_message_and_an_older_one_to_none() {
        let plain = Numbering::default();
        assert_eq!((plain.number(7), plain.in_stream(7), plain.number(0)), (7, Some(7), 0));
        let shifted = Numbering { epoch: 1, shift: 1000, since: 1050, inherited: 1060 };
        assert_eq!((shifted.number(50), shifted.in_stream(1050)), (1050, Some(50)));
        assert_eq!((shifted.number(0), shifted.in_stream(950)), (0, None));
    }
}
