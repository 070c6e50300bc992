//! Acts at failpoints, in builds with debug assertions only; in others a hit is nothing.

use protocol::failpoint::Failpoint;

/// Passes a failpoint: goes on, later, or never.
#[cfg(debug_assertions)]
pub async fn hit(point: Failpoint) {
    use protocol::failpoint::FailpointAction;
    match armed::TRAPS.hit(point) {
        Some(FailpointAction::Abort) => std::process::abort(),
        Some(FailpointAction::Hang) => hang(),
        Some(FailpointAction::Sleep(pause)) => tokio::time::sleep(pause).await,
        None => {}
    }
}

/// Hits a failpoint a moment later: when what was just handed to the socket has left.
#[cfg(debug_assertions)]
pub fn hit_soon(point: Failpoint) {
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        hit(point).await;
    });
}

/// Hits a failpoint a moment later.
#[cfg(not(debug_assertions))]
pub const fn hit_soon(_: Failpoint) {}

/// Blocks every thread of the runtime, this one last.
#[cfg(debug_assertions)]
fn hang() {
    for _ in 0..tokio::runtime::Handle::current().metrics().num_workers() {
        tokio::spawn(async { std::thread::sleep(std::time::Duration::MAX) });
    }
    std::thread::sleep(std::time::Duration::MAX);
}

/// Passes a failpoint.
#[cfg(not(debug_assertions))]
#[expect(clippy::unused_async, reason = "the same signature as in builds where it can wait")]
pub async fn hit(_: Failpoint) {}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;

    use protocol::failpoint::{Armed, VARIABLE};

    pub(super) static TRAPS: LazyLock<Armed> = LazyLock::new(|| {
        #[expect(clippy::disallowed_methods, reason = "failpoints are armed from outside, in tests")]
        let armed = std::env::var(VARIABLE).unwrap_or_default().parse();
        armed.unwrap_or_else(|failure| {
            tracing::error!(%failure, "no failpoint is armed");
            Armed::default()
        })
    });
}
