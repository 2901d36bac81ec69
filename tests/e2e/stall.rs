//! An agent of which nothing is heard: people are told, and may interrupt it.

use std::time::Duration;

use crate::harness::{Home, Stage, Transcript};

#[tokio::test]
async fn a_silent_turn_is_told_of_once_and_goes_on() {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_STALL_SECONDS".into(), "1".into());
    let stage = Stage::with_agents_in(home).await;
    let (id, mut seen) = stage.started("SAY begun\nHOLD middle\nSAY over").await;
    stage.model().held("middle").await;
    seen.says("begun", 20).await;
    let begun = said_at(&seen, "begun");
    let told = seen.next("warning", begun, 20).await;
    assert_eq!(told.data["code"], "STALLED", "{}", told.raw);
    assert!(told.text("message").contains("interrupt it"), "{}", told.raw);
    assert_eq!(stage.api.session(&id).await["state"], "RUNNING");
    // Long enough to be told of twice more.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    stage.model().release("middle").await;
    seen.idle(1, 20).await;
    assert!(seen.said().contains("over"));
    // A busy machine makes an agent silent at other times as well.
    let silence = begun..said_at(&seen, "over");
    let told = seen.of("warning").iter().filter(|warning| silence.contains(&warning.seq)).count();
    assert_eq!(told, 1);
}

/// The number of the event in which the agent said this.
fn said_at(seen: &Transcript, words: &str) -> u64 {
    seen.of("output").iter().find(|event| event.raw.contains(words)).expect("it was said").seq
}
