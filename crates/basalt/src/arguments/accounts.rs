//! The verbs about accounts and their tokens: what they take, and their help.

use std::path::PathBuf;

use basalt_model::Role;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};

use super::ServerArgument;

/// List tokens, make one for CI, or end one
///
/// A token is a password for programs: whoever has it may do what its account may. Its secret is
/// shown once and kept nowhere on the server. CI gets it as BASALT_TOKEN, beside BASALT_SERVER.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt tokens
  basalt tokens create ci --for ann --token-file ci.token
  basalt tokens revoke 7

Exit codes: 0 done, 64 refused, 69 the server cannot be reached.")]
pub struct TokensArguments {
    #[command(subcommand)]
    pub verb: Option<TokensVerb>,
    /// Whose are listed; administrators only [default: your own]
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    #[command(flatten)]
    pub server: ServerArgument,
}

#[derive(Debug, Subcommand)]
pub enum TokensVerb {
    /// Make a token
    #[command(after_help = "\
Examples:
  basalt tokens create ci --token-file ci.token
  basalt tokens create 'ci of the kernel' --for ann > ci.token

Exit codes: 0 made; 64 refused, or the file is there already; 69 the server cannot be reached.")]
    Create {
        /// What to call it: what it is for
        name: String,
        /// Whose it is; administrators only [default: your own]
        #[arg(long = "for", value_name = "USER")]
        owner: Option<String>,
        /// Write its secret to this new file, readable by its owner only [default: standard output]
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
    },
    /// End a token, at once and for good
    #[command(after_help = "\
Example:
  basalt tokens revoke 7

Exit codes: 0 it has ended, 64 refused, 69 the server cannot be reached.")]
    Revoke {
        /// Its number; `basalt tokens` shows them
        #[arg(value_name = "ID")]
        token: i64,
    },
}

/// List accounts, make one, or change one
///
/// An `administrator` may do everything; a `user` submits jobs, sees everything and ends his own.
/// Accounts have no passwords: a browser is let in by `basalt login-link`, a program by a token.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  basalt users
  basalt users add ann
  basalt users role ann administrator
  basalt users disable ann

Exit codes: 0 done, 64 refused, 69 the server cannot be reached.")]
pub struct UsersArguments {
    #[command(subcommand)]
    pub verb: Option<UsersVerb>,
    #[command(flatten)]
    pub server: ServerArgument,
}

#[derive(Debug, Subcommand)]
pub enum UsersVerb {
    /// Make an account
    #[command(after_help = "\
Examples:
  basalt users add ann
  basalt users add bob --role administrator")]
    Add {
        /// Its name: 1 to 64 of a-z, 0-9, `.`, `_` and `-`, beginning with a letter or digit
        name: String,
        /// What it may do
        #[arg(long, value_name = "ROLE", default_value = "user", value_parser = words!(Role))]
        role: Role,
    },
    /// Change what an account may do
    #[command(after_help = "\
Example:
  basalt users role ann administrator")]
    Role {
        /// Its name
        name: String,
        /// What it may do from now on
        #[arg(value_parser = words!(Role))]
        role: Role,
    },
    /// Take an account out of use; its tokens and sessions end at once
    #[command(after_help = "\
Example:
  basalt users disable ann")]
    Disable {
        /// Its name
        name: String,
    },
    /// Take an account back into use
    #[command(after_help = "\
Example:
  basalt users enable ann")]
    Enable {
        /// Its name
        name: String,
    },
}
