import { describe, expect, it } from 'vitest';
import { endStrays, findStrays, type Stray } from '../../../src/index.js';
import { endStraysOf } from '../../../src/process/strays/end-strays.js';
import { straysOf } from '../../../src/process/strays/find-strays.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { runHost } from '../../helpers/host.js';
import { isLiving } from '../../helpers/processes.js';
import { fails } from '../../helpers/real-pool.js';
import { FakeSystem } from '../../helpers/strays.js';
import { until } from '../../helpers/until.js';

/** What a host leaves that is killed as soon as it has spawned `script`. */
async function left(script: string, count: number): Promise<{ tag: string; found: Stray[] }> {
  const tag = newTag();
  await runHost(`
    const { spawn } = await import('node:child_process');
    spawn('sh', ['-c', ${JSON.stringify(script)}, '${tag}'], { stdio: ['pipe', 'ignore', 'ignore'] });
    process.kill(process.pid, 'SIGKILL');`);
  const found = await until(`${count} strays`, async () => {
    const strays = await findStrays({ patterns: [tag], olderThan: 0 });
    return strays.length === count && strays;
  });
  return { tag, found };
}

const outcomes = (ends: readonly object[]) =>
  ends.map((end) =>
    (({ outcome, signal, listed }: Record<string, unknown>) => [outcome, signal, listed])(end as never),
  );

describe('real strays', () => {
  it('[STRAY-5] end on SIGTERM, the whole tree, from a list that went through JSON', async () => {
    const { tag, found } = await left('sleep 50 "$0"; true', 2);
    const ends = await endStrays(JSON.parse(JSON.stringify(found)) as Stray[]);
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGTERM', true],
      ['ended', 'SIGTERM', true],
    ]);
    expect(tagged(tag)).toEqual([]);
    expect(outcomes(await endStrays(found))).toEqual([
      ['gone', undefined, true],
      ['gone', undefined, true],
    ]);
  });

  it('[STRAY-5] that ignore SIGTERM get SIGKILL, and what is below goes with them though it is not in the list', async () => {
    const { tag, found } = await left('trap "" TERM; sleep 50 "$0"; true', 2);
    const [root] = found.filter(({ parent }) => parent === 1);
    const ends = await endStrays([root as Stray], { termGrace: 50 });
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGKILL', true],
      ['ended', 'SIGKILL', false],
    ]);
    expect(tagged(tag)).toEqual([]);
  });

  it('[STRAY-4] with another start time are strangers', async () => {
    const { found } = await left('exec sleep 50 "$0"', 1);
    const [stray] = found as [Stray];
    const ends = await endStrays([{ ...stray, startTime: stray.startTime - 1 }]);
    expect(ends).toMatchObject([{ outcome: 'changed', signal: undefined }]);
    expect(isLiving(stray.pid)).toBe(true);
    expect(await endStrays([stray])).toMatchObject([{ outcome: 'ended' }]);
  });

  it('[STRAY-4] that are none: neither this process nor its parent', async () => {
    const make = (pid: number) => ({ pid, startTime: 1, command: 'node', reasons: [] }) as unknown as Stray;
    const ends = await endStrays([make(process.pid), make(process.ppid)]);
    expect(ends).toMatchObject([{ outcome: 'changed' }, { outcome: 'changed' }]);
  });

  it('[STRAY-5] hold the host open until they are ended', async () => {
    const result = await runHost(`
      const { findStrays, endStrays } = await import(SRC + '/index.js');
      const { spawn, spawnSync } = await import('node:child_process');
      const script = "require('child_process').spawn('sh', ['-c', 'trap : TERM; sleep 50 TAG-OF-HOLD; sleep 50'], " +
        "{ stdio: ['pipe', 'ignore', 'ignore'] }); process.kill(process.pid, 'SIGKILL')";
      spawnSync(process.execPath, ['-e', script]);
      const all = await findStrays({ patterns: ['TAG-OF-HOLD'], olderThan: 0 });
      endStrays(all, { termGrace: 100 }).then((ends) => console.log(JSON.stringify(ends.map(({ outcome }) => outcome))));`);
    const outcomesOfHost = JSON.parse(result.stdout || '[]') as string[];
    expect(outcomesOfHost).toContain('ended');
    expect(outcomesOfHost).not.toContain('survived');
  });
});

describe('identity', () => {
  function setUp() {
    const system = new FakeSystem();
    system.add(30);
    system.add(31, { parent: 30 });
    return { system, found: straysOf(system, {}, 1e9), signals: () => system.signals.map(({ pid }) => pid) };
  }

  it.each<[string, (system: FakeSystem) => void]>([
    ['another process has its pid', (system) => system.add(30, { startTime: 2 }, { stdin: 'held' })],
    ['it has another user', (system) => system.know(30, { ours: false })],
    ['a process speaks to it', (system) => system.know(30, { stdin: 'held' })],
    ['it has a parent that is no reaper', (system) => system.table.change(30, { parent: 90, session: 90 })],
    ['it is a server of ours', (system) => system.know(30, { mark: 'ours' })],
  ])('[STRAY-4] %s: no signal, for it or what was below it', async (_what, change) => {
    const { system, found, signals } = setUp();
    change(system);
    expect(outcomes(await endStraysOf(system, found))).toEqual([
      ['changed', undefined, true],
      ['changed', undefined, true],
    ]);
    expect(signals()).toEqual([]);
  });

  it('[STRAY-4] changes while the one before it is signalled', async () => {
    const { system, found, signals } = setUp();
    system.onSignal = () => {
      system.table.remove(30);
      system.add(31, { startTime: 9, parent: 90, session: 90 });
    };
    expect(outcomes(await endStraysOf(system, found))).toEqual([
      ['ended', 'SIGTERM', true],
      ['changed', undefined, true],
    ]);
    expect(signals()).toEqual([30]);
  });

  it('[STRAY-5] what its parent leaves when it dies is still one, and what is forked meanwhile, too', async () => {
    const { system, found, signals } = setUp();
    // Nothing but its parent showed what it was.
    system.know(31, { stdin: 'unknown' });
    system.onSignal = (pid, signal) => {
      if (signal === 'SIGKILL' || pid === 30) system.table.remove(pid);
      if (pid === 30) {
        system.table.change(31, { parent: 1 });
        system.add(32, { parent: 31 }, { stdin: 'unknown' });
      }
    };
    const ends = await endStraysOf(system, found, { termGrace: 20 });
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGTERM', true],
      ['ended', 'SIGKILL', true],
      ['ended', 'SIGKILL', false],
    ]);
    expect(new Set(signals())).toEqual(new Set([30, 31, 32]));
  });

  it('[STRAY-5] what nothing ends is reported as survivor, in bounded time', async () => {
    const { system, found } = setUp();
    system.onSignal = () => {};
    const ends = await endStraysOf(system, found, { termGrace: 0 });
    expect(outcomes(ends)).toEqual([
      ['survived', 'SIGKILL', true],
      ['survived', 'SIGKILL', true],
    ]);
  });

  it.each([
    [undefined, 'strays must be the list'],
    [[7], 'strays[0] must be an entry of findStrays()'],
    [[{ pid: 1, startTime: 1, command: 'init', reasons: [] }], 'strays[0]'],
    [[{ pid: -5, startTime: 1, command: 'group', reasons: [] }], 'strays[0]'],
    [[{ pid: 500 }], 'strays[0]'],
  ])('[STRAY-7] refuses %o', async (strays, message) => {
    const error = await fails(endStrays(strays as never));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(message) });
  });

  it('[STRAY-7] takes an entry with a start time that is not whole, as findStrays() may list it', async () => {
    const entry = { pid: 2 ** 22 + 1, startTime: 7 + 1 / 1024, command: 'x', reasons: [] };
    expect(await endStrays([entry as never])).toMatchObject([{ pid: entry.pid, outcome: 'gone' }]);
  });

  it('[STRAY-7] reads no entry but plain ones, and these once: no other value than that which was checked is used', async () => {
    class Entry {
      readonly startTime = 1;
      readonly command = 'x';
      readonly reasons = [];
      get pid(): number {
        throw new Error('getter of a class');
      }
    }
    const error = await fails(endStrays([new Entry() as never]));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining('strays[0]') });
    const { system, found, signals } = setUp();
    let reads = 0;
    const changing = {
      ...(found[0] as (typeof found)[number]),
      get pid() {
        reads += 1;
        return reads === 1 ? 77 : (found[0]?.pid ?? 0);
      },
    };
    expect(await endStraysOf(system, [changing])).toMatchObject([{ pid: 77, outcome: 'gone' }]);
    expect([reads, signals()]).toEqual([1, []]);
  });

  it('[STRAY-7] refuses wrong graces', async () => {
    expect((await fails(endStrays([], { termGrace: -1 }))).message).toContain('termGrace');
    expect(await endStrays([])).toEqual([]);
  });
});
