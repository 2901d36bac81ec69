//! Setting agents and chat platforms up (`contract`: setup).

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use super::{Client, ClientError, LOOKING};
use crate::api::{AgentDone, AgentSetup, AgentSetups, BridgeDone, BridgeVar, BridgeVars, CredentialsDone};

/// An installation may take two minutes, and wait for another.
const INSTALLING: Duration = Duration::from_secs(300);

impl Client {
    /// What the daemon's machine has of each agent that can be set up.
    pub async fn agent_setups(&self) -> Result<Vec<AgentSetup>, ClientError> {
        let request = self.request(Method::GET, &["api", "setup", "agents"]).timeout(LOOKING);
        Ok(self.call::<AgentSetups>(request).await?.agents)
    }

    /// Installs an agent, or its newest version.
    pub async fn install_agent(&self, name: &str) -> Result<AgentDone, ClientError> {
        let request = self.request(Method::POST, &["api", "setup", "agents", name, "install"]);
        self.call(request.timeout(INSTALLING)).await
    }

    /// Looks whether an agent is there and signed in.
    pub async fn verify_agent(&self, name: &str) -> Result<AgentDone, ClientError> {
        let request = self.request(Method::POST, &["api", "setup", "agents", name, "verify"]);
        self.call(request.timeout(LOOKING)).await
    }

    /// Writes the sign-in of an agent.
    pub async fn sign_agent_in(
        &self,
        name: &str,
        path: &str,
        text: &str,
    ) -> Result<CredentialsDone, ClientError> {
        let request = self.request(Method::POST, &["api", "setup", "agents", name, "credentials"]);
        self.call(request.json(&json!({ "files": { path: text } }))).await
    }

    /// What a chat platform needs.
    pub async fn bridge_vars(&self, name: &str) -> Result<Vec<BridgeVar>, ClientError> {
        let request = self.request(Method::GET, &["api", "setup", "bridge", "vars", name]);
        Ok(self.call::<BridgeVars>(request).await?.vars)
    }

    /// Stores what a chat platform needs.
    pub async fn set_up_bridge(
        &self,
        name: &str,
        env: &BTreeMap<String, String>,
    ) -> Result<BridgeDone, ClientError> {
        let request = self.request(Method::POST, &["api", "setup", "bridge", name]);
        self.call(request.json(&json!({ "env": env }))).await
    }
}
