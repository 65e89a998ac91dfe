// One result that is large: a file or a screenshot, say.
import { benchmark, median, ratioRow, settleMemory, takeTurns, timed } from './harness.js';
import { openBoth } from './transports.js';

const MB = 1_048_576;

await benchmark('large-lines: one large result', async (report) => {
  const { ours, sdk, close } = await openBoth();

  const compare = async ({ megabytes, target, tries, choose, ...options }) => {
    const bytes = megabytes * MB;
    const fetch = async (client) => {
      const { text } = await client.request('line', { bytes });
      if (text.length !== bytes) throw new Error(`${text.length} of ${bytes} bytes came`);
    };
    const turn = async (client, count) => {
      const times = [];
      while (times.length < count) {
        await settleMemory();
        times.push(await timed(() => fetch(client)));
      }
      return choose(times);
    };
    const times = await takeTurns({ ours: () => turn(ours, tries.ours), sdk: () => turn(sdk, tries.sdk) }, options);
    const what = `${megabytes} MB line`;
    report(ratioRow({ what, peer: 'StdioClientTransport', ours: times.ours, theirs: times.sdk, target }));
  };

  // Takes ours no longer than a time slice of another process, and as long again if the memory it goes to is new to this
  // process: so each turn is the best of a few tries, on both sides.
  await compare({
    megabytes: 10,
    target: 6,
    tries: { ours: 3, sdk: 3 },
    choose: (times) => Math.min(...times),
    rounds: 21,
    seconds: 12,
  });
  // Takes the SDK seconds, over which noise evens out; ours takes so little of them that one try might be any.
  await compare({
    megabytes: 50,
    target: 40,
    tries: { ours: 5, sdk: 1 },
    choose: median,
    rounds: 3,
    warmUp: 0,
    seconds: 12,
  });
  await close();
});
