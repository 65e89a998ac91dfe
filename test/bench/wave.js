// A wave of 10 servers that take 150 ms each, brought up by `start()`, against spawning them side by side and asking each.
import { MCPServerPool } from '../../dist/index.js';
import { ask, BareTransport, benchmark, INITIALIZE, shareRow, takeTurns, timed } from './harness.js';

const SERVERS = 10;
const TARGET = 1.3;
/** Of a shell, since ten Node processes that start side by side would be all that is measured. */
const server = {
  command: 'sh',
  args: [
    '-c',
    `sleep 0.15
    read -r line
    rest=\${line#*'"id":'}
    printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"wave","version":"1"}}}\\n' "\${rest%%[,\\}]*}"
    cat > /dev/null`,
  ],
};
const servers = Object.fromEntries(Array.from({ length: SERVERS }, (_, index) => [`s${index}`, server]));
/** The same, all of which wait for the first one. */
const behind = Object.fromEntries(
  Object.entries(servers).map(([name, one]) => [name, name === 's0' ? one : { ...one, dependsOn: ['s0'] }]),
);

await benchmark('wave: servers that start side by side', async (report) => {
  const sides = { ours: () => started(servers), theirs: () => spawned() };
  const times = await takeTurns(sides, { rounds: 41, warmUp: 2, seconds: 60 });
  const peer = 'spawn + initialize, side by side';
  report(shareRow({ what: `${SERVERS} servers, until all are ready`, peer, ...times, target: TARGET }));
  const two = await takeTurns(
    { ours: () => started(behind), theirs: async () => (await spawned(1)) + (await spawned(SERVERS - 1)) },
    { rounds: 21, warmUp: 2, seconds: 40 },
  );
  report(shareRow({ what: 'the same, 9 of which depend on the first', peer, ...two, target: TARGET }));
});

async function started(all) {
  const limits = { concurrentStarts: SERVERS, maxProcesses: SERVERS };
  const pool = new MCPServerPool({ servers: all, limits });
  const time = await timed(async () => {
    const { state } = await pool.start();
    if (state !== 'ready') throw new Error(`the start is ${state}`);
  });
  await pool.shutdown({ mode: 'emergency' });
  return time;
}

async function spawned(count = SERVERS) {
  let transports = [];
  const time = await timed(() => {
    transports = Array.from({ length: count }, () => new BareTransport(server));
    return Promise.all(transports.map((transport) => ask(transport, 1, 'initialize', INITIALIZE)));
  });
  await Promise.all(transports.map((transport) => transport.close()));
  return time;
}
