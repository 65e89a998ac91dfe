// A shared server is killed under a live session: until it answers again, against starting it by hand.
import { MCPServerPool } from '../../dist/index.js';
import {
  ask,
  bareStart,
  beginSession,
  benchmark,
  differenceRow,
  everythingServer,
  takeTurns,
  timed,
} from './harness.js';
import { echoServer } from './transports.js';

/** The echo server, which has no tools, with a list of them: it looks its methods up in an object. */
const tinyServer = {
  command: process.execPath,
  args: [
    '--input-type=module',
    '-e',
    `Object.prototype['tools/list'] = () => ({ tools: [] }); await import(${JSON.stringify(`file://${echoServer.args[0]}`)});`,
  ],
};

await benchmark('crash recovery: a shared server is killed', async (report) => {
  await compare(report, { what: 'server-everything killed', server: everythingServer, rounds: 41, seconds: 24 });
  await compare(report, { what: 'small server killed', server: tinyServer, rounds: 61, seconds: 10 });
});

async function compare(report, { what, server, ...options }) {
  // By itself a server that fails again within 10 s waits longer each time.
  const restart = { stableAfter: 0, maxRestarts: Infinity };
  const pool = new MCPServerPool({ ...server, sharing: 'shared', maxInstances: 1, restart });
  const lease = await pool.getServer();
  await beginSession(lease.transport);
  let id = 2;
  const killed = async () => {
    const { pid } = lease;
    const time = await timed(() => {
      process.kill(pid, 'SIGKILL');
      return ask(lease.transport, ++id, 'tools/list');
    });
    if (lease.pid === pid) throw new Error('the process that was killed has answered');
    return time;
  };
  const times = await takeTurns({ killed, start: () => bareStart(server) }, { warmUp: 2, ...options });
  report(
    differenceRow({
      what: `${what}, to the next answer, time on top`,
      peer: 'its own start',
      ours: times.killed,
      theirs: times.start,
      target: 20,
    }),
  );
  await pool.shutdown();
}
