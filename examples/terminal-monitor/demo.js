import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('./demo-server.js', import.meta.url));
const demo = (...args) => ({ command: process.execPath, args: [program, ...args] });

/** The servers of the examples, in the shape of an `mcpServers` configuration. */
export const servers = {
  search: { ...demo('--work=20'), sharing: 'shared', minIdle: 1 },
  files: { ...demo('--memory=60'), maxInstances: 2 },
  notes: { ...demo(), label: 'メモ帳' },
};

/** Starts one instance of each server. */
export async function startAll(pool) {
  await Promise.all(Object.keys(servers).map((name) => pool.warm(name)));
}

/** Clients that come and go, so that there is something to see: each holds a server for some seconds. */
export function startTraffic(pool) {
  const names = Object.keys(servers);
  const visit = async (name) => {
    const lease = await pool.getServer(name, { timeout: 5_000 });
    setTimeout(() => lease.release(), 500 + Math.random() * 4_000).unref();
  };
  let visits = 0;
  const timer = setInterval(() => {
    visits += 1;
    // A demo: a client that gets no server in time, or comes while the pool is shut down, goes.
    visit(names[visits % names.length]).catch(() => {});
  }, 700);
  return () => clearInterval(timer);
}
