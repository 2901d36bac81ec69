//! Tokens and money.

use serde::{Deserialize, Serialize};

/// What a session has used so far, as `GET /api/sessions/{id}/usage` gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Usage {
    /// Tokens read by models.
    pub input_tokens: u64,
    /// Tokens written by models.
    pub output_tokens: u64,
    /// US dollars.
    pub total_cost_usd: f64,
}

impl Usage {
    /// Adds one turn's share.
    pub fn add(&mut self, turn: Usage) {
        self.input_tokens = self.input_tokens.saturating_add(turn.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(turn.output_tokens);
        self.total_cost_usd += turn.total_cost_usd;
    }

    /// The same, with the cost rounded to four places as the contract shows it.
    pub fn rounded(self) -> Self {
        Self { total_cost_usd: (self.total_cost_usd * 10_000.0).round() / 10_000.0, ..self }
    }
}
