import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { LaneEvents } from '../../../src/index.js';
import { Contest, inversions, newLane, node, overlaps } from '../../helpers/lanes.js';
import { isLiving, livingProcesses, type ProcessInfo } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/**
 * Runs a command of the shell that writes `start` and does `work`. Before `start` it writes `beside` when a process of another
 * command of the lane lives. Each process of its tree has `$TREE` and its own name as arguments.
 */
const participant = (work: string) => `
  const { SequentialExecutor } = await import(SRC + '/sequence/sequential-executor.js');
  const lane = new SequentialExecutor({ lane: 'tests', folder: FOLDER });
  const command = ${JSON.stringify(`TREE=$1 LOG=$2 ME=$3
    log() { echo "$1 $ME" >>"$LOG"; }
    for file in $(grep -lzxF -- "$TREE" /proc/[0-9]*/cmdline "$ME" 2>/dev/null); do
      grep -qzxF -- "$ME" "$file" "$TREE" 2>/dev/null || { [ -e "$file" ] && log beside; }
    done
    log start
    ${work}`)};
  log('coming');
  const result = await lane.run('sh', ['-c', command, 'sh', FOLDER + '/tree', LOG, ME], {
    onWaiting: ({ position }) => log('place-' + position),
    termGrace: 0,
  });
  log(result.endedBy);`;

const BRIEF = participant('log end');
/**
 * A helper in the group, one in a session of its own, and one that has also lost its environment. None writes to the pipe of the
 * host: it would end with it by itself.
 */
const LONG = participant(`
    tail -f /dev/null "$TREE" "$ME" >/dev/null 2>&1 &
    setsid tail -f /dev/null "$TREE" "$ME" >/dev/null 2>&1 &
    setsid env -i "$(command -v tail)" -f /dev/null "$TREE" "$ME" >/dev/null 2>&1 &
    log busy
    wait`);

describe('the death of a holder', () => {
  it('[LANE-10] gives the lane on when its whole tree is dead, and tells it', async () => {
    const contest = new Contest();
    contest.start('a', LONG);
    await contest.saw('busy', 'a');
    const lane = newLane({ folder: contest.folder });
    const reaped: LaneEvents['lane:reaped'][] = [];
    lane.on('lane:reaped', (event) => void reaped.push(event));
    let isWaiting = false;
    let left: ProcessInfo[] | undefined;
    const result = lane.run(...node('0'), {
      onWaiting: () => {
        isWaiting = true;
      },
      onStart: () => {
        left = contest.tree();
      },
    });
    await until('it waits', () => isWaiting);
    await until('its tree is complete', () => contest.tree().length === 4);
    contest.kill('a');
    expect([(await result).exitCode, left]).toEqual([0, []]);
    // The guardian of the dead host kills them, too: perhaps it was faster.
    for (const event of reaped) expect(event).toMatchObject({ lane: 'tests', survivors: [] });
    expect(readdirSync(contest.folder)).toEqual([]);
  });

  it('[LANE-10] is no death of its tree where the guardian dies with it: the next holder ends that', async () => {
    const contest = new Contest();
    const { child } = contest.start('a', LONG);
    await contest.saw('busy', 'a');
    const tree = await until('its tree is complete', () => {
      const found = contest.tree();
      return found.length === 4 && found;
    });
    const lane = newLane({ folder: contest.folder });
    const reaped: LaneEvents['lane:reaped'][] = [];
    lane.on('lane:reaped', (event) => void reaped.push(event));
    const ofTree = new Set(tree.map(({ pid }) => pid));
    const guardians = livingProcesses().filter(({ pid, parent }) => parent === child.pid && !ofTree.has(pid));
    // A host that runs replaces its guardian.
    child.kill('SIGSTOP');
    for (const { pid } of guardians) process.kill(pid, 'SIGKILL');
    await until('the guardian is dead', () => !guardians.some(({ pid }) => isLiving(pid)));
    contest.kill('a');
    await contest.hosts.get('a')?.result;
    let left: ProcessInfo[] | undefined;
    await lane.run(...node('0'), {
      onStart: () => {
        left = contest.tree();
      },
    });
    expect(left).toEqual([]);
    expect(reaped).toMatchObject([{ lane: 'tests', holder: { pid: child.pid, command: 'sh' }, survivors: [] }]);
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
