import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import { RawClient } from '../../helpers/client.js';
import { NpmRegistry, npmUser } from '../../helpers/npm-registry.js';
import { descendants, isLiving } from '../../helpers/processes.js';
import { open, record } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

const NAME = '@modelcontextprotocol/server-everything';
const NEXT = '2099.1.1';

describe(NAME, () => {
  it('[PACKAGES-8] is 1 process and not 3, of the same version as by npx, through an upgrade, too', async () => {
    const registry = await NpmRegistry.open();
    registry.publishInstalled(NAME);
    const user = npmUser(registry);
    const pool = open({
      ours: { ...user.npx('-y', NAME), resolvePackages: true, reuse: 'never', refreshAfter: 1_000 },
      theirs: { ...user.npx('-y', NAME), reuse: 'never' },
    });
    const resolved = record(pool, 'package:resolved');
    const connect = async (name: string) => {
      const lease = await pool.getServer(name);
      const client = await RawClient.connect(lease.transport);
      const { tools } = (await client.request('tools/list')) as { tools: unknown[] };
      return { lease, tools: tools.length, processes: 1 + descendants(lease.pid!).length };
    };
    const version = () => pool.status().servers.ours!.instances.at(-1)!.package;
    const { version: installed } = createRequire(import.meta.url)(`${NAME}/package.json`) as { version: string };

    const ours = await connect('ours');
    const theirs = await connect('theirs');
    expect([ours.processes, theirs.processes]).toEqual([1, 3]);
    expect(ours.tools).toBe(theirs.tools);
    expect(version()).toBe(`${NAME}@${installed}`);

    registry.publishInstalled(NAME, NEXT);
    const later = async () => {
      const next = await connect('ours');
      if (resolved.length > 1) return next;
      next.lease.release();
      return undefined;
    };
    await until('the new version is there', later, { interval: 500 });
    const next = await connect('ours');
    expect(version()).toBe(`${NAME}@${NEXT}`);
    expect(next.processes).toBe(1);
    expect(isLiving(ours.lease.pid!)).toBe(true);
    expect(resolved.map((event) => event.version)).toEqual([installed, NEXT]);
  });
});
