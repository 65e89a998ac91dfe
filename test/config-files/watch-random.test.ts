import { mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { expect, it } from 'vitest';
import { random } from '../chaos/random.js';
import { RawClient } from '../helpers/client.js';
import { newFolder } from '../helpers/folders.js';
import { until } from '../helpers/until.js';
import { watched } from '../helpers/watched-config.js';

const OPERATIONS = Number(process.env.OPERATIONS ?? (process.env.FAST ? 1_000 : 10_000));
/** Between two looks at what has become of it. */
const BURST = 50;
const SHARED = { command: 'steady', sharing: 'shared' };

it('[CONFIG-15] 10,000 random edits, renames, deletions and half-writes: the pool has the servers of the last valid file', async () => {
  const folder = newFolder();
  const place = (name: string) => join(folder, name);
  const path = place('mcp.json');
  const dice = random(Number(process.env.SEED ?? 14));
  const pick = <T>(items: readonly T[]) => items[Math.floor(dice() * items.length)] as T;
  let version = 0;
  /** Servers at random, and one that is always there, and never changes. */
  const newServers = () => {
    version += 1;
    const names = ['a', 'b', 'c', 'd', 'e'].filter(() => dice() < 0.5);
    const changed = names.map((name) => [name, { command: name, args: [String(Math.floor(dice() * 3))] }]);
    return { ...Object.fromEntries(changed), steady: SHARED } as Record<string, object>;
  };
  const textOf = (servers: object) => JSON.stringify({ version, mcpServers: servers }, null, Math.floor(dice() * 3));
  const remove = () => rmSync(path, { force: true });
  /** It may be a link by an earlier operation: then that is exchanged, and not what it leads to. */
  const replace = (text: string) => {
    writeFileSync(place('next'), text);
    renameSync(place('next'), path);
  };
  const operations: (() => void)[] = [
    () => writeFileSync(path, textOf(newServers())),
    () => replace(textOf(newServers())),
    () => writeFileSync(path, textOf(newServers()).slice(0, Math.floor(dice() * 60))),
    () => writeFileSync(path, pick(['', '{', 'null', '[]', '{"mcpServers":3}', '\ufffe', '{"mcpServers":{}}x'])),
    () => truncateAt(path, dice()),
    remove,
    () => {
      remove();
      renameAway(place('kept'), path);
    },
    () => renameAway(path, place('kept')),
    () => {
      // As a ConfigMap of Kubernetes changes.
      const name = `..${version}`;
      mkdirSync(place(name), { mode: 0o700, recursive: true });
      writeFileSync(join(place(name), 'mcp.json'), textOf(newServers()));
      rmSync(place('link'), { force: true });
      symlinkSync(join(name, 'mcp.json'), place('link'));
      renameSync(place('link'), path);
    },
    () => {
      remove();
      mkdirSync(path);
      rmSync(path, { recursive: true });
    },
  ];

  const first = newServers();
  replace(textOf(first));
  const world = watched(path, {}, {});
  const { pool, watch, clock, launcher, emitted } = world;
  await watch.ready;
  const lease = await pool.getServer('steady');
  const client = await RawClient.connect(lease.transport);
  const { pid } = lease;
  let calls = 0;
  const definitions = () =>
    Object.fromEntries(Object.keys(pool.status().servers).map((name) => [name, pool.getDefinition(name)]));

  for (let done = 0; done < OPERATIONS; done += BURST) {
    for (let step = 1; step < BURST; step++) {
      pick(operations)();
      if (dice() < 0.1) await clock.advanceAndFlush(pick([10, 100, 400, 500, 5_000]));
    }
    // Some bursts end with a file that is no good: then the last good one is in force.
    // No other version has it: what is in force by chance is told from what was read.
    const last = { ...newServers(), latest: { command: 'latest', args: [String(version)] } };
    replace(textOf(last));
    await until(`the servers of version ${version}`, async () => {
      await clock.advanceAndFlush(500);
      return isDeepStrictEqual(definitions(), last);
    });
    const steps = [...Array(Math.floor(dice() * 4))].map(() => pick(operations.slice(2, 6)));
    for (const spoil of steps) spoil();
    await clock.advanceAndFlush(5_000);
    if (steps.length > 0)
      await until('nothing more is due', async () => {
        await clock.advanceAndFlush(500);
        return clock.pending === 1;
      });
    expect(definitions()).toEqual(last);
    await client.request('tools/list');
    calls += 1;
  }
  // The server of the entry that never changed is the same process, and no call on it has failed.
  expect(calls).toBe(OPERATIONS / BURST);
  expect(lease.pid).toBe(pid);
  expect(launcher.living.map((server) => server.pid)).toEqual([pid]);
  expect(emitted.filter(({ event }) => event !== 'queue:waiting' && event !== 'queue:served')).toEqual([]);
}, 300_000);

function truncateAt(path: string, share: number): void {
  try {
    truncateSync(path, Math.floor(share * 100));
  } catch {
    // It is not there.
  }
}

function renameAway(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch {
    // It is not there; or the place is taken by a folder.
    try {
      unlinkSync(to);
    } catch {
      // The same.
    }
  }
}
