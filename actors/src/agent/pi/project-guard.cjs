// Keeps a project's own settings away from the Pi coding agent, in a directory that the person does not trust.
//
// Pi (0.73.1) has switches against a project's extensions, skills, prompts and AGENTS.md, but none against
// `.pi/settings.json`, whose `shellCommandPrefix` and `shellPath` change what an approved command runs, and whose
// `npmCommand` may run at the start; nor against `.pi/SYSTEM.md` and `.pi/APPEND_SYSTEM.md`. Pi looks whether
// these files exist before it reads them; loaded by node before Pi (`NODE_OPTIONS=--require`), this says no.
// Where it is not loaded (Pi as one binary), approval-gate.ts notices and refuses.

const fs = require("node:fs");
const { homedir } = require("node:os");
const { basename, dirname, join, resolve } = require("node:path");
const { syncBuiltinESMExports } = require("node:module");

// What the agent's tools start shall not load this.
if (process.env.TETHER_PI_NODE_OPTIONS) process.env.NODE_OPTIONS = process.env.TETHER_PI_NODE_OPTIONS;
else delete process.env.NODE_OPTIONS;
delete process.env.TETHER_PI_NODE_OPTIONS;

const NAMES = new Set(["settings.json", "SYSTEM.md", "APPEND_SYSTEM.md"]);
const own = process.env.PI_CODING_AGENT_DIR?.replace(/^~(?=$|\/)/, homedir());
const OWN = own ? resolve(own) : join(homedir(), ".pi", "agent");

function isOfAProject(path) {
	if (typeof path !== "string" || !NAMES.has(basename(path))) return false;
	const folder = dirname(resolve(path));
	return basename(folder) === ".pi" && folder !== OWN;
}

const { existsSync } = fs;
fs.existsSync = (path) => !isOfAProject(path) && existsSync(path);
syncBuiltinESMExports();
globalThis[Symbol.for("tether.pi.guard")] = true;
