//! The two streams of a process actor: what the agent is told, and what it says.

use std::time::Duration;

use actix::{Addr, Message};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::messages::TellError;
use super::process::AgentProcess;
use super::program::{Exit, Program};
use super::protocol::Outgoing;
use super::spool::{Line, Spool, SpoolReader, SpoolWriter, WriteError};
use crate::fault;

/// How much of the spool is read in one go.
const READ_BYTES: usize = 256 * 1024;
/// After the program's end its output is read for so long without news (a descendant may hold the file).
const DRAIN: Duration = Duration::from_millis(250);
/// How often old error output is given up, so that it does not grow without bound.
const TRIM_EVERY: Duration = Duration::from_secs(60);

/// Told when the lines are with the agent, or cannot be.
pub(super) type Written = oneshot::Sender<Result<(), TellError>>;

/// Writes what is queued, in order. Ends with whether the agent stopped reading.
pub(super) async fn write_loop(
    mut writer: SpoolWriter,
    mut queue: mpsc::Receiver<(Vec<Outgoing>, Written)>,
) -> bool {
    while let Some((lines, written)) = queue.recv().await {
        let mut result = Ok(());
        for Outgoing { line } in lines {
            fault::point("agent.before_send");
            result = writer.write_line(&line).await;
            fault::point("agent.after_send");
            if result.is_err() {
                break;
            }
        }
        let stuck = matches!(result, Err(WriteError::Stuck { .. }));
        if let Err(error) = &result {
            warn!(%error, "a line did not reach the agent");
        }
        let _ = written.send(result.map_err(|_| TellError::Gone));
        if stuck {
            return true;
        }
    }
    false
}

/// Reads what the program says until it is gone and all is read.
pub(super) async fn read_loop(
    mut reader: SpoolReader,
    mut program: Option<Program>,
    spool: Spool,
    process: Addr<AgentProcess>,
) {
    let mut exit: Option<(Exit, Instant)> = None;
    let mut trimmed = Instant::now();
    if program.is_none() {
        exit = Some((Exit::default(), Instant::now()));
    }
    loop {
        let lines = match reader.next_lines(READ_BYTES).await {
            Ok(lines) => lines,
            Err(error) => {
                warn!(%error, "the agent's output cannot be read");
                let _ = process.send(SpoolBroken { message: error.to_string() }).await;
                return;
            }
        };
        if !lines.is_empty() {
            if let Some((_, quiet_since)) = &mut exit {
                *quiet_since = Instant::now();
            }
            match process.send(LinesRead(lines)).await {
                Ok(upto) => reader.consumed(upto),
                Err(_) => return,
            }
            continue;
        }
        match &exit {
            None => {
                if process.send(ReadToEnd).await.is_err() {
                    return;
                }
                if trimmed.elapsed() >= TRIM_EVERY {
                    trimmed = Instant::now();
                    if let Err(error) = spool.trim_stderr() {
                        debug!(%error, "the agent's error output was not trimmed");
                    }
                }
                let Some(running) = &mut program else { return };
                tokio::select! {
                    () = reader.changed() => {}
                    ended = running.ended() => exit = Some((ended, Instant::now())),
                }
            }
            Some((ended, quiet_since)) => {
                if quiet_since.elapsed() < DRAIN && program.is_some() {
                    let _ = tokio::time::timeout(DRAIN - quiet_since.elapsed(), reader.changed()).await;
                    continue;
                }
                let gone = ProgramGone { exit: *ended, stderr: spool.stderr_tail() };
                let _ = process.send(gone).await;
                return;
            }
        }
    }
}

/// Lines were read. Answered with the recorded read position, once there is room for more.
#[derive(Message)]
#[rtype(result = "u64")]
pub(super) struct LinesRead(pub Vec<Line>);

/// The reader has seen all there is for now.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ReadToEnd;

/// The program ended and all it said was read.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct ProgramGone {
    pub exit: Exit,
    pub stderr: Vec<String>,
}

/// The spool cannot be read: the program must be replaced.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct SpoolBroken {
    pub message: String,
}
