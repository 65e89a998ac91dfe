import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { LaneEvents, PoolError } from '../../../src/index.js';
import { newFolder } from '../../helpers/folders.js';
import { newLane, node } from '../../helpers/lanes.js';
import { rejection } from '../../helpers/until.js';

describe('what a command writes', () => {
  it('[LANE-4] is handed on to its end with pipe, also to a reader that is slow', async () => {
    const size = 200_000;
    const read = { stdout: 0, stderr: 0 };
    const readers: Promise<void>[] = [];
    const script = `process.stdout.write('x'.repeat(${size})); process.stderr.write('y'.repeat(${size}))`;
    const result = await newLane().run(...node(script), {
      stdio: 'pipe',
      onStart(running) {
        for (const name of ['stdout', 'stderr'] as const) {
          const slowly = async () => {
            for await (const chunk of running[name] ?? []) {
              read[name] += chunk.length;
              await pause(5);
            }
          };
          readers.push(slowly());
        }
      },
    });
    await Promise.all(readers);
    expect([result.exitCode, read]).toEqual([0, { stdout: size, stderr: size }]);
  });

  it('[LANE-4] blocks it with pipe as long as nobody reads, and a reader that gives up ends it', async () => {
    const { endedBy, peak } = await newLane().run('yes', [], { stdio: 'pipe', limits: { time: 500 } });
    expect([endedBy, peak.cpuTime < 400]).toEqual(['limit', true]);
    const result = await newLane().run('yes', [], { stdio: 'pipe', onStart: ({ stdout }) => void stdout?.destroy() });
    expect(result.signal ?? result.exitCode).not.toBe(0);
  });
});

describe('onStart and onWaiting', () => {
  it('[LANE-4] may be async: what they reject with is told, and ends nothing', async () => {
    const lane = newLane();
    const told: LaneEvents['listener:error'][] = [];
    lane.on('listener:error', (event) => void told.push(event));
    const onStart = async () => {
      throw new Error('wrong');
    };
    expect((await lane.run('true', [], { onStart })).exitCode).toBe(0);
    expect(told).toMatchObject([{ event: 'onStart', error: { message: 'wrong' } }]);
  });
});

describe('a command that is no program', () => {
  it('[LANE-4] is refused, since nothing ran', async () => {
    const file = join(newFolder(), 'program');
    writeFileSync(file, Buffer.from('\x7fELF\x02\x01\x01\0\0\0', 'latin1'), { mode: 0o755 });
    const lane = newLane();
    const ended: LaneEvents['lane:ended'][] = [];
    lane.on('lane:ended', (event) => void ended.push(event));
    const error = (await rejection(lane.run(file))) as PoolError;
    expect([error.code, error.message, ended]).toEqual(['SPAWN_FAILED', expect.stringContaining(file), []]);
    // The random name of the shell that is started before it is of no use to anybody.
    expect(error.message).not.toContain('mcp-server-pool-');
    expect((await lane.run('true')).exitCode).toBe(0);
  });
});
