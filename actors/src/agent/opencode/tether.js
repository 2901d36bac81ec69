// Laid beside the server by Tether. It marks what a tool starts with the session that it belongs to, so that
// all of it can be found and ended with that session, and keeps the server's password from it.
export const Tether = async ({ client }) => {
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
