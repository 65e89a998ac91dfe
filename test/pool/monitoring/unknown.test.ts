import { describe, expect, it } from 'vitest';
import { setUpMeasured } from '../../helpers/measured-pool.js';
import { outcome } from '../../helpers/until.js';

const many = { command: 'fake', sharing: 'exclusive', maxInstances: 10 } as const;
const failing = (code: string) => Object.assign(new Error(code), { code });

describe('a reading that fails', () => {
  it('[UNKNOWN-1] makes no spike last: no limit is exceeded, and nothing is held or ended', async () => {
    const { pool, pass, of, server } = setUpMeasured({ servers: { a: many }, limits: { memoryLimitMB: 1_000 } });
    const leases = await Promise.all(['w', 'x'].map((owner) => pool.getServer('a', { owner })));
    leases[1]?.release();
    for (const index of [0, 1]) server(index).load = { memoryMB: 100 };
    await pass(60_000);
    server(0).load = { memoryMB: 1_100 };
    await pool.monitor.sample();
    for (const index of [0, 1]) server(index).failure = failing('EMFILE');
    await pass(120_000);
    expect([of('limit:exceeded'), of('action:taken'), of('level:changed')]).toEqual([[], [], []]);
    expect([server(0).alive, server(1).alive]).toEqual([true, true]);
    // What is shown is the last that is known.
    expect(pool.metrics().memoryUsageMB).toBe(1_200);
  });

  it('[UNKNOWN-1] replaces no tree for what it had before', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: { command: 'fake', sharing: 'shared' } },
      limits: { memoryLimitMB: 1_000 },
    });
    await pool.getServer('a');
    server(0).load = { memoryMB: 1_050 };
    await pass(25_000);
    server(0).failure = failing('EMFILE');
    server(0).load = { memoryMB: 50 };
    await pass(300_000);
    expect([of('limit:exceeded'), of('action:taken')]).toEqual([[], []]);
    expect(of('server:starting')).toHaveLength(1);
    await pool.getServer('a');
  });

  it('[UNKNOWN-1] confirms no growth, and no level', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: many },
      monitoring: { levels: { enforce: true } },
    });
    await pool.getServer('a', { owner: 'x' });
    await pass(30_000);
    server(0).load = { processes: 41 };
    await pool.monitor.sample();
    server(0).load = { processes: 1 };
    server(0).failure = failing('EMFILE');
    await pass(120_000);
    expect([of('growth:detected'), of('level:changed'), of('action:taken')]).toEqual([[], [], []]);
    expect(server(0).alive).toBe(true);
  });

  it('[UNKNOWN-1] leaves a level as it is, and ends nothing more for it', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: { ...many, expectedProcesses: 1, priority: 'essential' }, b: many },
      monitoring: { levels: { enforce: true } },
    });
    await pool.getServer('a', { owner: 'x' });
    await pass(10_000);
    server(0).load = { processes: 41 };
    await pass(10_000);
    expect(pool.status().level).toBe('critical');
    server(0).failure = failing('EMFILE');
    await pass(120_000);
    expect(pool.status().level).toBe('critical');
    // Starts are free again, and what idles is not ended for what is not known.
    (await pool.getServer('b')).release();
    await pass(20_000);
    expect([of('server:stopping'), of('action:taken').filter(({ action }) => action.startsWith('end-'))]).toEqual([
      [],
      [],
    ]);
    server(0).failure = undefined;
    server(0).load = { processes: 1 };
    await pass(60_000);
    expect(pool.status().level).toBe('normal');
  });

  it('[UNKNOWN-2] holds no start for ever: after three samples they are free', async () => {
    const { pool, pass, of, launcher, server } = setUpMeasured({
      servers: { a: { command: 'fake', sharing: 'shared' }, b: { command: 'fake' } },
      limits: { memoryLimitMB: 1_000 },
      acquireTimeout: 600_000,
    });
    await pool.getServer('a');
    server(0).load = { memoryMB: 1_050 };
    for (let left = 60; left > 0; left -= 1) {
      await pass(1_000);
      // Its successor is never measured.
      for (const [index, one] of launcher.servers.entries())
        if (index > 0) Object.assign(one, { failure: failing('EACCES') });
    }
    expect(server(0).alive).toBe(false);
    expect(of('action:taken').map(({ action }) => action)).toContain('hold-starts');
    const other = pool.getServer('b');
    await pass(1_000);
    expect(await outcome(other)).not.toBe('pending');
    expect(of('action:taken').at(-1)).toMatchObject({
      action: 'free-starts',
      reason: '3 samples in a row did not show what all trees use',
    });
    expect(of('limit:recovered')).toEqual([]);
  });

  it('[UNKNOWN-3] of one tree hides no limit that the others exceed alone, and no growth', async () => {
    const { pool, pass, of, server } = setUpMeasured({
      servers: { a: many, b: { ...many, expectedProcesses: 1 } },
      limits: { memoryLimitMB: 1_000 },
    });
    await pool.getServer('b', { owner: 'y' });
    await pool.getServer('a', { owner: 'x' });
    server(0).failure = failing('EMFILE');
    server(1).load = { memoryMB: 100 };
    await pass(60_000);
    server(1).load = { memoryMB: 1_050, processes: 33 };
    await pass(60_000);
    expect(of('limit:exceeded')).toMatchObject([{ kind: 'total-memory', value: 1_050 }]);
    expect(of('growth:detected')).toMatchObject([{ processes: 32, names: ['a'] }]);
    expect(of('action:taken').map(({ action, name }) => [action, name])).toContainEqual(['replace', 'a']);
    expect(server(0).alive).toBe(true);
  });
});
