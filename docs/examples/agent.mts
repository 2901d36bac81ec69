// An agent of your own, by REST, in TypeScript with nothing but what Node brings.
//
//     TETHER_AGENT_TOKEN=... node agent.mts        (Node 22.18 or newer runs it as it is)
//
// It makes a session, tells what it does, asks before it deploys, waits for the answer, hears what the person says,
// and ends its turn. Everything that it sends carries a key, so that sending it again changes nothing: that is how it
// gets over a connection that breaks, or a daemon that is restarted.
import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";

const url = (process.env.TETHER_API_URL ?? "http://127.0.0.1:8787").replace(/\/$/, "");
const token = process.env.TETHER_AGENT_TOKEN ?? "";

interface Output { type: "output"; data: { text: string; is_final?: boolean } }
interface Status { type: "status"; data: { status: "running" | "awaiting_input" | "done" | "error" } }
interface Request { type: "permission_request"; data: { request_id: string; tool_name: string; tool_input: object } }
type Told = Output | Status | Request;

interface UserInput { type: "user_input"; seq: number; data: { text: string } }
interface Resolved { type: "permission_resolved"; seq: number; data: { request_id: string; allowed: boolean; message: string | null } }
type Heard = UserInput | Resolved;

/** One request, sent again until the daemon answers it (for at most a minute). */
async function call<T>(method: "GET" | "POST", path: string, body?: object, wait = 0): Promise<T> {
    const headers: Record<string, string> = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    if (method === "POST") headers["Idempotency-Key"] = randomUUID();
    const deadline = Date.now() + (60 + wait) * 1000;
    for (;;) {
        let trouble: string;
        try {
            const signal = AbortSignal.timeout((wait + 20) * 1000);
            const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body), signal });
            if (answer.ok) return (await answer.json()) as T;
            trouble = `${answer.status} ${await answer.text()}`;
            if (answer.status !== 503) throw new Error(`${method} ${path}: ${trouble}`, { cause: "refused" });
        } catch (error) {
            if (error instanceof Error && error.cause === "refused") throw error;
            trouble = String(error);
        }
        if (Date.now() > deadline) throw new Error(`${method} ${path}: ${trouble}`);
        await pause(1000);
    }
}

class Session {
    readonly id: string;
    seen = 0;

    constructor(id: string) {
        this.id = id;
    }

    static async make(name: string): Promise<Session> {
        const body = { agent_name: "example.mts", agent_type: "script", session_name: name };
        return new Session((await call<{ id: string }>("POST", "/api/sessions", body)).id);
    }

    /** Several events at once. */
    async tell(...events: Told[]): Promise<void> {
        await call("POST", `/api/sessions/${this.id}/events/batch`, { events });
    }

    /** The next thing that the person said or answered; waits for it. */
    async hear(): Promise<Heard> {
        for (;;) {
            const query = `since_seq=${this.seen}&types=user_input,permission_resolved&wait_s=30`;
            const path = `/api/sessions/${this.id}/events/poll?${query}`;
            const [event] = (await call<{ events: Heard[] }>("GET", path, undefined, 30)).events;
            if (!event) continue;
            this.seen = event.seq;
            return event;
        }
    }

    /** Whether the person allows it, and what they say. Nothing but an answer that says so is a yes. */
    async ask(what: string, details: object): Promise<{ allowed: boolean; message: string | null }> {
        const request = randomUUID();
        await this.tell({ type: "permission_request", data: { request_id: request, tool_name: what, tool_input: details } });
        for (;;) {
            const event = await this.hear();
            if (event.type === "permission_resolved" && event.data.request_id === request) {
                return { allowed: event.data.allowed === true, message: event.data.message };
            }
        }
    }
}

const session = await Session.make("Deploy (TypeScript)");
console.log(session.id);
await session.tell(
    { type: "output", data: { text: "The build is done." } },
    { type: "output", data: { text: "It wants to be deployed." } },
);
const { allowed, message } = await session.ask("deploy", { to: "production" });
const verdict = allowed ? "Deployed." : `Not deployed: ${message ?? "no reason given"}`;
await session.tell({ type: "output", data: { text: verdict, is_final: true } }, { type: "status", data: { status: "done" } });

let event = await session.hear();
while (event.type !== "user_input") event = await session.hear();
await session.tell(
    { type: "output", data: { text: `You said: ${event.data.text}`, is_final: true } },
    { type: "status", data: { status: "done" } },
);
