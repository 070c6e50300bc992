//! The creates that one connection was answered last: if its client was gone before it read them, they count as unanswered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use protocol::id::OperationId;
use runtime::lock::locked;

/// What one connection was answered last. In the extensions of each of its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastAnswer(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    creates: Mutex<Vec<OperationId>>,
    was_reset: AtomicBool,
}

impl LastAnswer {
    /// These creates are being answered.
    pub(crate) fn is(&self, creates: Vec<OperationId>) {
        *locked(&self.0.creates) = creates;
    }

    /// Whether the last answer was to a create.
    pub(crate) fn is_of_creates(&self) -> bool {
        !locked(&self.0.creates).is_empty()
    }

    /// The client's system has reset the connection: it does so where its program closes it without having read everything.
    pub(crate) fn was_reset(&self) {
        self.0.was_reset.store(true, Ordering::Relaxed);
    }

    /// The creates whose answer the client has not read.
    pub(crate) fn not_taken(&self) -> Vec<OperationId> {
        let creates = std::mem::take(&mut *locked(&self.0.creates));
        if self.0.was_reset.load(Ordering::Relaxed) { creates } else { Vec::new() }
    }
}
