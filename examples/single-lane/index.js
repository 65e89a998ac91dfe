// Runs a command in a lane: of all that name the same lane, one runs at a time, whoever starts it.
//
//   node examples/single-lane/index.js tests npm test                (in one terminal)
//   node examples/single-lane/index.js tests npm run test:e2e        (in another: it waits, and shows its place)
//   node examples/single-lane/index.js tests --status
//
// In a clone `npm run build` first; of an installed package: ../README.md.
//
// It ends as the command does, with its exit code.
import { PoolError, SequentialExecutor } from 'mcp-server-pool';

const [name, command, ...args] = process.argv.slice(2);
if (name === undefined || command === undefined) {
  console.error('usage: node index.js LANE COMMAND [ARGUMENT…] | LANE --status');
  process.exit(2);
}

// FOLDER is for its test. Without it all meet in the folder of this user.
const lane = new SequentialExecutor({ lane: name, folder: process.env.FOLDER, handleSignals: true });
const ago = (since) => `${Math.round((Date.now() - since) / 1_000)} s`;

if (command === '--status') {
  const { holder, queue } = await lane.status();
  console.log(holder ? `${holder.command} runs for ${ago(holder.since)} (pid ${holder.pid})` : `${name} is free`);
  for (const { position, ...waiter } of queue) {
    console.log(`${position}. ${waiter.command} waits for ${ago(waiter.since)} (pid ${waiter.pid})`);
  }
} else await run();

async function run() {
  lane.on('lane:reaped', ({ processes }) => {
    console.error(`${name}: ended ${processes.length} processes that an earlier command had left`);
  });
  lane.on('lane:stalled', ({ idle }) => console.error(`${name}: no output and no CPU time for ${idle / 1_000} s`));
  try {
    const result = await lane.run(command, args, {
      stdio: 'inherit',
      // What a test suite of this project may use at most: one that ran away once took the machine down.
      limits: { memoryMB: 8_192, processes: 20 },
      stalledAfter: 600_000,
      onWaiting: ({ position, holder }) => {
        const before = holder && ` ${holder.command} runs for ${ago(holder.since)} (pid ${holder.pid}).`;
        console.error(`${name}: ${position} before this one.${before ?? ''}`);
      },
    });
    if (result.endedBy === 'limit') console.error(`${name}: ended, it was over ${result.limit}`, result.peak);
    process.exitCode = result.exitCode ?? 1;
  } catch (error) {
    if (!(error instanceof PoolError)) throw error;
    console.error(error.message);
    process.exitCode = 1;
  }
}
