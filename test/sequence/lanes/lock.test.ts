import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { Contest, inversions, overlaps } from '../../helpers/lanes.js';
import { until } from '../../helpers/until.js';

/** Takes the lane, holds it until `hold()` resolves, and leaves it. */
const holder = (hold: string) => `
  const { LaneFolder } = await import(SRC + '/sequence/lanes/lane-folder.js');
  const { takeTicket, waitForTurn } = await import(SRC + '/sequence/lanes/lane-lock.js');
  const { systemClock } = await import(SRC + '/runtime/clock.js');
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const forever = () => new Promise(() => {});
  const alive = setInterval(() => {}, 1e9);
  const folder = new LaneFolder('tests', FOLDER);
  log('coming');
  const turn = await takeTicket(folder, { pid: process.pid, command: ME, since: Date.now() });
  log('arrived');
  const signal = new AbortController().signal;
  await waitForTurn(folder, turn, { clock: systemClock, signal, onPlace: ({ position }) => log('place-' + position) });
  log('start');
  turn.tell();
  await (${hold})();
  log('end');
  turn.leave();
  clearInterval(alive);`;

const BRIEF = holder('() => pause(Math.random() * 5)');
const LONG = holder('forever');

describe('the lock of a lane', () => {
  it('[LANE-1] has one holder at a time, in the order of arrival', async () => {
    const contest = new Contest();
    const names = Array.from({ length: 10 }, (_, index) => `p${index}`);
    const results = await Promise.all(names.map((name) => contest.start(name, BRIEF).result));
    expect(results.map(({ code, stderr }) => [code, stderr])).toEqual(names.map(() => [0, '']));
    const events = contest.events();
    expect(contest.who('end').toSorted()).toEqual(names.toSorted());
    expect(overlaps(events)).toEqual([]);
    expect(inversions(events)).toEqual([]);
    expect(readdirSync(contest.folder)).toEqual([]);
  });

  it('[LANE-2] goes on by itself when a holder or a waiter is killed', async () => {
    const contest = new Contest();
    contest.start('a', LONG);
    await contest.saw('start', 'a');
    for (const who of ['b', 'c', 'd']) {
      contest.start(who, who === 'd' ? BRIEF : LONG);
      await contest.saw('arrived', who);
    }
    await until('d knows that three are before it', () => contest.who('place-3').includes('d'));
    contest.kill('c');
    await until('d knows that c is gone', () => contest.who('place-2').includes('d'));
    contest.kill('a');
    await contest.saw('start', 'b');
    contest.kill('b');
    const last = contest.hosts.get('d');
    expect(await last?.result).toMatchObject({ code: 0 });
    expect(overlaps(contest.events())).toEqual([]);
    // No dead participant has left a file.
    expect(readdirSync(contest.folder)).toEqual([]);
  });

  it('[LANE-3] keeps its promises with 100 processes, 20 killed holders and 10 killed waiters', async () => {
    const contest = new Contest();
    contest.start('gate', LONG);
    await contest.saw('start', 'gate');
    const names = Array.from({ length: 100 }, (_, index) => `p${index}`);
    const isDoomed = (index: number) => index % 5 === 2;
    for (const [index, name] of names.entries()) contest.start(name, isDoomed(index) ? LONG : BRIEF);
    // A part comes while the queue moves already.
    await until('most have come', () => contest.who('arrived').length > 60);
    const arrived = new Set(contest.who('arrived'));
    const waiters = names.filter((name, index) => arrived.has(name) && !isDoomed(index)).slice(20, 30);
    for (const name of waiters) contest.kill(name);
    contest.kill('gate');
    const killed = new Set(waiters);
    const over = () => {
      for (const name of contest.who('start')) {
        if (!isDoomed(names.indexOf(name)) || killed.has(name)) continue;
        killed.add(name);
        contest.kill(name);
      }
      return new Set([...contest.who('end'), ...killed]).size === names.length;
    };
    await until('all have held the lane, or are dead', over, { timeout: 100_000 });
    for (const { result } of contest.hosts.values()) await result;
    const events = contest.events();
    expect([killed.size, contest.who('end').length]).toEqual([30, 70]);
    expect(overlaps(events)).toEqual([]);
    expect(inversions(events)).toEqual([]);
    // Only what nobody came after can be left: who dies last is found by the next one.
    expect(readdirSync(contest.folder).length).toBeLessThanOrEqual(1);
  }, 200_000);
});
