//! `tether people`: those who may use the bots of the chat platforms, listed and thrown out.

use tether_actors::bridge::ChatPerson;

use super::args::{PeopleAction, PeopleArgs};
use super::output::{Column, table};
use super::{Context, Failure};

/// Lists them, or throws one out.
pub async fn run(args: &PeopleArgs, mut cx: Context) -> Result<(), Failure> {
    let client = cx.client()?;
    let people = client.chat_people().await?;
    if let Some(PeopleAction::Remove { id, platform }) = &args.action {
        let platform = platform_of(&people, id, platform.as_deref()).map_err(Failure::text)?;
        let removed = client.remove_chat_person(&platform, id).await?;
        if cx.json {
            return cx.out.json(&removed);
        }
        let grants = match removed.grants_ended {
            0 => String::new(),
            1 => ", and a standing permission of theirs ended".to_owned(),
            count => format!(", and {count} standing permissions of theirs ended"),
        };
        return Ok(cx.out.line(format!("Removed {id} from {platform}{grants}"))?);
    }
    if cx.json {
        return cx.out.json(&people);
    }
    if people.is_empty() {
        return Ok(cx.out.line("Nobody may use a bot: `tether pair --chat` lets somebody in.")?);
    }
    for line in lines(&people) {
        cx.out.line(line)?;
    }
    Ok(())
}

/// The platform on which somebody is.
fn platform_of(people: &[ChatPerson], id: &str, said: Option<&str>) -> Result<String, String> {
    if let Some(said) = said {
        return Ok(said.to_owned());
    }
    let found: Vec<_> = people.iter().filter(|person| person.id == id).collect();
    match found.as_slice() {
        [only] => Ok(only.platform.clone()),
        [] => Err(format!("nobody has the id {id}: `tether people` lists them")),
        _ => Err(format!("{id} is on several platforms: say which with --platform")),
    }
}

fn lines(people: &[ChatPerson]) -> Vec<String> {
    let columns = [Column("PLATFORM", 8), Column("ID", 20), Column("NAME", 24), Column("LET IN BY", 12)];
    let rows: Vec<Vec<String>> = people
        .iter()
        .map(|person| {
            let by = if person.paired { "a code" } else { "the settings" };
            let name = person.name.clone().unwrap_or_else(|| "-".to_owned());
            vec![person.platform.clone(), person.id.clone(), name, by.to_owned()]
        })
        .collect();
    table(&columns, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(platform: &str, id: &str, paired: bool) -> ChatPerson {
        ChatPerson { platform: platform.into(), id: id.into(), name: Some("Ann".into()), paired }
    }

    #[test]
    fn the_platform_of_an_id_is_known_if_there_is_only_one() {
        let people =
            [person("telegram", "1", true), person("discord", "1", false), person("slack", "U2", true)];
        assert_eq!(platform_of(&people, "U2", None).as_deref(), Ok("slack"));
        assert!(platform_of(&people, "1", None).is_err());
        assert_eq!(platform_of(&people, "1", Some("discord")).as_deref(), Ok("discord"));
        assert!(platform_of(&people, "3", None).is_err());
    }

    #[test]
    fn the_list_says_who_was_let_in_how() {
        let lines = lines(&[person("telegram", "1", true), person("slack", "U2", false)]).join("\n");
        assert!(
            lines.contains("a code") && lines.contains("the settings") && lines.contains("Ann"),
            "{lines}"
        );
    }
}
