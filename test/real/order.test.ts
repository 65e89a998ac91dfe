import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { descendants } from '../helpers/processes.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { open, record } from '../helpers/real-pool.js';
import { smallServer } from '../helpers/small-server.js';
import { until } from '../helpers/until.js';

const EVENTS = ['server:starting', 'server:ready'] as const;

const CHAIN = {
  app: smallServer({ dependsOn: ['api', 'cache'] }),
  api: smallServer({ dependsOn: ['db'] }),
  cache: smallServer(),
  db: smallServer(),
};

describe('pool.start() of real servers', () => {
  it('[SEQ-24] aborted at any of 200 moments leaves nothing', { timeout: 900_000 }, async () => {
    const pool = open(CHAIN);
    const { duration } = await pool.start();
    await pool.endAll({ mode: 'emergency' });
    const seen = new Set<string>();
    for (let moment = 0; moment < 200; moment++) {
      const stop = new AbortController();
      let events = 0;
      // Half of the moments are in the midst of an event, the others between.
      const abortIn = moment % 2 === 0 ? Infinity : 1 + ((moment >> 1) % 8);
      const listen = () => {
        events += 1;
        if (events === abortIn) stop.abort();
      };
      for (const event of EVENTS) pool.on(event, listen);
      const timer = moment % 2 === 0 ? setTimeout(() => stop.abort(), (duration * moment) / 200) : undefined;
      const report = await pool.start({ signal: stop.signal });
      clearTimeout(timer);
      for (const event of EVENTS) pool.off(event, listen);
      seen.add(`${report.state} ${events}`);
      if (report.state !== 'ready') expect([report.survivors, descendants()]).toEqual([[], []]);
      else await pool.endAll({ mode: 'emergency' });
    }
    expect(descendants()).toEqual([]);
    // It was swept in fact.
    expect(seen.size).toBeGreaterThan(5);
  });

  const runs = propertyRuns(25);

  it('[SEQ-24] random graphs, with servers that fail and that are killed: never out of order', {
    timeout: runs.testTimeout,
  }, async () => {
    const graph = fc
      .array(fc.record({ needs: fc.array(fc.nat(5), { maxLength: 3 }), fails: fc.nat(9), required: fc.boolean() }), {
        minLength: 2,
        maxLength: 6,
      })
      .map((rows) =>
        Object.fromEntries(
          rows.map(({ needs, fails, required }, index): [string, ServerDefinition] => {
            const dependsOn = [...new Set(needs.filter((need) => need < index))].map((need) => `s${need}`);
            return [`s${index}`, smallServer({ dependsOn, required, env: fails === 0 ? { FAILS: '1' } : {} })];
          }),
        ),
      );
    const run = async (servers: Record<string, ServerDefinition>, victim: number) => {
      const pool = open(servers, { monitoring: { enabled: false } });
      const wrong: string[] = [];
      const up = new Set<string>();
      const needsOf = (name: string) => (servers[name]?.dependsOn ?? []) as readonly string[];
      pool.on('server:starting', ({ name }) => {
        for (const need of needsOf(name)) if (!up.has(need)) wrong.push(`${name} started before ${need} was ready`);
      });
      pool.on('server:ready', ({ name }) => void up.add(name));
      pool.on('server:stopping', ({ name, reason }) => {
        if (reason === 'crashed' || reason === 'start-failed') return;
        for (const other of up)
          if (needsOf(other).includes(name)) wrong.push(`${name} stops before ${other} has ended`);
      });
      pool.on('server:stopped', ({ name }) => void up.delete(name));
      const report = await pool.start();
      for (const { id, state } of report.steps) if ((state === 'ready') !== up.has(id)) wrong.push(`${id} is ${state}`);
      const names = [...up];
      const killed = names[victim % Math.max(1, names.length)];
      const pid = killed === undefined ? undefined : pool.status().servers[killed]?.instances[0]?.pid;
      if (pid !== undefined) {
        const stopped = pool.waitFor('server:stopped', { filter: ({ name }) => name === killed });
        process.kill(pid, 'SIGKILL');
        await stopped;
        // What depends on it is started again after it.
        if (names.some((name) => needsOf(name).includes(killed ?? '')))
          await until('all are up again', () => names.every((name) => up.has(name)));
      }
      const ends = await pool.shutdown();
      expect([wrong, ends.survivors, descendants()]).toEqual([[], [], []]);
    };
    await assertWithin(fc.asyncProperty(graph, fc.nat(20), run), runs);
  });
});

describe('shutdown() of real servers under load', () => {
  it('[SEQ-25] with one that answers nothing and one that is deaf to signals: within its time, and nothing is left', async () => {
    const pool = open({
      app: smallServer({ dependsOn: ['api'], env: { DEAF: '1' }, eofGrace: 60_000, termGrace: 60_000 }),
      api: smallServer({ dependsOn: ['db'], env: { DEAF: '1' }, eofGrace: 60_000, termGrace: 60_000 }),
      db: smallServer(),
    });
    const stopped = record(pool, 'server:stopped');
    const lease = await pool.getServer('app');
    const client = await RawClient.connect(lease.transport);
    // It is stopped: the request stays open.
    process.kill(lease.pid ?? 0, 'SIGSTOP');
    void client.request('tools/list').catch(() => {});
    await until('the request is open', () => pool.status().servers.app?.instances[0]?.openRequests === 1);
    const report = await pool.shutdown({ timeout: 3_000, drainTimeout: 60_000 });
    expect(stopped.map(({ name }) => name)).toEqual(['app', 'api', 'db']);
    expect([report.survivors, descendants(), report.waves]).toEqual([[], [], [['app'], ['api'], ['db']]]);
    // Without the deadline each of them would have had two minutes.
    expect(report.duration).toBeLessThan(60_000);
  });
});
