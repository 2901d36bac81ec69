// The official MCP client, driven by lines of JSON on standard input: what a test wants done comes in, what the client
// heard goes out. Usage: client.js stdio COMMAND [ARG...] | client.js http URL TOKEN
import { createInterface } from "node:readline";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const [kind, target, ...rest] = process.argv.slice(2);
const transport =
    kind === "stdio"
        ? new StdioClientTransport({ command: target, args: rest, env: process.env, stderr: "inherit" })
        : new StreamableHTTPClientTransport(new URL(target), {
              requestInit: { headers: { Authorization: `Bearer ${rest[0]}` } },
          });
const client = new Client({ name: "tether-tests", version: "1.0.0" });
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const running = new Map();

async function perform({ id, op, name, args, uri, timeout }) {
    switch (op) {
        case "tools":
            return client.listTools();
        case "resources":
            return client.listResources();
        case "templates":
            return client.listResourceTemplates();
        case "read":
            return client.readResource({ uri });
        case "call": {
            const controller = new AbortController();
            running.set(id, controller);
            const options = {
                signal: controller.signal,
                timeout: timeout ?? 120_000,
                onprogress: (progress) => say({ id, progress }),
            };
            return client.callTool({ name, arguments: args }, undefined, options).finally(() => running.delete(id));
        }
        default:
            throw new Error(`no such thing: ${op}`);
    }
}

await client.connect(transport);
say({ ready: { server: client.getServerVersion(), capabilities: client.getServerCapabilities() } });
for await (const line of createInterface({ input: process.stdin })) {
    const wanted = JSON.parse(line);
    if (wanted.op === "cancel") {
        running.get(wanted.id)?.abort("the test changed its mind");
        continue;
    }
    perform(wanted).then(
        (result) => say({ id: wanted.id, result }),
        (error) => say({ id: wanted.id, error: String(error) }),
    );
}
// As a client that ends in good order: over HTTP the server forgets the session.
if (kind === "http") await transport.terminateSession().catch(() => {});
await client.close();
