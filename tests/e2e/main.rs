//! The built program from outside: the daemon as a process, HTTP, WebSocket, the command line, and the real
//! Claude Code program against a scripted model. `tests/run` installs what this needs.

mod harness;

mod acp;
mod agent_killed;
mod answers;
mod chats;
mod codex;
mod command_line;
mod contract;
mod daemon_killed;
mod demo_agent;
mod discord;
mod discord_faults;
mod disk;
mod elsewhere;
mod elsewhere_others;
mod examples;
mod export;
mod external;
mod garbage;
mod git;
mod installed;
mod limit;
mod many;
mod mcp;
mod model_agent;
mod opencode;
mod own_agents;
mod pairing;
mod pi;
mod random_kills;
mod render;
mod security;
mod slack;
mod slack_faults;
mod stall;
mod steering;
mod stream;
mod telegram;
mod telegram_faults;
mod together;
mod trust;
mod turn;
