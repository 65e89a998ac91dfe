import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect, it } from 'vitest';
import { formatStatus } from '../../src/index.js';
import { auditFolder } from '../helpers/audit.js';
import { RawClient } from '../helpers/client.js';
import { fixture } from '../helpers/fixture.js';
import { open } from '../helpers/real-pool.js';
import { rejection, until } from '../helpers/until.js';

const VALUES = { alice: 'swordfish-of-alice', bob: 'marlin-of-bob' };
const FOLDER = '/no/such/folder-of-carol';
/** An argument, which the command line of the server itself has. */
const ARGUMENT = '--root=/data/of-alice';

it('[TENANT-12] two tenants with other env on one definition: two processes, and their values are nowhere', async () => {
  const audit = join(auditFolder(), 'audit.jsonl');
  const pool = open(
    { a: { ...fixture('echo'), idleTimeout: 60_000 }, sick: fixture('exit-after') },
    { audit: { path: audit } },
  );
  const seen: unknown[] = [];
  pool.onAny((event, payload) => {
    // Lines of stderr are as the server wrote them.
    if (event !== 'server:stderr') seen.push([event, payload]);
  });
  const { args } = fixture('echo');
  const alice = await pool.getServer('a', {
    tenant: 'alice',
    env: { KEY: VALUES.alice },
    args: [...args, ARGUMENT],
  });
  const bob = await pool.getServer('a', { tenant: 'bob', env: { KEY: VALUES.bob } });
  expect(bob.pid).not.toBe(alice.pid);
  const environments = [alice, bob].map(({ pid }) => readFileSync(`/proc/${pid}/environ`, 'utf8'));
  expect(environments[0]).toContain(`KEY=${VALUES.alice}\0`);
  expect(environments[1]).toContain(`KEY=${VALUES.bob}\0`);
  expect(environments[1]).not.toContain(VALUES.alice);

  const client = await RawClient.connect(alice.transport);
  await client.callTool('stderr', { text: `cannot use ${VALUES.alice} in /data/of-alice, nor ${ARGUMENT}\n` });
  const where = { tenant: 'carol', cwd: FOLDER };
  const nowhere = await rejection(pool.getServer('a', where));
  expect(nowhere).toMatchObject({ code: 'CWD_NOT_FOUND' });
  const crashing = await pool.getServer('sick', { tenant: 'alice', env: { KEY: VALUES.alice } });
  const dying = await RawClient.connect(crashing.transport);
  const lost = await rejection(dying.callTool('exit', { code: 9 }));
  await until('the crash is seen', () => dying.closeCount > 0);

  const commandLines = pids().map((pid) => ({ pid, line: commandLine(pid) }));
  const files = filesIn(process.env.XDG_RUNTIME_DIR ?? '');
  seen.push(
    pool.status(),
    pool.metrics(),
    pool.registry.list(),
    await pool.plan('shutdown'),
    alice,
    bob,
    nowhere,
    lost,
  );
  const text = formatStatus(pool.status(), { width: 200 });
  bob.release();
  await pool.restart('a', { timeout: 0 });
  seen.push(await pool.shutdown(), pool);
  const shown = [
    ...seen.map((one) => inspect(one, { depth: 20, showHidden: true })),
    JSON.stringify(seen.slice(0, 20)),
    text,
  ];
  const lines = readFileSync(audit, 'utf8');
  expect(lines.length).toBeGreaterThan(100);
  expect(files.length).toBeGreaterThan(0);
  expect(commandLines.find(({ pid }) => pid === alice.pid)?.line).toContain(ARGUMENT);
  const isOwn = ({ pid }: { pid: number }) => pid === alice.pid;
  const others = commandLines.filter((one) => !isOwn(one)).map(({ line }) => line);
  for (const value of [...Object.values(VALUES), FOLDER, ARGUMENT])
    for (const place of [...shown, ...others, ...files, lines])
      expect(place.includes(value), place.slice(0, 300)).toBe(false);
  for (const { line } of commandLines) for (const value of Object.values(VALUES)) expect(line).not.toContain(value);
});

function pids(): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .flatMap((path) => {
      try {
        return statSync(path).isFile() ? [readFileSync(path, 'utf8')] : [];
      } catch {
        return [];
      }
    });
}
