//! The built program from outside: the daemon as a process, HTTP, WebSocket, the command line, and the real
//! Claude Code program against a scripted model. `tests/run` installs what this needs.

mod harness;

mod agent_killed;
mod answers;
mod command_line;
mod contract;
mod daemon_killed;
mod disk;
mod elsewhere;
mod external;
mod garbage;
mod limit;
mod many;
mod random_kills;
mod security;
mod stream;
mod trust;
mod turn;
