//! The built program from outside: the daemon as a process, HTTP, WebSocket, the command line, and the real
//! Claude Code program against a scripted model. `tests/run` installs what this needs.

mod harness;

mod agent_killed;
mod answers;
mod command_line;
mod contract;
mod daemon_killed;
mod disk;
mod export;
mod external;
mod garbage;
mod many;
mod pairing;
mod random_kills;
mod render;
mod security;
mod stream;
mod turn;
