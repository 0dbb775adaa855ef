//! `basalt users`.

use basalt_api::{NewUser, User, UserChange};
use basalt_model::UserName;

use super::{ago, connect, print_json};
use crate::arguments::{UsersArguments, UsersVerb};
use crate::exit::Exit;
use crate::terminal::{Terminal, one_line};

/// Lists the accounts, makes one, or changes one.
pub async fn users(arguments: &UsersArguments, terminal: Terminal) -> anyhow::Result<Exit> {
    let client = connect(arguments.server.server.as_deref())?;
    let json = arguments.server.json;
    let change = async |name: &str, change: UserChange| {
        client.change_user(&UserName::new(name), &change).await
    };
    let (user, said) = match &arguments.verb {
        None => {
            let users = client.users().await?;
            if json {
                print_json(&terminal, &users)?;
            } else {
                let rows = users.iter().map(row).collect();
                let heads = ["account", "role", "made", ""];
                terminal.write(&crate::columns::columns(&heads, rows, &terminal));
            }
            return Ok(Exit::DONE);
        }
        Some(UsersVerb::Add { name, role }) => {
            let new = NewUser {
                name: UserName::new(name),
                role: *role,
            };
            let user = client.add_user(&new).await?;
            let said = format!(
                "{name} is a new {}; `basalt login-link --user {name}` logs a browser in, `basalt \
                 tokens create NAME --for {name}` makes a token",
                user.role
            );
            (user, said)
        }
        Some(UsersVerb::Role { name, role }) => {
            let wanted = UserChange {
                role: Some(*role),
                disabled: None,
            };
            let user = change(name, wanted).await?;
            let said = format!("{name} has the role {} from now on", user.role);
            (user, said)
        }
        Some(UsersVerb::Disable { name }) => {
            let said = format!(
                "{name} is disabled: its tokens and sessions work no more; `basalt users enable \
                 {name}` takes it back"
            );
            (change(name, disabled(true)).await?, said)
        }
        Some(UsersVerb::Enable { name }) => {
            let said = format!("{name} may be used again");
            (change(name, disabled(false)).await?, said)
        }
    };
    if json {
        print_json(&terminal, &user)?;
    } else {
        terminal.line(&one_line(&said));
    }
    Ok(Exit::DONE)
}

fn disabled(disabled: bool) -> UserChange {
    UserChange {
        role: None,
        disabled: Some(disabled),
    }
}

fn row(user: &User) -> Vec<String> {
    vec![
        user.name.to_string(),
        user.role.to_string(),
        ago(user.created_utc_us),
        if user.disabled { "disabled" } else { "" }.to_owned(),
    ]
}
