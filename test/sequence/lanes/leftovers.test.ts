import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { resolveRun } from '../../../src/config/lane-options.js';
import type { LeftTree } from '../../../src/index.js';
import { nextInstanceMark } from '../../../src/process/marks/marker.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { specOf, startCommand } from '../../../src/sequence/lanes/command-start.js';
import { removeLitter } from '../../../src/sequence/lanes/lane-files.js';
import { LaneFolder } from '../../../src/sequence/lanes/lane-folder.js';
import { endLeftovers } from '../../../src/sequence/lanes/leftovers.js';
import { readRun, writeRun } from '../../../src/sequence/lanes/run-record.js';
import { newFolder, setAge } from '../../helpers/folders.js';
import { isLiving } from '../../helpers/processes.js';
import { outcome, rejection, until } from '../../helpers/until.js';

const ID = 'a'.repeat(24);
/** Without cgroups, whose kill needs no signal. */
const platform = { ...linux, cgroups: undefined };

/** What a holder leaves: a command that runs, and what was written down about it. */
function leaveBehind() {
  const folder = new LaneFolder('tests', newFolder());
  folder.make();
  const mark = nextInstanceMark();
  writeRun(folder, ID, { pid: 4_711, command: 'sleep', since: 1 }, mark);
  const handlers = { onSpawn() {}, onSpawnError() {}, onExit() {}, onStderrLine() {}, wantsStderr: () => false };
  const started = startCommand(platform, specOf(resolveRun('sleep', ['1000'], {}), {}, mark), handlers, () => {});
  onTestFinished(async () => void (await started.end({ mode: 'emergency' })));
  return { folder, file: folder.file(`${ID}.run`), pid: started.pid ?? 0 };
}

const told = () => {
  const left: LeftTree[] = [];
  return { left, onLeft: (tree: LeftTree) => void left.push(tree), signal: new AbortController().signal };
};

describe('what an earlier holder has left', () => {
  it('[LANE-10] is ended and forgotten, but what is one’s own', async () => {
    const { folder, pid } = leaveBehind();
    const { left, ...options } = told();
    await endLeftovers(folder, ID, { platform, ...options });
    expect([isLiving(pid), left]).toEqual([true, []]);
    await until('the shell has become the command', () => linux.table.read(pid)?.command === 'sleep');
    await endLeftovers(folder, undefined, { platform, ...options });
    expect(isLiving(pid)).toBe(false);
    expect(left).toEqual([
      { holder: { pid: 4_711, command: 'sleep' }, processes: [{ pid, command: 'sleep' }], survivors: [] },
    ]);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('[LANE-10] is waited for when it cannot be ended, and told', async () => {
    const { folder, pid } = leaveBehind();
    const deaf = { ...platform, signalProcess() {}, signalGroup() {} };
    const { left, ...options } = told();
    const ended = endLeftovers(folder, undefined, { platform: deaf, ...options });
    await until('it is told', () => left.length > 0);
    expect(left).toMatchObject([{ survivors: [{ pid, command: 'sleep' }] }]);
    expect(await outcome(ended)).toBe('pending');
    process.kill(pid, 'SIGKILL');
    await ended;
    expect([left.length, left.at(-1)?.survivors]).toEqual([2, []]);
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('[LANE-10] ends the wait when that is given up, and is not forgotten', async () => {
    const { folder, file, pid } = leaveBehind();
    const deaf = { ...platform, signalProcess() {}, signalGroup() {} };
    const stop = new AbortController();
    const error = rejection(endLeftovers(folder, undefined, { platform: deaf, signal: stop.signal, onLeft() {} }));
    stop.abort('enough');
    expect(await error).toBe('enough');
    expect([isLiving(pid), readFileSync(file, 'utf8')]).toEqual([true, expect.stringContaining('sleep')]);
  });

  it('[LANE-10] is ended, or waited for, also where it shows no mark, as a setuid program', async () => {
    const folder = new LaneFolder('tests', newFolder());
    folder.make();
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const pid = child.pid ?? 0;
    const known = [{ pid, startTime: linux.table.read(pid)?.startTime ?? 0 }];
    writeRun(folder, ID, { pid: 4_711, command: 'sleep', since: 1 }, nextInstanceMark(), known);
    const { left, ...options } = told();
    const deaf = { ...platform, signalProcess() {} };
    const ended = endLeftovers(folder, undefined, { platform: deaf, ...options });
    await until('it is told', () => left.length > 0);
    expect([left[0]?.survivors, await outcome(ended)]).toEqual([[{ pid, command: 'sleep' }], 'pending']);
    // By another one, which may signal it.
    await endLeftovers(folder, undefined, { platform, ...options });
    await ended;
    expect([isLiving(pid), readdirSync(folder.path)]).toEqual([false, []]);
    // Another process that got the number is left alone.
    const other = [{ pid: process.pid, startTime: 1 }];
    writeRun(folder, ID, { pid: 4_711, command: 'sleep', since: 1 }, nextInstanceMark(), other);
    await endLeftovers(folder, undefined, { platform, ...options });
    expect(readdirSync(folder.path)).toEqual([]);
  });

  it('[LANE-10] of an earlier boot is forgotten, and no process is touched', async () => {
    const { folder, file, pid } = leaveBehind();
    const record = JSON.parse(readFileSync(file, 'utf8'));
    record.host.bootId = 'another';
    writeFileSync(file, JSON.stringify(record));
    const { left, ...options } = told();
    await endLeftovers(folder, undefined, { platform, ...options });
    expect([isLiving(pid), left, readdirSync(folder.path)]).toEqual([true, [], []]);
  });

  it('[LANE-2] that is no record of a run is removed', async () => {
    const folder = new LaneFolder('tests', newFolder());
    folder.make();
    for (const [index, text] of ['', 'no JSON', '{}', '[]', '{"pid":1}', 'null', '"x"'].entries()) {
      writeFileSync(join(folder.path, `${`${index}`.padStart(24, '0')}.run`), text);
    }
    expect(readRun(folder, '0'.repeat(24))).toBeUndefined();
    const { left, ...options } = told();
    await endLeftovers(folder, undefined, { platform, ...options });
    expect([left, readdirSync(folder.path)]).toEqual([[], []]);
  });

  it('[LANE-2] of those that died before they had a place is removed, unless it is young, or somebody has that place', () => {
    const folder = new LaneFolder('tests', newFolder());
    folder.make();
    const [old, young, present] = ['1', '2', '3'].map((digit) => digit.repeat(24));
    for (const id of [old, young, present]) {
      for (const ending of ['new', 'info', 'run.draft']) writeFileSync(folder.file(`${id}.${ending}`), '');
      if (id !== young) for (const name of folder.list()) setAge(folder.file(name), 61);
    }
    for (const ending of ['new', 'info', 'run.draft'])
      utimesSync(folder.file(`${young}.${ending}`), new Date(), new Date());
    writeFileSync(folder.file(`1.${present}`), '');
    removeLitter(folder, Date.now());
    expect(readdirSync(folder.path).filter((name) => name.startsWith('1'.repeat(24)))).toEqual([]);
    expect(readdirSync(folder.path)).toHaveLength(7);
  });
});
