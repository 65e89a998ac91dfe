import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runRecoveryDrill } from '../../src/index.js';
import { MARKER } from '../helpers/processes.js';
import { open } from '../helpers/real-pool.js';

const { resolve } = createRequire(import.meta.url);

/** An official server, as its package starts it. */
function official(name: string) {
  const folder = dirname(resolve(`@modelcontextprotocol/server-${name}/package.json`));
  return { command: process.execPath, args: [join(folder, 'dist/index.js')], inheritEnv: [MARKER] };
}

describe('a drill of an official server', () => {
  it.each([
    ['kill', 'server:exited'],
    ['exit', 'server:exited'],
    ['hang', 'health:changed'],
  ] as const)(
    '[DRILL-1] %s: prints detection and recovery within the targets, and leaves the pool as it was',
    async (fault, by) => {
      const health = { interval: 1_000, timeout: 1_000 };
      const pool = open({ a: { ...official('sequential-thinking'), health } });
      await pool.warm('a', { count: 2 });
      const before = pool.status();
      const report = await runRecoveryDrill(pool, { server: 'a', fault });
      expect(report).toMatchObject({ verdict: 'passed', detectedBy: by, restored: true });
      const table = String(report);
      expect(table).toMatch(/^detection .* < 60 s +ok$/m);
      expect(table).toMatch(/^restart .* < 10 s +ok$/m);
      expect(table).toMatch(/^recovery +\d+ m?s$/m);
      const { idle, leases, processes } = before;
      expect(pool.status()).toMatchObject({ idle, leases, processes });
    },
  );
});
