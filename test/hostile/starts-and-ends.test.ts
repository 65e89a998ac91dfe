import { describe, expect, it } from 'vitest';
import { runHost } from '../helpers/host.js';

// Starts and ends of servers for which the machine has many other processes: what was read of these must not be kept.
// `STARTS=10000` is the long run, for a slow leak. The short one finds what keeps a copy of the process table.

const IS_LONG = process.env.STARTS !== undefined;
const STARTS = Math.min(Number(process.env.STARTS ?? 240), 20_000);
const OTHERS = IS_LONG ? 500 : 100;
const WINDOWS = 3;
/** The status of 200 ends and the keys of 1,024 instances are kept. */
const WARM_UP = IS_LONG ? 1_200 : 240;
const MODES = IS_LONG ? ['dedicated', 'exclusive'] : ['dedicated'];
const MB = 1_048_576;
/** Most bytes that a start may leave: in the short run a fraction of a table of 100 processes, in the long one 1 MB in all. */
const MOST_PER_START = IS_LONG ? MB / 10_000 : 4_096;

/** Answers `initialize`, which is all that a lease without a client needs. */
const ANSWER =
  '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"x","version":"1"}}}';
const SERVER = `while read -r line; do case $line in *'"initialize"'*) echo '${ANSWER}';; esac; done`;

describe('memory over many starts and ends', () => {
  it.each(MODES)(
    '[MEM-4] is flat: %s',
    async (sharing) => {
      const { stdout, stderr } = await runHost(
        `
        const { spawn } = await import('node:child_process');
        const { getHeapSpaceStatistics, setFlagsFromString } = await import('node:v8');
        const { runInNewContext } = await import('node:vm');
        const { MCPServerPool } = await import(SRC + '/index.js');
        setFlagsFromString('--expose-gc');
        // Compiled code and what belongs to it grow for thousands of starts, also outside of the spaces for code.
        for (const flag of ['--no-opt', '--no-sparkplug', '--no-maglev']) setFlagsFromString(flag);
        const gc = runInNewContext('gc');
        // They end with this process.
        const crowd = 'for i in $(seq ${OTHERS}); do sleep 100000 & done; cat; kill -KILL 0';
        const others = spawn('sh', ['-c', crowd], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
        const inUse = async () => {
          for (let round = 0; round < 3; round++) {
            gc();
            await new Promise((resolve) => setImmediate(resolve));
          }
          const spaces = getHeapSpaceStatistics().filter(({ space_name }) => !space_name.includes('code'));
          const used = spaces.reduce((sum, { space_used_size }) => sum + space_used_size, 0);
          return used + process.memoryUsage().external;
        };
        const server = ${JSON.stringify(SERVER)};
        const pool = new MCPServerPool({ command: 'sh', args: ['-c', server], sharing: '${sharing}', reuse: 'never', maxInstances: 4, guardian: { enabled: false } });
        const turn = async (times) => {
          for (let time = 0; time < times; time++) {
            const lease = await pool.getServer();
            lease.release();
            await lease.ended;
          }
        };
        const all = (count) => Promise.all([1, 2, 3, 4].map(() => turn(count / 4)));
        await all(${WARM_UP});
        const sizes = [await inUse()];
        for (let window = 0; window < ${WINDOWS}; window++) {
          await all(${STARTS / WINDOWS});
          sizes.push(await inUse());
        }
        process.kill(-others.pid, 'SIGKILL');
        await pool.shutdown();
        console.log(JSON.stringify(sizes));
        process.exit();`,
        { timeout: 120_000 + STARTS * 200 },
      );
      expect(stderr).toBe('');
      const sizes = JSON.parse(stdout) as number[];
      if (IS_LONG) process.stdout.write(`bytes in use after each part, ${sharing}: ${sizes.join(' ')}\n`);
      const growth = sizes.slice(1).map((size, window) => size - (sizes[window] as number));
      // A leak grows in every part; what a collection leaves by chance does not.
      expect(Math.min(...growth) / (STARTS / WINDOWS), growth.join(' ')).toBeLessThan(MOST_PER_START);
      if (STARTS >= 10_000) expect((sizes.at(-1) as number) - (sizes[0] as number), sizes.join(' ')).toBeLessThan(MB);
    },
    120_000 + STARTS * 400,
  );
});
