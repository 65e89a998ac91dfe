// What MetaMCP does with its pool, on mcp-server-pool: lists at once, sessions at once, a server that exits, a change of its
// parameters, one that cannot be stopped. Every process is a real one.
//
//   node examples/metamcp/index.js            (in a clone: `npm run build` first; else ../README.md)
//   node examples/metamcp/index.js --stay     keeps the last sessions until Ctrl-C
import { fileURLToPath } from 'node:url';
import { McpServerPool } from './mcp-server-pool.js';

const program = fileURLToPath(new URL('demo-server.js', import.meta.url));
const server = (name, ...args) => ({
  ...{ uuid: `uuid-of-${name}`, name, description: '', type: 'STDIO' },
  ...{ command: process.execPath, args: [program, ...args], env: {} },
});
const files = server('files');
const deaf = server('deaf', '--deaf');

const pool = new McpServerPool({ policyOf: () => ({ eofGrace: 200, termGrace: 500 }) });
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => interrupted.abort(signal));

const get = async (sessionId, params) => {
  interrupted.signal.throwIfAborted();
  const connection = await pool.getSession(sessionId, params.uuid, params);
  if (connection === undefined) throw new Error(`no connection of ${sessionId} to ${params.name}`);
  return connection.client;
};
const pidOf = async (client) => Number((await client.callTool({ name: 'pid', arguments: {} })).content[0].text);
const show = (text) => {
  const { active, idle, activeSessionIds } = pool.getPoolStatus();
  console.log(`${text}\n    ${active} in use, ${idle} spare, sessions: ${activeSessionIds.join(', ') || 'none'}`);
};
/** Polls: the pool starts its spares by itself, after the call that took the last one. */
const until = async (condition) => {
  while (!condition()) {
    interrupted.signal.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
const oneSpare = () => pool.getPoolStatus().idleServerUuids.includes(files.uuid);
const lives = (pid) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

async function main() {
  const lists = await Promise.all(['tools', 'prompts', 'resources'].map(() => get('ann', files)));
  await until(oneSpare);
  show(`Three lists at once of a new session: ${new Set(lists).size} connection.`);

  const others = await Promise.all(['bob', 'eve', 'joe'].map((sessionId) => get(sessionId, files)));
  await until(oneSpare);
  show(`Three more sessions at once: processes ${(await Promise.all(others.map(pidOf))).join(', ')}.`);

  const [before, bobs] = [await pidOf(lists[0]), await pidOf(others[0])];
  await lists[0].callTool({ name: 'exit', arguments: {} }).catch((error) => console.log(`    ${error.message}`));
  const after = await pidOf(await get('ann', files));
  await until(oneSpare);
  show(`The server of ann has exited with code 0: process ${before} → ${after}; that of bob is still ${bobs}.`);

  await pool.invalidateIdleSession(files.uuid, { ...files, env: { MODE: 'changed' } });
  show('The parameters of the server have changed: a new spare, and the sessions keep their processes.');

  const stubborn = await pidOf(await get('ann', deaf));
  await pool.cleanupSession('ann');
  show(
    `ann has left. Process ${stubborn} ignores all requests to end, and ${lives(stubborn) ? 'is being ended' : 'is dead'}.`,
  );
  await until(() => !lives(stubborn));
  console.log('    Now it is dead.');
  if (process.argv.includes('--stay')) {
    show('Ctrl-C ends the rest.');
    await until(() => false);
  }
}

try {
  await main();
} catch (error) {
  if (!interrupted.signal.aborted) throw error;
  process.exitCode = interrupted.signal.reason === 'SIGINT' ? 130 : 143;
} finally {
  await pool.cleanupAll();
  show('All have ended.');
}
