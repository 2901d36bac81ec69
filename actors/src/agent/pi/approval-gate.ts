// Tether's part inside the Pi coding agent: every tool call waits for Tether's word.
//
// Loaded by `pi --mode rpc -e approval-gate.ts`; verified with Pi 0.73.1. Pi itself has no approvals: a
// handler of `tool_call` holds the tool as long as its promise is pending, and may refuse it.
//
// Asking. A call shows up on stdout as
//   {"type":"extension_ui_request","id":ID,"method":"input","title":"tether.approval/1","placeholder":REQUEST}
// with REQUEST, JSON in a text: {"toolCallId","toolName","input","cwd"}. It waits for
//   {"type":"extension_ui_response","id":ID,"value":ANSWER}
// with ANSWER, JSON in a text:
//   {"decision":"allow"}                   run it as it was asked
//   {"decision":"allow","input":{...}}     run it with these arguments instead
//   {"decision":"deny","reason":"..."}     refuse; the model reads the reason and goes on
// A question of the model's (tool `ask_user`) has the title "tether.question/1", the request
// {"toolCallId","question","options":[{"label","description"}],"multiple"} and the answers
// {"answers":["..."]} and {"reason":"..."}.
// It fails closed: a cancelled dialog, an abort, and an answer that it cannot read all refuse the call. It has
// no rules of its own: what is allowed without asking is decided by Tether.
//
// Telling. Lines of the form {"type":"extension_ui_request","method":"setStatus","statusKey":"tether",
// "statusText":NEWS} with NEWS, JSON in a text:
//   {"gate":1,"cwd":"...","fault":null|"..."}   once at the start; with a fault every call is refused
//   {"input":ID,"known":true|false}             a prompt came; a known one is not taken again
//   {"rest":true}                               behind `agent_end` and what Pi adds to it
//   {"model":"provider/id"}, {"refused":"..."}  what became of `/tether-model`
//
// Prompts begin with a line `tether-input:"ID"`, which is taken off. The same id is taken once in the life of
// the program, so that a prompt may be sent twice when it is not known whether it arrived.
//
// Environment: TETHER_PI_TRUSTED=1: what the project brings along counts. TETHER_PI_PLANNING=1: begin in
// planning, in which nothing but looking is possible.

import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const APPROVAL = "tether.approval/1";
const QUESTION = "tether.question/1";
const STATUS = "tether";
const INPUT = /^tether-input:("(?:[^"\\]|\\.)*")\n/;
const TRUSTED = process.env.TETHER_PI_TRUSTED === "1";
const LOOKING = new Set(["read", "grep", "find", "ls", "ask_user"]);
// See project-guard.cjs.
const GUARDED = (globalThis as any)[Symbol.for("tether.pi.guard")] === true;
const AGENT_DIR = process.env.PI_CODING_AGENT_DIR?.replace(/^~(?=$|\/)/, homedir()) || join(homedir(), ".pi", "agent");

const PLANNING_NOTE =
	"\n\nYou are in planning mode: look around and propose a plan. Every tool that could change something is refused until the user ends this mode.";

type Answer = { decision?: string; reason?: string; input?: Record<string, unknown> };

// What was approved is what runs: handlers of extensions loaded after this one may otherwise change the
// arguments. Writing to a frozen object throws in a module, and a handler that throws refuses the call.
function freeze(value: any) {
	if (value && typeof value === "object" && !Object.isFrozen(value)) {
		Object.freeze(value);
		Object.values(value).forEach(freeze);
	}
}

function replace(input: any, by: any) {
	for (const key of Object.keys(input)) delete input[key];
	Object.assign(input, by);
}

// What the project brings along although it is not trusted, and nothing keeps away from Pi.
function brought(cwd: string): string | undefined {
	if (TRUSTED || GUARDED) return undefined;
	return ["settings.json", "SYSTEM.md", "APPEND_SYSTEM.md"].map((name) => join(cwd, ".pi", name)).find((path) => existsSync(path));
}

export default function (pi: any) {
	let planning = process.env.TETHER_PI_PLANNING === "1";
	// Until the start was seen, nothing runs.
	let fault: string | undefined = "the session has not begun";
	const taken = new Set<string>();

	const tell = (ctx: any, news: unknown) => ctx.ui.setStatus(STATUS, JSON.stringify(news));

	pi.on("session_start", (_event: any, ctx: any) => {
		const file = brought(ctx.cwd);
		fault = file && `this installation of Pi cannot be kept from using ${file}: trust the directory, or remove the file`;
		tell(ctx, { gate: 1, cwd: ctx.cwd, fault: fault ?? null });
	});

	pi.on("tool_call", async (event: any, ctx: any) => {
		if (fault) return { block: true, reason: `Refused: ${fault}.` };
		if (!ctx.hasUI) return { block: true, reason: "Refused: nobody can approve a tool call in this mode." };
		if (planning && !LOOKING.has(event.toolName)) {
			return { block: true, reason: "Refused: the user wants a plan first. Change nothing, and say what you would do." };
		}
		// It asks the person itself.
		if (event.toolName === "ask_user") return;

		// The text that the person sees and the arguments that run are made of one copy.
		const input = structuredClone(event.input);
		const request = { toolCallId: event.toolCallId, toolName: event.toolName, input, cwd: ctx.cwd };
		// input(), not editor(): input() takes the abort signal, editor() would wait for ever.
		const text = await ctx.ui.input(APPROVAL, JSON.stringify(request), { signal: ctx.signal });
		if (text === undefined) return { block: true, reason: "Refused: the approval was cancelled." };
		let answer: Answer | null;
		try {
			answer = JSON.parse(text);
		} catch {
			return { block: true, reason: "Refused: the answer could not be read." };
		}
		if (answer?.decision !== "allow") return { block: true, reason: answer?.reason || "Refused by the user." };
		const changed = answer.input;
		if (changed !== undefined && (changed === null || typeof changed !== "object" || Array.isArray(changed))) {
			return { block: true, reason: "Refused: the changed arguments are no object." };
		}
		replace(event.input, changed ?? input);
		freeze(event.input);
	});

	pi.on("input", (event: any, ctx: any) => {
		const line = INPUT.exec(event.text);
		if (!line) return;
		const id = JSON.parse(line[1]);
		const known = taken.has(id);
		taken.add(id);
		tell(ctx, { input: id, known });
		if (known) return { action: "handled" };
		return { action: "transform", text: event.text.slice(line[0].length), images: event.images };
	});

	// `agent_end` is not always the end: a retry or a compaction may follow in the same breath. This comes after it.
	pi.on("agent_end", (_event: any, ctx: any) => {
		setTimeout(() => tell(ctx, { rest: true }), 0);
	});

	// The person's own skills, templates and instructions, which the switches against those of the project
	// take away too.
	pi.on("resources_discover", () => {
		if (TRUSTED) return;
		const own = (name: string) => [join(AGENT_DIR, name)].filter((path) => existsSync(path));
		return { skillPaths: own("skills"), promptPaths: own("prompts") };
	});

	pi.on("before_agent_start", (event: any) => {
		let added = planning ? PLANNING_NOTE : "";
		if (!TRUSTED) {
			const path = ["AGENTS.md", "CLAUDE.md"].map((name) => join(AGENT_DIR, name)).find((path) => existsSync(path));
			if (path) added += `\n\n# The user's own instructions\n\n## ${path}\n\n${readFileSync(path, "utf8")}`;
		}
		return added ? { systemPrompt: event.systemPrompt + added } : undefined;
	});

	pi.registerCommand("tether-planning", {
		description: "Used by Tether: plan only (on), or work (off)",
		handler: async (args: string) => {
			planning = args.trim() === "on";
		},
	});

	pi.registerCommand("tether-model", {
		description: "Used by Tether: use another model",
		handler: async (args: string, ctx: any) => {
			const wanted = args.trim();
			const known = await ctx.modelRegistry.getAvailable();
			const model =
				known.find((model: any) => `${model.provider}/${model.id}` === wanted) ??
				known.find((model: any) => model.id === wanted) ??
				known.find((model: any) => model.name === wanted);
			if (model && (await pi.setModel(model))) return tell(ctx, { model: `${model.provider}/${model.id}` });
			tell(ctx, { refused: `there is no model ${JSON.stringify(wanted)} that Pi can use` });
		},
	});

	pi.registerCommand("tether-end", {
		description: "Used by Tether: end the program",
		handler: async (_args: string, ctx: any) => ctx.shutdown(),
	});

	// Pi has no question tool. This one lets the model ask.
	pi.registerTool({
		name: "ask_user",
		label: "Ask the user",
		description: "Ask the user one question and wait for the answer. Give options when the answer is a choice; the user may always answer in other words.",
		parameters: {
			type: "object",
			properties: {
				question: { type: "string", description: "The question" },
				options: { type: "array", items: { type: "string" }, description: "Choices, if any" },
				multiple: { type: "boolean", description: "Whether several may be chosen" },
			},
			required: ["question"],
		},
		async execute(id: string, params: any, signal: any, _onUpdate: any, ctx: any) {
			const options = (params.options ?? []).map((label: string) => ({ label, description: "" }));
			const request = { toolCallId: id, question: params.question, options, multiple: params.multiple === true };
			const text = await ctx.ui.input(QUESTION, JSON.stringify(request), { signal });
			let answer: { answers?: string[]; reason?: string } = {};
			try {
				answer = JSON.parse(text ?? "{}") ?? {};
			} catch {
				// An answer that cannot be read is none.
			}
			const said = answer.answers?.length
				? `The user answered: ${answer.answers.join(", ")}`
				: `The user did not answer${answer.reason ? `: ${answer.reason}` : "."}`;
			return { content: [{ type: "text", text: said }], details: { answers: answer.answers } };
		},
	});
}
