//! What goes wrong in the demo, on purpose.

use anyhow::Context;
use async_nats::jetstream;
use protocol::id::{Namespace, ResourceId, WorkspaceId};
use protocol::message::lane::Lane;
use protocol::message::subject::CommandSubject;
use protocol::scim::resource_type::ResourceType;
use rustix::process::{Pid, Signal, kill_process};
use uuid::Uuid;

use crate::dev::processes::{ProcessTable, Role};

/// Appends messages to the log that no worker can decode.
pub(super) async fn break_messages(
    nats_url: &str,
    namespace: &Namespace,
    workspace: &WorkspaceId,
    count: usize,
) -> anyhow::Result<()> {
    let client = async_nats::connect(nats_url).await.context("connecting to the broker")?;
    let context = jetstream::new(client);
    for number in 0..count {
        let resource = ResourceId(Uuid::from_bytes(rand::random()));
        let (workspace, resource_type) = (workspace.clone(), ResourceType::User);
        let subject = CommandSubject { lane: Lane::Interactive, workspace, resource_type, resource };
        let payload = format!("this is broken message {number}");
        let acknowledgement = context.publish(subject.in_namespace(namespace), payload.into()).await?;
        acknowledgement.await.context("appending to the log")?;
    }
    Ok(())
}

/// Ends a worker with SIGKILL, as a crash or the kernel would.
pub(super) fn kill_worker(processes: &ProcessTable) {
    let worker = processes.processes().into_iter().find(|process| process.role == Role::Worker);
    let Some(worker) = worker else { return };
    if let Some(pid) = i32::try_from(worker.pid).ok().and_then(Pid::from_raw)
        && kill_process(pid, Signal::KILL).is_ok()
    {
        crate::say(&format!("  killed {} (pid {}) with SIGKILL", worker.name, worker.pid));
    }
}
