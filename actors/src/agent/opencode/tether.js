// Laid beside the server by Tether. It marks what a tool starts with the session that it belongs to, so that
// all of it can be found and ended with that session, and keeps the server's password from it. Where projects are
// not trusted, it also keeps their code out: OpenCode 1.18 loads plugins in two places, and
// `OPENCODE_DISABLE_PROJECT_CONFIG` counts in one of them only.
import { readFileSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const SETTINGS = ["opencode.json", "opencode.jsonc", "config.json"];
const LOADERS = { ts: "ts", mts: "ts", cts: "ts", tsx: "tsx", jsx: "jsx", json: "json" };
const projects = new Set();

const read = (file) => {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
};
const base = (variable, rest) => join(process.env[variable] || join(homedir(), rest), "opencode");
const literally = (text) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

// The folders, files and packages from which the person's own settings load code.
const own = (config, cache) => {
  const found = [import.meta.dirname, config, join(homedir(), ".opencode")];
  if (process.env.OPENCODE_CONFIG_DIR) found.push(resolve(process.env.OPENCODE_CONFIG_DIR));
  const files = found.slice(1).flatMap((folder) => SETTINGS.map((name) => join(folder, name)));
  if (process.env.OPENCODE_CONFIG) files.push(resolve(process.env.OPENCODE_CONFIG));
  const patterns = found.map(literally);
  for (const file of files) {
    const text = read(file);
    const lists = [...text.matchAll(/"plugin"\s*:\s*\[([^\]]*)\]/g)].flatMap(([, list]) => [...list.matchAll(/"([^"]+)"/g)]);
    for (const [, name] of [...lists, ...text.matchAll(/"npm"\s*:\s*"([^"]+)"/g)]) {
      if (/^(file:\/\/|~?\/|\.\.?\/)/.test(name)) {
        const path = name.startsWith("file://") ? fileURLToPath(name) : name.replace(/^~(?=\/)/, homedir());
        patterns.push(literally(resolve(dirname(file), path)));
      } else {
        const version = name.indexOf("@", 1);
        const bare = version < 0 ? name : name.slice(0, version);
        patterns.push(`${literally(join(cache, "packages", bare))}(?:@[^/]*)?`);
      }
    }
  }
  return patterns;
};

// Whether a project asks for plugins: then no package is let in that may be one of them.
const asksForPlugins = (config) => {
  for (const project of projects) {
    for (let folder = project; ; folder = dirname(folder)) {
      const files = ["", ".opencode"].flatMap((sub) => SETTINGS.map((name) => join(folder, sub, name)));
      if (folder !== config && files.some((file) => read(file).includes("plugin"))) return true;
      if (folder === dirname(folder)) break;
    }
  }
  return false;
};

const keepProjectsOut = () => {
  const config = base("XDG_CONFIG_HOME", ".config");
  const cache = base("XDG_CACHE_HOME", ".cache");
  const known = own(config, cache).join("|");
  Bun.plugin({
    name: "tether",
    setup: (build) => {
      build.onLoad({ filter: new RegExp(`^(?!\\/\\$bunfs\\/|(?:${known})(?:\\/|$))`) }, ({ path }) => {
        // Packages of providers are loaded when they are needed.
        if (!path.startsWith(`${cache}/`) || asksForPlugins(config)) {
          return { contents: "export default {}", loader: "js" };
        }
        return { contents: read(path), loader: LOADERS[path.split(".").pop()] ?? "js" };
      });
    },
  });
};

if (process.env.OPENCODE_DISABLE_PROJECT_CONFIG) keepProjectsOut();
// Tether looks for it: without this plugin it does not use the server.
writeFileSync(join(import.meta.dirname, "loaded"), "");

export const Tether = async ({ client, directory }) => {
  projects.add(directory);
  const parents = new Map();
  const root = async (id) => {
    for (let depth = 0; depth < 16; depth += 1) {
      if (!parents.has(id)) {
        const found = await client.session.get({ path: { id } });
        parents.set(id, found.data?.parentID ?? null);
      }
      const parent = parents.get(id);
      if (!parent) return id;
      id = parent;
    }
    return id;
  };
  return {
    "shell.env": async (input, output) => {
      output.env.OPENCODE_SERVER_PASSWORD = undefined;
      output.env.OPENCODE_CONFIG_CONTENT = undefined;
      if (!input.sessionID) return;
      output.env.TETHER_RUN = await root(input.sessionID).catch(() => input.sessionID);
    },
  };
};
