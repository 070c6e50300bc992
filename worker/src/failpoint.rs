//! Acts at failpoints, in builds with debug assertions only; in others a hit is nothing.

use protocol::failpoint::Failpoint;

/// Passes a failpoint: goes on, later, or never.
#[cfg(debug_assertions)]
pub(crate) async fn hit(point: Failpoint) {
    use protocol::failpoint::Action;
    match armed::TRAPS.hit(point) {
        Some(Action::Abort) => std::process::abort(),
        Some(Action::Hang) => hang(),
        Some(Action::Sleep(pause)) => tokio::time::sleep(pause).await,
        None => {}
    }
}

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
pub(crate) async fn hit(_: Failpoint) {}

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
