import { expect, it } from 'vitest';
import { setUpMeasured } from '../../helpers/measured-pool.js';

const one = { command: 'fake', expectedProcesses: 1 } as const;

/** A spare server that has far too many processes 3 s after each start, and a neighbour that a caller uses. */
async function exploding(minutes: number, alone = false) {
  const servers = { bad: { ...one, minIdle: 1 }, ...(alone ? {} : { good: one }) };
  const measured = setUpMeasured({ servers, monitoring: { levels: { enforce: true } } });
  const { pool, pass, launcher, clock } = measured;
  const born = new Map<object, number>();
  const starts: number[] = [];
  const live = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      if (!alone && launcher.livingOf('good').length === 0) await pool.getServer('good').catch(() => {});
      for (const server of launcher.livingOf('bad')) {
        if (!born.has(server)) starts.push(clock.now());
        born.set(server, born.get(server) ?? clock.now());
        if (clock.now() - (born.get(server) ?? 0) >= 3_000) Object.assign(server, { load: { processes: 151 } });
      }
      await pass(1_000);
    }
  };
  await live(minutes * 60_000);
  return { ...measured, starts, live };
}

it('[REST-2] a spare server that explodes at each start is started rarely, so that its neighbours are ended rarely', async () => {
  const { of, starts } = await exploding(30);
  const pauses = starts.slice(1).map((time, index) => time - (starts[index] ?? 0));
  expect(starts.length).toBeLessThanOrEqual(6);
  expect(starts.length).toBeGreaterThanOrEqual(4);
  for (const [index, pause] of pauses.slice(1).entries()) expect(pause).toBeGreaterThan(1.5 * (pauses[index] ?? 0));
  expect(of('action:taken').filter(({ action }) => action === 'end-all').length).toBe(starts.length);
});

it('[REST-2] also where it is the only server, and nothing is sampled while none lives', async () => {
  const { starts, pool } = await exploding(10, true);
  expect(starts.length).toBeLessThanOrEqual(4);
  expect(starts.length).toBeGreaterThanOrEqual(3);
  expect(pool.monitor.level).toBe('normal');
});

it('[REST-2] a changed definition, and stop() of the monitor, end the pause', async () => {
  for (const end of ['update', 'stop'] as const) {
    const { starts, live, pool } = await exploding(6);
    const before = starts.length;
    if (end === 'stop') pool.monitor.stop();
    else await pool.updateServer('bad', { ...one, minIdle: 1, args: ['other'] });
    await live(2_000);
    expect(starts.length).toBe(before + 1);
  }
});

it('[REST-2] a caller gets it all the same', async () => {
  const { pool, launcher } = await exploding(6);
  await pool.getServer('bad');
  expect(launcher.livingOf('bad')).toHaveLength(1);
});
