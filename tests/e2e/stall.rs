//! An agent of which nothing is heard: people are told, and may interrupt it.

use crate::harness::{Home, Stage};

#[tokio::test]
async fn a_silent_turn_is_told_of_once_and_goes_on() {
    let mut home = Home::new();
    home.extra.insert("TETHER_AGENT_STALL_SECONDS".into(), "2".into());
    let stage = Stage::with_agents_in(home).await;
    let (id, mut seen) = stage.started("SAY begun\nHOLD middle\nSAY over").await;
    stage.model().held("middle").await;
    let told = seen.next("warning", 0, 20).await;
    assert_eq!(told.data["code"], "STALLED", "{}", told.raw);
    assert!(told.text("message").contains("interrupt it"), "{}", told.raw);
    assert_eq!(stage.api.session(&id).await["state"], "RUNNING");
    stage.model().release("middle").await;
    seen.idle(1, 20).await;
    assert!(seen.said().contains("over"));
    assert_eq!(seen.of("warning").len(), 1);
}
