// A server that talks: small notifications, written as fast as the pipe takes them.
import { benchmark, ratioRow, takeTurns, timed } from './harness.js';
import { openBoth } from './transports.js';

const COUNT = 100_000;

await benchmark('messages: small messages received', async (report) => {
  const { ours, sdk, close } = await openBoth();
  const receive = async (client) => {
    client.received = 0;
    const time = await timed(() => client.request('burst', { count: COUNT }));
    if (client.received !== COUNT) throw new Error(`${client.received} of ${COUNT} messages came`);
    return time;
  };
  const times = await takeTurns({ ours: () => receive(ours), sdk: () => receive(sdk) }, { rounds: 31, warmUp: 3 });
  const what = 'small messages received';
  report(ratioRow({ what, peer: 'StdioClientTransport', ours: times.ours, theirs: times.sdk, target: 2 }));
  await close();
});
