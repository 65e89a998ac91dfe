// One result that is large: a file or a screenshot, say.
import { benchmark, ratioRow, settleMemory, takeTurns, timed } from './harness.js';
import { openBoth } from './transports.js';

const MB = 1_048_576;

await benchmark('large-lines: one large result', async (report) => {
  const { ours, sdk, close } = await openBoth();

  const compare = async ({ megabytes, tries, target, ...options }) => {
    const bytes = megabytes * MB;
    const fetch = async (client) => {
      const { text } = await client.request('line', { bytes });
      if (text.length !== bytes) throw new Error(`${text.length} of ${bytes} bytes came`);
    };
    const best = async (client) => {
      let best = Infinity;
      for (let left = tries; left > 0; left--) {
        await settleMemory();
        best = Math.min(best, await timed(() => fetch(client)));
      }
      return best;
    };
    const times = await takeTurns({ ours: () => best(ours), sdk: () => best(sdk) }, options);
    const what = `${megabytes} MB line`;
    report(ratioRow({ what, peer: 'StdioClientTransport', ours: times.ours, theirs: times.sdk, target }));
  };

  // Takes ours no longer than a time slice of another process, and as long again if the memory it goes to is new to this
  // process: so each turn is the best of a few tries, on both sides.
  await compare({ megabytes: 10, tries: 3, target: 6, rounds: 21, seconds: 12 });
  // Takes the SDK seconds, in which noise does not matter.
  await compare({ megabytes: 50, tries: 1, target: 40, rounds: 3, warmUp: 0, seconds: 12 });
  await close();
});
