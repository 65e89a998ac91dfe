import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { removeIfEmpty } from '../../helpers/folders.js';
import { Contest, inversions, overlaps } from '../../helpers/lanes.js';
import { until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE, OTHER } from '../../hostile/strangers.js';

const EACH = 50;

describe.runIf(OBSTACLE === undefined)('100 processes of two users (needs root)', () => {
  it('[LANE-13] name the same lane and do not meet: each user has one holder at a time, in the order of arrival', async () => {
    const contest = new Contest();
    // All of them write into the log.
    chmodSync(dirname(contest.log), 0o755);
    chmodSync(contest.log, 0o666);
    // In the real /tmp of these users, so it needs a name of its own.
    const lane = `test-${process.pid}-${Date.now()}`;
    const participant = (user: number, hold: string) => `
      const { LaneFolder } = await import(SRC + '/sequence/lanes/lane-folder.js');
      const { takeTicket, waitForTurn } = await import(SRC + '/sequence/lanes/lane-lock.js');
      const { systemClock } = await import(SRC + '/runtime/clock.js');
      process.setgroups([]); process.setgid(${user}); process.setuid(${user});
      const alive = setInterval(() => {}, 1e9);
      const folder = new LaneFolder('${lane}', undefined);
      log('coming');
      const turn = await takeTicket(folder, { pid: process.pid, command: ME, since: Date.now() });
      log('arrived');
      const signal = new AbortController().signal;
      await waitForTurn(folder, turn, { clock: systemClock, signal, onPlace: () => {} });
      log('start');
      turn.tell();
      await ${hold};
      log('end');
      turn.leave();
      clearInterval(alive);`;
    for (const user of [MALLORY, OTHER]) onTestFinished(() => removeIfEmpty(`/tmp/mcp-server-pool-${user}`));
    const brief = 'new Promise((resolve) => setTimeout(resolve, 2))';
    contest.start('a-gate', participant(MALLORY, 'new Promise(() => {})'));
    await contest.saw('start', 'a-gate');
    for (let index = 0; index < EACH; index++) {
      contest.start(`a-${index}`, participant(MALLORY, brief));
      contest.start(`b-${index}`, participant(OTHER, brief));
    }
    const of = (user: string, word: string) => contest.who(word).filter((who) => who.startsWith(user));
    await until('all of one user have run', () => of('b-', 'end').length === EACH, { timeout: 100_000 });
    expect(of('a-', 'start')).toEqual(['a-gate']);
    await until('all of the other one wait', () => of('a-', 'arrived').length === 1 + EACH, { timeout: 100_000 });
    contest.kill('a-gate');
    await until('they have run, too', () => of('a-', 'end').length === EACH, { timeout: 100_000 });
    for (const { result } of contest.hosts.values()) expect((await result).stderr).toBe('');
    for (const user of ['a-', 'b-']) {
      const events = contest.events().filter(({ who }) => who.startsWith(user));
      expect([overlaps(events), inversions(events)]).toEqual([[], []]);
    }
  }, 300_000);
});
