import { realpathSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { PoolError, QueuePlace, RunOptions, RunResult } from '../../../src/index.js';
import { SequentialExecutor } from '../../../src/index.js';
import { newFolder } from '../../helpers/folders.js';
import { newLane, node } from '../../helpers/lanes.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { rejection, until } from '../../helpers/until.js';

/** Runs a script of Node in the lane. */
function run(lane: SequentialExecutor, script: string, options?: RunOptions): Promise<RunResult> {
  return lane.run(...node(script), options);
}

describe('run() of a lane', () => {
  it('[LANE-4] resolves with what became of the command, whatever that is', async () => {
    const lane = newLane();
    const cwd = newFolder();
    const script = `console.log(process.cwd(), process.env.GIVEN, 'HOME' in process.env); console.error('no'); process.exit(3);`;
    const result = await run(lane, script, { cwd, env: { GIVEN: 'yes', HOME: undefined } });
    expect(result).toMatchObject({
      exitCode: 3,
      signal: null,
      endedBy: 'exit',
      limit: undefined,
      stdout: `${realpathSync(cwd)} yes false\n`,
      stderr: 'no\n',
      truncated: false,
      survivors: [],
    });
    expect(result.waited).toBeGreaterThanOrEqual(0);
    expect(result.duration).toBeGreaterThan(0);
    expect(await run(lane, `process.kill(process.pid, 'SIGKILL')`)).toMatchObject({
      exitCode: null,
      signal: 'SIGKILL',
      endedBy: 'signal',
    });
  });

  it('[LANE-4] keeps the end of a long output, and says so', async () => {
    const script = `process.stdout.write('x'.repeat(3 << 20) + 'end')`;
    const { stdout, truncated } = await run(newLane(), script, { captureMB: 1 });
    expect([stdout?.length, stdout?.endsWith('xend'), truncated]).toEqual([1 << 20, true, true]);
  });

  it('[LANE-4] hands the streams on with pipe', async () => {
    let output = '';
    const result = await run(newLane(), `process.stdin.pipe(process.stdout)`, {
      stdio: 'pipe',
      onStart({ stdin, stdout }) {
        stdout?.setEncoding('utf8').on('data', (text: string) => {
          output += text;
        });
        stdin?.end('through');
      },
    });
    expect([output, result.exitCode, 'stdout' in result]).toEqual(['through', 0, false]);
  });

  it('[LANE-4] rejects when nothing ran, before it waits', async () => {
    const lane = newLane();
    const hold = new AbortController();
    const held = await lane.hold({ signal: hold.signal });
    const failed = (await rejection(lane.run('no-such-command'))) as PoolError;
    expect([failed.code, failed.message]).toEqual([
      'COMMAND_NOT_FOUND',
      expect.stringContaining("command 'no-such-command'"),
    ]);
    hold.abort();
    expect((await held.result).endedBy).toBe('abort');
  });

  it('[LANE-5] leaves nothing of the tree when the command has exited', async () => {
    // A daemon in a session of its own, without its environment.
    const script = `
      const { spawn } = require('node:child_process');
      spawn('setsid', ['env', '-i', process.execPath, '-e', 'setInterval(() => {}, 1e6)'], { stdio: 'ignore' }).unref();
      setTimeout(() => process.exit(0), 200);`;
    const before = descendants().length;
    const result = await run(newLane(), script, { termGrace: 500 });
    expect([result.endedBy, result.survivors, descendants().length]).toEqual(['exit', [], before]);
  });

  it('[LANE-6] is given up by its signal, before it runs and while it runs', async () => {
    const lane = newLane();
    const [first, second] = [new AbortController(), new AbortController()];
    const { pid, result: running } = await lane.hold({ signal: first.signal });
    let told: QueuePlace | undefined;
    const waiting = run(lane, '0', {
      signal: second.signal,
      onWaiting(place) {
        told = place;
      },
    });
    const error = rejection(waiting);
    await until('the second one waits', () => told?.holder);
    expect(told).toMatchObject({ position: 1, holder: { pid: process.pid, command: process.execPath } });
    expect(told?.holder).toEqual((await lane.status()).holder);
    second.abort('enough');
    expect(await error).toMatchObject({ code: 'LANE_ABORTED', cause: 'enough' });
    first.abort();
    expect(await running).toMatchObject({ endedBy: 'abort', exitCode: null, signal: 'SIGTERM', survivors: [] });
    expect(isLiving(pid)).toBe(false);
    expect(await rejection(run(lane, '0', { signal: AbortSignal.abort() }))).toMatchObject({ code: 'LANE_ABORTED' });
  });

  it('[LANE-6] goes on in the order of the calls', async () => {
    const lane = newLane();
    const order: number[] = [];
    const calls = [1, 2, 3, 4, 5].map((number) => run(lane, '0', { onStart: () => void order.push(number) }));
    await Promise.all(calls);
    expect(order).toEqual([1, 2, 3, 4, 5]);
  });

  it('[LANE-6] ends with shutdown(), and refuses what comes after it', async () => {
    const lane = newLane();
    let isRunning = false;
    const running = run(lane, `process.on('SIGTERM', () => {}); setInterval(() => {}, 1e6); console.log('deaf')`, {
      termGrace: 60_000,
      stdio: 'pipe',
      onStart: ({ stdout }) =>
        void stdout?.once('data', () => {
          isRunning = true;
        }),
    });
    const waiting = rejection(run(lane, '0'));
    await until('it runs', () => isRunning);
    await lane.shutdown({ mode: 'emergency' });
    expect([(await running).endedBy, (await running).signal]).toEqual(['abort', 'SIGKILL']);
    expect(await waiting).toMatchObject({ code: 'LANE_ABORTED' });
    expect(await rejection(run(lane, '0'))).toMatchObject({ code: 'LANE_ABORTED' });
  });

  it('[LANE-8] is refused in a command that holds the lane, and only there', async () => {
    const lane = newLane();
    const nested = (name: string) => lane.run(...lane.nested(name));
    expect((await nested(lane.lane)).stdout).toBe('LANE_NESTED');
    expect((await nested('another')).stdout).toBe('0');
    // The environment of a turn that is over.
    const { stdout = '' } = await run(lane, `process.stdout.write(process.env.MCP_SERVER_POOL_LANES)`);
    expect(stdout).toMatch(/^[0-9a-f]{16}\.[0-9a-f]{24}$/);
    process.env.MCP_SERVER_POOL_LANES = stdout;
    try {
      expect((await run(lane, '0')).exitCode).toBe(0);
    } finally {
      delete process.env.MCP_SERVER_POOL_LANES;
    }
  });

  it('[LANE-11] refuses bad input at once, all problems in one error', async () => {
    for (const name of ['', '.', '..', '../x', 'a/b', 'a b', 'ü', 'x'.repeat(101), 7]) {
      expect(() => new SequentialExecutor({ lane: name as string })).toThrow(/lane must be a name of 1 to 100 letters/);
    }
    expect(() => new SequentialExecutor({ lane: '..', folder: 'here', nonsense: 1 } as never)).toThrow(/3 problems/);
    const wrong = {
      cwd: 7,
      env: { 'A=B': 'c' },
      limits: { memoryMB: -1, processes: 0, time: 0, cpuTime: -5, other: 1 },
      stalledAfter: 0,
      stdio: 'tty',
    };
    const error = (await rejection(newLane().run('', [3] as never, wrong as never))) as PoolError;
    expect([error.code, error.data.problems?.length]).toEqual(['INVALID_OPTIONS', 11]);
  });
});
