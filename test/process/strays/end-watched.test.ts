import { type ChildProcess, spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { endWatched, type WatchedProcess, watchProcesses } from '../../../src/index.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import type { ProcessIdentity, ProcessRow } from '../../../src/process/process-table.js';
import { endWatchedOf } from '../../../src/process/strays/end-watched.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { fixture } from '../../helpers/fixture.js';
import { isLiving } from '../../helpers/processes.js';
import { fails, open } from '../../helpers/real-pool.js';
import { FakeSystem } from '../../helpers/strays.js';
import { until } from '../../helpers/until.js';

function start(script: string, tag: string): ChildProcess {
  const child = spawn('sh', ['-c', script, tag], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

/** What a watch lists of the processes with that tag. */
async function listed(tag: string, count: number): Promise<readonly WatchedProcess[]> {
  const watched = watchProcesses({ patterns: [tag], maxAge: 1 });
  onTestFinished(() => watched.stop());
  return until(`${count} are listed`, async () => {
    const list = await watched.list();
    return list.length === count && list;
  });
}

const entry = ({ pid, startTime, command }: Pick<ProcessRow, 'pid' | 'startTime' | 'command'>) =>
  ({ pid, startTime, command, reasons: [] }) as never as WatchedProcess;
/** What the tests of fakes end. */
const ENTRY = entry({ pid: 30, startTime: 1, command: 'fake' });
const UNCHECKED = { ...ENTRY, checked: false };
/** As it is now. */
const real = (pid = 0) => entry(linuxProcessTable.read(pid)!);
const outcomes = (ends: readonly { readonly pid: number; outcome: string; signal: unknown; listed: boolean }[]) =>
  ends.map(({ outcome, signal, listed: isListed }) => [outcome, signal, isListed]);

describe('listed processes', () => {
  it('[WATCH-8] end on SIGTERM, by a list that went through JSON; a second time they are gone', async () => {
    const tag = newTag();
    start('exec sleep 50 "$0"', tag);
    const list = JSON.parse(JSON.stringify(await listed(tag, 1))) as WatchedProcess[];
    expect(outcomes(await endWatched(list))).toEqual([['ended', 'SIGTERM', true]]);
    expect(tagged(tag)).toEqual([]);
    expect(outcomes(await endWatched(list))).toEqual([['gone', undefined, true]]);
  });

  it('[WATCH-8] that ignore SIGTERM or are stopped get SIGKILL', async () => {
    const tag = newTag();
    start('trap "" TERM; sleep 50 "$0"; true', tag);
    const stopped = start('exec sleep 50 "$0"', tag);
    const list = await listed(tag, 3);
    process.kill(stopped.pid ?? 0, 'SIGSTOP');
    const ends = await endWatched(list, { termGrace: 50 });
    expect(new Set(ends.map(({ outcome }) => outcome))).toEqual(new Set(['ended']));
    expect(ends.find(({ pid }) => pid === stopped.pid)).toMatchObject({ signal: 'SIGKILL' });
    expect(tagged(tag)).toEqual([]);
  });

  it('[WATCH-8] end with what is below them, which is in the report', async () => {
    const tag = newTag();
    const top = start('sleep 50 "$0" & sleep 50 "$0" & wait', tag);
    const list = await listed(tag, 3);
    const ends = await endWatched(list.filter(({ pid }) => pid === top.pid));
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGTERM', true],
      ['ended', 'SIGTERM', false],
      ['ended', 'SIGTERM', false],
    ]);
    expect(tagged(tag)).toEqual([]);
  });

  it('[WATCH-9] with another start time are strangers', async () => {
    const tag = newTag();
    start('exec sleep 50 "$0"', tag);
    const [one] = await listed(tag, 1);
    const ends = await endWatched([{ ...one!, startTime: one!.startTime + 1 }]);
    expect(outcomes(ends)).toEqual([['changed', undefined, true]]);
    expect(isLiving(one!.pid)).toBe(true);
  });

  it('[WATCH-9] that are this process or an ancestor get no signal', async () => {
    const own = [process.pid, process.ppid].map(real);
    expect(outcomes(await endWatched(own))).toEqual([
      ['changed', undefined, true],
      ['changed', undefined, true],
    ]);
  });

  it('[WATCH-9] that are servers of a living pool of this host get no signal, nor does its guardian', async () => {
    const pool = open({ marked: fixture('echo'), unmarked: { ...fixture('echo'), containment: 'group' } });
    const servers = await Promise.all(['marked', 'unmarked'].map((name) => pool.getServer(name)));
    const guardian = pool.status().containment?.guardian;
    const all = [...servers.map(({ pid }) => pid), guardian].map(real);
    const ends = await endWatched(all);
    expect(ends.map(({ outcome }) => outcome)).toEqual(['changed', 'changed', 'changed']);
    for (const { pid } of all) expect(isLiving(pid)).toBe(true);
  });
});

describe('right before a signal', () => {
  function setUp() {
    const system = new FakeSystem();
    system.add(30, { parent: 90 });
    system.add(31, { parent: 30 });
    return { system, signals: () => system.signals.map(({ pid }) => pid) };
  }

  it.each<[string, (system: FakeSystem) => void]>([
    ['another process has its pid', (system) => system.add(30, { parent: 90, startTime: 2 })],
    ['it has another user', (system) => system.know(30, { ours: false })],
    ['it is a server of ours', (system) => system.know(30, { mark: 'ours' })],
    [
      'it is a server of a living host',
      (system) => {
        system.hostLives = () => true;
        system.know(30, { mark: { id: 'alive' } });
      },
    ],
    ['it is a server of a host of which no ledger is found', (system) => system.know(30, { mark: { id: 'unknown' } })],
    [
      'it is below a server of a living host',
      (system) => {
        system.table.change(30, { parent: 29 });
        system.add(29, { parent: 90 }, { mark: { number: 7 } });
      },
    ],
    [
      'a registry has it',
      (system) => {
        system.leaders = [{ pid: 30, startTime: 1 }];
      },
    ],
  ])('[WATCH-9] %s: no signal, for it or what is below it', async (_what, change) => {
    const { system, signals } = setUp();
    change(system);
    expect(outcomes(await endWatchedOf(system, [ENTRY]))).toEqual([['changed', undefined, true]]);
    expect(signals()).toEqual([]);
  });

  it('[WATCH-11] it runs another program, or the list is of another boot or container: no signal', async () => {
    const { system, signals } = setUp();
    const lists = [
      { ...ENTRY, command: 'emacs' },
      { ...ENTRY, scope: 'another boot' },
    ];
    for (const one of lists)
      expect(outcomes(await endWatchedOf(system, [one]))).toEqual([['changed', undefined, true]]);
    expect(signals()).toEqual([]);
    expect(outcomes(await endWatchedOf(system, [{ ...ENTRY, scope: system.scope }]))).toHaveLength(2);
    expect(signals()).toEqual([30, 31]);
  });

  it('[WATCH-11] a title that it gives itself on SIGTERM does not spare it SIGKILL', async () => {
    const { system } = setUp();
    system.onSignal = (pid, signal) =>
      signal === 'SIGKILL' ? system.table.remove(pid) : system.table.change(pid, { command: 'shutting down' });
    const ends = await endWatchedOf(system, [ENTRY], { termGrace: 20 });
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGKILL', true],
      ['ended', 'SIGKILL', false],
    ]);
  });

  it.each([30, 90])(
    '[HANG-1] while process %s is uninterruptible what was never checked gets no signal; when it moves, it does',
    async (pid) => {
      const { system } = setUp();
      system.table.change(pid, { state: 'D' });
      const scan = system.table.scan.bind(system.table);
      let scans = 0;
      system.table.scan = () => {
        scans += 1;
        if (scans === 3) system.table.change(pid, { state: 'S' });
        return scan();
      };
      system.onSignal = (one) => {
        expect(scans).toBeGreaterThanOrEqual(3);
        system.table.remove(one);
      };
      expect(outcomes(await endWatchedOf(system, [UNCHECKED]))).toEqual([
        ['ended', 'SIGTERM', true],
        ['ended', 'SIGTERM', false],
      ]);
    },
  );

  it('[HANG-1] what is uninterruptible all the time, and was never checked, survives without a signal', async () => {
    const { system, signals } = setUp();
    system.table.change(30, { state: 'D' });
    expect(outcomes(await endWatchedOf(system, [UNCHECKED], { termGrace: 0 }))).toEqual([
      ['survived', undefined, true],
      ['survived', undefined, false],
    ]);
    expect(signals()).toEqual([]);
  });

  it('[HANG-1] what the watch has checked before gets its signals, and what is below when that can be checked', async () => {
    const { system, signals } = setUp();
    system.table.change(30, { state: 'D' });
    system.onSignal = (pid) => {
      system.table.remove(pid);
      if (pid === 30) system.table.change(31, { parent: 1 });
    };
    expect(outcomes(await endWatchedOf(system, [ENTRY]))).toEqual([
      ['ended', 'SIGTERM', true],
      ['ended', 'SIGTERM', false],
    ]);
    expect(signals()).toEqual([30, 31]);
  });

  it.each<[string, (system: FakeSystem) => void]>([
    ['a registry has it', (system) => void system.leaders.push({ pid: 30, startTime: 1 })],
    ['it has another user', (system) => system.know(30, { ours: false })],
    ['it runs another program', (system) => system.table.change(30, { command: 'emacs' })],
  ])('[HANG-1] [WATCH-9] also in an uninterruptible call, %s: no signal', async (_what, change) => {
    const { system, signals } = setUp();
    system.table.change(30, { state: 'D' });
    change(system);
    expect(outcomes(await endWatchedOf(system, [ENTRY]))).toEqual([['changed', undefined, true]]);
    expect(signals()).toEqual([]);
  });

  it('[HANG-1] what becomes uninterruptible after SIGTERM gets SIGKILL, unless it has another user', async () => {
    for (const ours of [true, false]) {
      const { system } = setUp();
      system.table.remove(31);
      system.onSignal = (pid, signal) => {
        if (signal === 'SIGKILL') return system.table.remove(pid);
        system.table.change(pid, { state: 'D' });
        system.know(pid, { ours });
      };
      const ends = await endWatchedOf(system, [ENTRY], { termGrace: 20 });
      expect(outcomes(ends)).toEqual([ours ? ['ended', 'SIGKILL', true] : ['changed', 'SIGTERM', true]]);
    }
  });

  it('[WATCH-13] of 500 that ignore SIGTERM little but their rows is read', async () => {
    const system = new FakeSystem();
    const pids = Array.from({ length: 500 }, (_, index) => 1_000 + index);
    const list = pids.map((pid) => {
      system.add(pid, { parent: 90 });
      return { ...ENTRY, pid };
    });
    system.onSignal = () => {};
    let checks = 0;
    const inspect = system.inspect.bind(system);
    system.inspect = () => {
      const inspector = inspect();
      const isOurUsers = (pid: number) => {
        checks += 1;
        return inspector.isOurUsers(pid);
      };
      return { ...inspector, isOurUsers };
    };
    const ends = await endWatchedOf(system, list, { termGrace: 300 });
    expect(new Set(ends.map(({ outcome }) => outcome))).toEqual(new Set(['survived']));
    // Before each of the two signals, and each second. A slow machine checks less often.
    expect(checks).toBeLessThanOrEqual(4 * list.length);
  });

  it('[WATCH-9] what changes after SIGTERM gets no SIGKILL', async () => {
    const { system } = setUp();
    system.onSignal = (pid) => system.know(pid, { ours: false });
    const ends = await endWatchedOf(system, [ENTRY], { termGrace: 50 });
    expect(outcomes(ends)).toEqual([
      ['changed', 'SIGTERM', true],
      ['changed', 'SIGTERM', false],
    ]);
  });

  it('[WATCH-9] a server of a living host that is below is spared, with all below it', async () => {
    const { system, signals } = setUp();
    system.hostLives = () => true;
    system.know(31, { mark: { id: 'alive' } });
    system.add(32, { parent: 31 });
    expect(outcomes(await endWatchedOf(system, [ENTRY]))).toEqual([['ended', 'SIGTERM', true]]);
    expect(signals()).toEqual([30]);
  });

  it('[WATCH-9] each process is held while it is ended, so that no other one with its number is taken for it', async () => {
    const { system, signals } = setUp();
    const held = new Map<number, number>();
    const hold = (pid: number): ProcessRow | undefined => {
      held.set(pid, (held.get(pid) ?? 0) + 1);
      return system.table.read(pid);
    };
    const release = ({ pid }: ProcessIdentity) => void held.set(pid, (held.get(pid) ?? 0) - 1);
    Object.assign(system.table, { hold, release });
    system.onSignal = (pid) => {
      expect(held.get(pid)).toBe(1);
      system.table.remove(pid);
      // As the table shows one that began within the same tick.
      if (pid === 30) system.add(30, { parent: 90, startTime: 1 + 1 / 1_024 });
    };
    const ends = await endWatchedOf(system, [ENTRY]);
    expect(outcomes(ends)).toEqual([
      ['ended', 'SIGTERM', true],
      ['ended', 'SIGTERM', false],
    ]);
    expect(signals()).toEqual([30, 31]);
    expect([...held]).toEqual([
      [30, 0],
      [31, 0],
    ]);
  });

  it('[WATCH-8] what nothing ends is reported as survivor, in bounded time', async () => {
    const { system } = setUp();
    system.onSignal = () => {};
    const ends = await endWatchedOf(system, [ENTRY], { termGrace: 0 });
    expect(ends.map(({ outcome, signal }) => [outcome, signal])).toEqual([
      ['survived', 'SIGKILL'],
      ['survived', 'SIGKILL'],
    ]);
  });

  it.each([
    [undefined, 'list must be the list that watchProcesses() returned'],
    [[7], 'list[0] must be an entry of watchProcesses()'],
    [[{ pid: 1, startTime: 1, command: 'init', reasons: [] }], 'list[0]'],
    [[{ pid: -30, startTime: 1, command: 'group', reasons: [] }], 'list[0]'],
    [[{ pid: 30, startTime: '1', command: 'x', reasons: [] }], 'list[0]'],
  ])('[WATCH-7] refuses %o', async (list, message) => {
    const error = await fails(endWatched(list as never));
    expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining(message) });
  });
});
