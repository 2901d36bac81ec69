//! `tether deny`: say no, with a reason if there is one.

use tether_actors::domain::approval::Answer;

use super::args::DenyArgs;
use super::{Context, Failure, output, resolve};

/// Denies.
pub async fn run(args: &DenyArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let approval = resolve::approval(&client, &args.approval).await?;
    let message = Some(args.reason.join(" ")).filter(|reason| !reason.trim().is_empty());
    let after = client.answer(approval.id.as_str(), &Answer::Deny { message }).await?;
    if cx.json {
        return cx.out.json(&after);
    }
    Ok(cx.out.line(format!("Denied {}: {}", after.id, output::one_line(&after.title)))?)
}
