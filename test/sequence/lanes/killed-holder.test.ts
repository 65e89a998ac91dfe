import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LaneEvents } from '../../../src/index.js';
import { Contest, inversions, newLane, node, overlaps } from '../../helpers/lanes.js';
import { livingProcesses } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/**
 * Runs a command that writes `start`, does `work`, and writes `end`. Before `start` it writes `beside` when a process of another
 * command of the lane lives: each has its own name as its last argument, in every process of its tree.
 */
const participant = (work: string) => `
  const { SequentialExecutor } = await import(SRC + '/index.js');
  const lane = new SequentialExecutor({ lane: 'tests', folder: FOLDER });
  const command = ${JSON.stringify(`
    const [FOLDER, LOG, ME] = process.argv.slice(1);
    const { appendFileSync, readdirSync, readFileSync } = require('node:fs');
    const { spawn } = require('node:child_process');
    const log = (word) => appendFileSync(LOG, word + ' ' + ME + '\\n');
    const others = readdirSync('/proc').filter((pid) => {
      try {
        const args = readFileSync('/proc/' + pid + '/cmdline', 'latin1').split('\\0');
        const state = readFileSync('/proc/' + pid + '/stat', 'latin1').split(') ').at(-1)[0];
        return args.includes(FOLDER) && args.includes('tree') === true && !args.includes(ME) && state !== 'Z';
      } catch { return false; }
    });
    if (others.length > 0) log('beside');
    log('start');`)} + ${JSON.stringify(work)};
  log('coming');
  const result = await lane.run(process.execPath, ['-e', command, FOLDER, LOG, ME, 'tree'], {
    onWaiting: ({ position }) => log('place-' + position),
    termGrace: 0,
  });
  log(result.endedBy);`;

const BRIEF = participant(`log('end')`);
/** A helper in the group, one in a session of its own, and one that has also lost its environment. */
const LONG = participant(`
  const idle = ['-e', 'setInterval(() => {}, 1e6)', FOLDER, ME, 'tree'];
  spawn(process.execPath, idle, { stdio: 'ignore' });
  spawn(process.execPath, idle, { stdio: 'ignore', detached: true });
  spawn('env', ['-i', process.execPath, ...idle], { stdio: 'ignore', detached: true });
  log('busy');
  setInterval(() => {}, 1e6);`);

describe('the death of a holder', () => {
  it('[LANE-10] gives the lane on when its whole tree is dead, and tells it', async () => {
    const contest = new Contest();
    contest.start('a', LONG);
    await contest.saw('busy', 'a');
    const lane = newLane({ folder: contest.folder });
    const reaped: LaneEvents['lane:reaped'][] = [];
    lane.on('lane:reaped', (event) => void reaped.push(event));
    let isWaiting = false;
    const result = lane.run(...node('0'), {
      onWaiting: () => {
        isWaiting = true;
      },
      onStart: () => expect(contest.tree()).toEqual([]),
    });
    await until('it waits', () => isWaiting);
    expect(contest.tree().length).toBe(4);
    contest.kill('a');
    expect((await result).exitCode).toBe(0);
    // The guardian of the dead host kills them, too: perhaps it was faster.
    for (const event of reaped) expect(event).toMatchObject({ lane: 'tests', survivors: [] });
    expect(readdirSync(contest.folder)).toEqual([]);
  });

  it('[LANE-10] is no death of its tree where the guardian dies with it: the next holder ends that', async () => {
    const contest = new Contest();
    const { child } = contest.start('a', LONG);
    await contest.saw('busy', 'a');
    const tree = contest.tree();
    const lane = newLane({ folder: contest.folder });
    const reaped: LaneEvents['lane:reaped'][] = [];
    lane.on('lane:reaped', (event) => void reaped.push(event));
    const guardians = livingProcesses().filter(
      ({ parent }) => parent === child.pid && !tree.some(({ pid }) => pid === parent),
    );
    for (const { pid } of guardians) if (!tree.some((one) => one.pid === pid)) process.kill(pid, 'SIGKILL');
    contest.kill('a');
    await contest.hosts.get('a')?.result;
    await lane.run(...node('0'), { onStart: () => expect(contest.tree()).toEqual([]) });
    expect(reaped).toMatchObject([
      { lane: 'tests', holder: { pid: child.pid, command: process.execPath }, survivors: [] },
    ]);
    expect(reaped[0]?.processes.map(({ pid }) => pid).toSorted()).toEqual(tree.map(({ pid }) => pid).toSorted());
  });

  it('[LANE-12] never lets two run, nor one beside the tree of a dead one, with 100 processes', async () => {
    const contest = new Contest();
    contest.start('gate', LONG);
    await contest.saw('busy', 'gate');
    const names = Array.from({ length: 100 }, (_, index) => `p${index}`);
    const isDoomed = (index: number) => index % 5 === 2;
    for (const [index, name] of names.entries()) contest.start(name, isDoomed(index) ? LONG : BRIEF);
    const waiting = () => new Set(contest.events().flatMap(({ word, who }) => (word.startsWith('place-') ? who : [])));
    await until('most wait', () => waiting().size > 60);
    const victims = names.filter((name, index) => waiting().has(name) && !isDoomed(index)).slice(20, 30);
    for (const name of victims) contest.kill(name);
    contest.kill('gate');
    const killed = new Set(victims);
    const over = () => {
      for (const name of contest.who('start')) {
        if (!isDoomed(names.indexOf(name)) || killed.has(name)) continue;
        killed.add(name);
        contest.kill(name);
      }
      return new Set([...contest.who('exit'), ...killed]).size === names.length;
    };
    await until('all have run, or are dead', over, { timeout: 300_000 });
    for (const { result } of contest.hosts.values()) await result;
    const events = contest.events();
    expect([killed.size, contest.who('end').length, contest.who('beside')]).toEqual([30, 70, []]);
    expect(overlaps(events)).toEqual([]);
    expect(inversions(events)).toEqual([]);
  }, 400_000);
});
