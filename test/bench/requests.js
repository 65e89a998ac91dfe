// Pipelined requests: a thousand under way at any time.
import { EventEmitter } from 'node:events';
import { benchmark, ratioRow, takeTurns, timed } from './harness.js';
import { openBoth } from './transports.js';

const COUNT = 20_000;
const WINDOW = 1_000;

// The SDK adds a listener for each send that finds the pipe full. Without a limit Node makes no warnings
// of it: their cost would count against the SDK.
EventEmitter.defaultMaxListeners = 0;

await benchmark('requests: pipelined', async (report) => {
  const { ours, sdk, close } = await openBoth();
  const exchange = (client) => timed(() => client.requests(COUNT, WINDOW));
  const times = await takeTurns({ ours: () => exchange(ours), sdk: () => exchange(sdk) }, { rounds: 61, warmUp: 5 });
  const what = 'pipelined requests';
  report(ratioRow({ what, peer: 'StdioClientTransport', ours: times.ours, theirs: times.sdk, target: 1.5 }));
  await close();
});
