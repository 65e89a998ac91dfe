import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { judge } from '../../../src/process/marks/evidence.js';
import { readMarks } from '../../../src/process/marks/mark-reader.js';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import {
  environmentMatches,
  hostMark,
  MARK_VARIABLE,
  markText,
  newHostMark,
} from '../../../src/process/marks/marker.js';
import { SearchKnowledge } from '../../../src/process/marks/search-knowledge.js';
import { sweep } from '../../../src/process/marks/sweep.js';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { ESCAPES, newTag, tagged } from '../../helpers/escapes.js';
import { readerOf, UNMARKED } from '../../helpers/fake-marks.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { findMarked } from '../../helpers/find-marked.js';
import { launch } from '../../helpers/launch.js';
import { isLiving, MARKER, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const NONE = new Set<number>();

/** The mark in the environment of a server that runs; the last is its own. */
function markOf(pid: number) {
  const text = spawnedEnvironment(pid).split(':').at(-1) ?? '';
  const mark = { host: hostMark(), instance: Number(text.split('.')[1]) };
  if (text !== markText(mark)) throw new Error(`no mark of this host: ${text}`);
  return mark;
}

function spawnedEnvironment(pid: number): string {
  const found = new RegExp(`(?:^|\\0)${MARK_VARIABLE}=([^\\0]*)`).exec(readEnvironment(pid));
  return found?.[1] ?? '';
}

function readEnvironment(pid: number): string {
  return readFileSync(`/proc/${pid}/environ`, 'latin1');
}

function start(script: string, tag: string) {
  return launch({ command: 'sh', args: ['-c', script, tag], inheritEnv: [MARKER] });
}

async function daemon(how: string) {
  const tag = newTag();
  const server = start(ESCAPES[how] ?? '', tag);
  const { pid } = await until('it is there', () => tagged(tag).find(({ command }) => command === 'sleep'));
  return { server, pid, tag };
}

describe('a look', () => {
  it('[MARK-1] [MARK-4] finds the processes of one instance, or of all of the host', async () => {
    const [one, two] = [await daemon('double fork + env -i'), await daemon('double fork')];
    const mark = markOf(one.server.pid);
    const pids = (found: readonly { pid: number }[]) => found.map(({ pid }) => pid).sort((a, b) => a - b);
    const ofOne = pids(findMarked(mark, linux));
    expect(ofOne).toEqual(expect.arrayContaining([one.server.pid, one.pid]));
    expect(ofOne).not.toContain(two.pid);
    const ofAll = pids(findMarked({ host: mark.host }, linux));
    expect(ofAll).toEqual(expect.arrayContaining([one.server.pid, one.pid, two.server.pid, two.pid]));
    expect(ofAll).not.toContain(process.pid);
    expect(findMarked({ host: newHostMark() }, linux)).toEqual([]);
    // `exclude` and `since` leave out.
    const exclude = new Set([one.pid]);
    expect(pids(findMarked(mark, linux, { exclude }))).not.toContain(one.pid);
    const since = (readProcess(one.pid)?.startTime ?? 0) + 1;
    expect(pids(findMarked(mark, linux, { since }))).not.toContain(one.pid);
  });

  it.runIf(process.geteuid?.() === 0)('[MARK-4] judges by the limit when the environment may not be read', async () => {
    const { server, pid } = await daemon('setsid');
    const mark = markOf(server.pid);
    const ofRoot = new SearchKnowledge(mark);
    const stranger = new SearchKnowledge({ host: mark.host, instance: mark.instance + 1 });
    process.seteuid?.(65_534);
    try {
      const reading = readMarks(pid) ?? UNMARKED;
      expect(reading.marks).toBeUndefined();
      // Of another user than the one that asks.
      const all = [ofRoot, stranger, new SearchKnowledge(mark)].map((known) => judge(reading, known));
      expect(all).toEqual(['limit', false, false]);
    } finally {
      process.seteuid?.(0);
    }
  });

  it('[MARK-4] finds the mark behind an environment of any size', async () => {
    const env = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`BIG${index}`, 'x'.repeat(20_000)]));
    const server = launch({ command: 'sleep', args: ['50'], env, markers: { environment: true, rlimit: false } });
    await server.spawned;
    // The mark is the last variable of about 800 KB.
    const isFound = () => environmentMatches(readMarks(server.pid)?.marks ?? [], markOf(server.pid));
    await until('it is found', isFound);
  });

  it('[MARK-5] takes no process for one that had its pid before', () => {
    const table = new FakeTable();
    const mark = { host: newHostMark(), instance: 1 };
    table.add({ pid: 500, startTime: 7 });
    const readMark = readerOf(mark, (pid) => {
      // Recycled while the mark of the first is read.
      table.add({ pid, startTime: 8 });
      return true;
    });
    const search = new MarkSearch(mark, { table, readMark });
    expect(search.find(search.looks.take(), NONE)).toEqual([]);
  });

  it('[MARK-6] reads a stranger again until it is too old for a mark that is still to come', () => {
    const table = new FakeTable();
    table.add({ pid: 500, startTime: 1_000 });
    table.add({ pid: 501, startTime: 1_950 });
    const read: number[] = [];
    const mark = { host: newHostMark(), instance: 1 };
    const readMark = readerOf(mark, (pid) => read.push(pid) < 0);
    const search = new MarkSearch(mark, { table, readMark, now: () => 20 });
    for (let look = 0; look < 3; look++) expect(search.find(search.looks.take(), NONE)).toEqual([]);
    expect(read).toEqual([500, 501, 501, 501]);
    // Another that has got the number is no stranger yet.
    table.add({ pid: 500, startTime: 1_500 });
    search.find(search.looks.take(), NONE);
    expect(read).toEqual([500, 501, 501, 501, 500, 501]);
  });

  it('[MARK-6] takes no process from a session that is older than the server, as long as it is in it', () => {
    const table = new FakeTable();
    const mark = { host: newHostMark(), instance: 1 };
    table.add({ pid: 500, startTime: 1_000 });
    const child = table.add({ pid: 502, startTime: 1_990, group: 500, session: 500 });
    const search = new MarkSearch(mark, { table, readMark: readerOf(mark, () => true), since: 1_500, now: () => 20 });
    const found = () => search.find(search.looks.take(), NONE).map(({ row, match }) => [row.pid, match]);
    expect([found(), search.matchNow(child)]).toEqual([[], false]);
    table.add({ pid: 502, startTime: 1_990 });
    expect(found()).toEqual([[502, 'environment']]);
  });
});

describe('a sweep', () => {
  it('[MARK-4] [MARK-5] kills all that bears the mark, and nothing else', async () => {
    const [one, two] = [await daemon('double fork + env -i'), await daemon('double fork + env -i')];
    const bystander = spawn('sleep', ['50', one.tag], { stdio: 'ignore' });
    onTestFinished(() => {
      bystander.kill('SIGKILL');
    });
    const { killed, survivors, quiet, scans } = await sweep(markOf(one.server.pid), linux);
    expect({ survivors, quiet }).toEqual({ survivors: [], quiet: true });
    expect(scans).toBeGreaterThanOrEqual(4);
    expect(killed.map(({ pid }) => pid)).toEqual(expect.arrayContaining([one.server.pid, one.pid]));
    expect([one.pid, two.pid, two.server.pid, bystander.pid as number].map(isLiving)).toEqual([
      false,
      true,
      true,
      true,
    ]);
    expect((await sweep({ host: markOf(two.server.pid).host }, linux)).quiet).toBe(true);
    expect([two.pid, two.server.pid, bystander.pid as number].map(isLiving)).toEqual([false, false, true]);
  });

  it('[MARK-7] by the mark of an outer pool takes what pools inside of it have started', async () => {
    const outer = { host: newHostMark(), instance: 9 };
    const before = process.env[MARK_VARIABLE];
    // As if this host were a server of another pool.
    process.env[MARK_VARIABLE] = markText(outer);
    onTestFinished(() => {
      if (before === undefined) delete process.env[MARK_VARIABLE];
      else process.env[MARK_VARIABLE] = before;
    });
    const { server, pid } = await daemon('double fork');
    expect(spawnedEnvironment(server.pid)).toMatch(
      new RegExp(`^${markText(outer)}:[0-9a-f]{32}\\.\\d+\\.[0-9a-f]{32}$`),
    );
    expect((await sweep({ ...outer, instance: 99 }, linux)).killed).toEqual([]);
    expect(isLiving(pid)).toBe(true);
    expect((await sweep(outer, linux)).killed.map((row) => row.pid)).toContain(pid);
    expect([isLiving(pid), isLiving(server.pid)]).toEqual([false, false]);
  });

  it('[MARK-5] takes a process that bears the mark out of a group and a session of strangers, and none beside it', async () => {
    const { server } = await daemon('double fork');
    const variable = `${MARK_VARIABLE}=${spawnedEnvironment(server.pid)}`;
    const mark = markOf(server.pid);
    const tag = newTag();
    // As in a terminal in which a command is tried out with the environment of the server.
    const script = 'sleep 50 "$0" & env "$1" sleep 50 "$0" & wait';
    const terminal = spawn('bash', ['--norc', '-c', script, tag, variable], { stdio: 'ignore', detached: true });
    onTestFinished(() => void terminal.kill('SIGKILL'));
    const sleeping = () => tagged(tag).filter(({ command }) => command === 'sleep');
    await until('both are there', () => sleeping().length === 2);
    const report = await server.process.end({ mode: 'emergency' });
    expect([report.survivors, sleeping().length, isLiving(terminal.pid as number)]).toEqual([[], 1, true]);
    const other = spawn('bash', ['--norc', '-c', script, tag, variable], { stdio: 'ignore', detached: true });
    onTestFinished(() => void other.kill('SIGKILL'));
    await until('all are there', () => sleeping().length === 3);
    await sweep(mark, linux);
    expect([sleeping().length, isLiving(other.pid as number)]).toEqual([2, true]);
  });

  it('[MARK-6] ends a chain of processes that each start the next in a session of its own', async () => {
    const tag = newTag();
    const server = start(ESCAPES['fork chain in sessions of its own'] ?? '', tag);
    await until('it forks', () => tagged(tag).length > 1);
    const mark = markOf(server.pid);
    const { quiet, survivors } = await sweep(mark, linux);
    expect({ quiet, survivors, left: tagged(tag) }).toEqual({ quiet: true, survivors: [], left: [] });
  });

  it('[MARK-4] names what cannot be killed, in bounded time', async () => {
    const { platform, table, readMark, mark } = fakes();
    table.add({ pid: 10_000_000, command: 'stuck' });
    const deaf = { ...platform, signalProcess: () => {}, signalGroup: () => {} };
    const report = await sweep(mark, deaf, { readMark, newest: () => 0, timeout: 30 });
    expect(report).toMatchObject({ quiet: false, survivors: [{ pid: 10_000_000, command: 'stuck' }] });
    expect(report.killed).toHaveLength(1);
  });

  it('[REUSE-3] ends what a marked process has started in its own tick, if its number was that of another in that tick', async () => {
    const { platform, table, mark, signals } = fakes();
    table.add({ pid: 10_000_000, startTime: 7 + 1 / 1024 });
    table.add({ pid: 10_000_001, parent: 10_000_000, startTime: 7 });
    table.add({ pid: 10_000_002, parent: 10_000_000, startTime: 6 });
    const readMark = readerOf(mark, (pid) => pid === 10_000_000);
    expect((await sweep(mark, platform, { readMark, newest: () => 0 })).quiet).toBe(true);
    expect(signals).toEqual([10_000_000, 10_000_001]);
  });

  it('[MARK-6] says that it is not quiet as long as processes are started faster than they are looked at', async () => {
    let newest = 10_000_000;
    const { platform, readMark, mark } = fakes();
    const endless = () => ++newest;
    const report = await sweep(mark, platform, { readMark, newest: endless, timeout: 30 });
    expect(report).toMatchObject({ quiet: false, survivors: [], killed: [] });
  });

  it('[PROOF-5] does not begin anew when once more processes are started than can be read', async () => {
    let looks = 0;
    let newest = 10_000_000;
    const { platform, table, readMark, mark } = fakes();
    const scan = table.scan.bind(table);
    table.scan = () => {
      looks += 1;
      return scan();
    };
    const some = () => {
      newest += looks === 3 ? 10_000 : 0;
      return newest;
    };
    expect(await sweep(mark, platform, { readMark, newest: some })).toMatchObject({
      quiet: true,
      killed: [],
      scans: 4,
    });
  });

  it('[MARK-5] never signals itself, its parent, init, its own group, or what is excluded, whatever they bear', async () => {
    const { platform, table, readMark, signals, groups, mark } = fakes();
    const own = linux.table.read(process.pid) ?? { group: 1, session: 1 };
    for (const pid of [0, 1, process.pid, process.ppid]) table.add({ pid, ...own, startTime: 1, dead: false });
    table.add({ pid: 10_000_001 });
    table.add({ pid: 10_000_002, group: own.group, session: own.session });
    table.add({ pid: 10_000_003, group: 0, session: 0 });
    table.add({ pid: 10_000_004, dead: true });
    const options = { readMark, newest: () => 0, exclude: new Set([10_000_001]) };
    expect((await sweep(mark, platform, options)).quiet).toBe(true);
    expect(signals).toEqual([10_000_002]);
    // It would be the end of all that share the group, and of the host.
    expect(groups).toEqual([]);
  });

  it('[MARK-6] leaves no process, however they fork while they are looked at', async () => {
    // Each number says what happens at one look at a process: the n-th of those that are marked and live forks, and exits
    // (even numbers), or lives on.
    const steps = fc.array(fc.nat(20), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (forks) => {
        const { platform, table, marked, mark } = fakes();
        const stranger = table.add({ pid: 10_000_000 });
        let newest = 10_000_001;
        marked.add(table.add({ pid: newest }).pid);
        const plan = [...forks];
        const happen = () => {
          const fork = plan.pop();
          const living = [...marked].filter((pid) => table.rows.has(pid));
          const parent = living[(fork ?? 0) % Math.max(living.length, 1)];
          if (fork === undefined || parent === undefined) return;
          newest += 1;
          marked.add(table.add({ pid: newest, startTime: newest }).pid);
          if (fork % 2 === 0) table.remove(parent);
        };
        const read = table.read.bind(table);
        table.read = (pid) => {
          happen();
          return read(pid);
        };
        const readMark = readerOf(mark, (pid) => marked.has(pid));
        const report = await sweep(mark, platform, { readMark, newest: () => newest });
        expect(report.quiet).toBe(true);
        expect([...table.rows.keys()]).toEqual([stranger.pid]);
      }),
      { numRuns: 60 },
    );
  });
});

/** A machine of which the test says what lives there; all bear the mark. */
function fakes() {
  const table = new FakeTable();
  const signals: number[] = [];
  const groups: number[] = [];
  const marked = new Set<number>();
  const platform: Platform = {
    table,
    ...{ hasSigterm: true, pace: linux.pace, detached: true },
    signalProcess: (pid) => {
      signals.push(pid);
      table.remove(pid);
    },
    signalGroup: (group) => {
      groups.push(group);
      for (const row of [...table.rows.values()]) if (row.group === group) table.remove(row.pid);
    },
  };
  const mark = { host: newHostMark() };
  return { table, platform, signals, groups, marked, mark, readMark: readerOf(mark, () => true) };
}
