import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, uptime } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { guardianStart } from '../../src/process/guardian/guardian.js';
import type { GuardianPlan } from '../../src/process/guardian/guardian-plan.js';
import { procIdentity } from '../../src/process/guardian/guardian-script.js';
import { isLedgerOf, writeLedger } from '../../src/process/guardian/ledger.js';
import { newHostMark, rlimitValue } from '../../src/process/marks/marker.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { startHost } from '../helpers/host.js';
import { ledgerRecord } from '../helpers/ledgers.js';
import { isLiving, killProcess, MARKER, readProcess } from '../helpers/processes.js';
import { reaperUrl } from '../helpers/reaper-url.js';
import { until } from '../helpers/until.js';
import { forgeries } from './forgeries.js';
import { forger, MALLORY, OBSTACLE, oldSession } from './strangers.js';

// A guardian of root outlives its host, and ends processes then. It believes neither marks nor, later, its own pipe.

const NO_NODE = { executable: '/no/such/node', file: '/no/reaper.js', env: {} };
const REAPER = { executable: process.execPath, file: fileURLToPath(reaperUrl()), env: {} };

function folder(mode = 0o700): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  chmodSync(path, mode);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A guardian in the hands of the test: `tell` writes into its pipe; `end` is the death of its host. */
function guard(more: Partial<GuardianPlan>) {
  const since = readProcess(process.pid)?.startTime ?? 0;
  const host = more.host ?? newHostMark();
  const plan = {
    shell: '/bin/sh',
    reaper: NO_NODE,
    host,
    ledger: undefined,
    cgroups: [],
    since,
    ...more,
  };
  const { file, args, input } = guardianStart(plan, procIdentity) ?? { file: '', args: [], input: '' };
  const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'ignore'], env: {}, detached: true });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.stdin.write(input);
  return {
    host,
    tell: (line: string) => void child.stdin.write(`${line}\n`),
    end: async () => {
      const exit = once(child, 'exit');
      child.stdin.end();
      await exit;
    },
  };
}

/** A process of this user with the mark of a host, which the guardian must find. */
async function orphan(limit: bigint): Promise<string> {
  const tag = newTag();
  const script = `ulimit -S -w ${limit} 2>/dev/null || ulimit -S -x ${limit}; setsid sleep 50 "$0" & true`;
  await once(spawn('sh', ['-c', script, tag], { stdio: 'ignore' }), 'exit');
  await until('it is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
  return tag;
}

/** A program that its user may run but not read is not dumpable: /proc shows its files as those of root. */
function unreadable(program: string): string {
  const file = join(folder(0o755), program);
  copyFileSync(spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim(), file);
  chmodSync(file, 0o711);
  return file;
}

describe('the limit of a host of root, forged, when the shell of its guardian sweeps', () => {
  const all = {
    ...forgeries(0),
    'a program that may not be read': {
      make: () => forger({ script: `exec ${unreadable('sleep')} 50 "$0"` }),
      obstacle: OBSTACLE,
    },
    'a process in an older session without a leader': { make: () => oldSession(), obstacle: OBSTACLE },
    'a process in an older session': { make: () => oldSession([], { leader: 'living', user: 0 }), obstacle: OBSTACLE },
  };
  const made = Object.entries(all).filter(([, { obstacle }]) => obstacle === undefined);

  it(`[GUARD-5] [MARK-12] on ${Object.keys(all).length} kinds of processes: they live on`, async ({ skip }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    const old = all['a process in an older session'].make();
    await until('it is older than the guardian', () => old.daemon());
    const since = Math.ceil(uptime() * 100) + 1;
    const host = newHostMark();
    const limit = rlimitValue({ host, instance: 3 });
    const others = made.filter(([what]) => what !== 'a process in an older session');
    const forged = [old, ...others.map(([, { make }]) => make())];
    const names = ['a process in an older session', ...others.map(([what]) => what)];
    await Promise.all(forged.map((one) => one.forge(String(limit))));
    const tag = await orphan(limit);
    await guard({ host, since }).end();
    expect(tagged(tag)).toEqual([]);
    expect(forged.map((one, index) => [names[index], one.lives()])).toEqual(names.map((name) => [name, true]));
  });
});

describe.runIf(OBSTACLE === undefined)(
  'what a host writes to its guardian after it has lost its privileges (needs root)',
  () => {
    it('[GUARD-8] a folder that is none of its cgroups: no file in it is written', async () => {
      const { host, tell, end } = guard({});
      const target = join(folder(), 'target');
      writeFileSync(target, 'as it was');
      const theirs = folder(0o755);
      chownSync(theirs, MALLORY, MALLORY);
      // Of the right name, and of another one; by itself, behind a link, and beside a link out of a file system of cgroups.
      for (const name of [`mcp-server-pool-${host.id}`, `mcp-server-pool-${newHostMark().id}`, 'x']) {
        mkdirSync(join(theirs, name));
        symlinkSync(target, join(theirs, name, 'cgroup.kill'));
        tell(`c ${join(theirs, name)}`);
        mkdirSync(join(theirs, `of-${name}`));
        symlinkSync(join(theirs, name), join(theirs, `of-${name}`, `mcp-server-pool-${host.id}`));
        tell(`c ${join(theirs, `of-${name}`, `mcp-server-pool-${host.id}`)}`);
      }
      await end();
      expect(readFileSync(target, 'utf8')).toBe('as it was');
    });

    it('[GUARD-8] the identity of another host: nothing of that ends, but what its own has left', async () => {
      const [own, other] = [newHostMark(), newHostMark()];
      const [left, foreign] = await Promise.all([own, other].map((host) => orphan(rlimitValue({ host, instance: 1 }))));
      for (const reaper of [NO_NODE, REAPER]) {
        const { tell, end } = guard({ host: own, reaper });
        for (const line of [`m ${other.secret}`, `i ${other.id}`, `n ${other.number}`, 's 1']) tell(line);
        await end();
        expect([tagged(left ?? '').length, tagged(foreign ?? '').length]).toEqual([0, 1]);
      }
      for (const row of tagged(foreign ?? '')) killProcess(row);
    });

    it('[GUARD-8] a file that is not its ledger: the reaper does not remove it', async () => {
      const place = folder();
      const record = ledgerRecord();
      const [file, foreign] = [writeLedger(record, [place]), writeLedger(ledgerRecord(), [place])];
      const { tell, end } = guard({ host: record.mark, reaper: REAPER, ledger: file });
      tell(`l ${foreign}`);
      await end();
      expect([isLiving(process.pid), readFileSync(foreign, 'utf8'), readFileSync(file, 'utf8')]).toEqual([
        true,
        expect.stringContaining('seed'),
        expect.stringContaining('seed'),
      ]);
      expect([isLedgerOf(file, record.mark), isLedgerOf(foreign, record.mark)]).toEqual([true, false]);
      await guard({ host: record.mark, reaper: REAPER, ledger: file }).end();
      expect(() => readFileSync(file)).toThrow(/ENOENT/);
      // Its folder can be exchanged by another user.
      const theirs = folder(0o755);
      chownSync(theirs, MALLORY, MALLORY);
      mkdirSync(join(theirs, 'of-root'), { mode: 0o700 });
      expect(isLedgerOf(join(theirs, 'of-root', `${record.mark.id}.2.json`), record.mark)).toBe(false);
    });
  },
);

describe('a host that gives up its privileges while a server runs', () => {
  it('[GUARD-8] [GUARD-1] gets a guardian without them with the next server', async ({ skip }) => {
    if (OBSTACLE !== undefined) skip(OBSTACLE);
    const tag = newTag();
    const host = startHost(
      `const { MCPServerPool } = await import(SRC + '/index.js');
      const server = { command: 'sh', args: ['-c', 'exec cat', '${tag}'], sharing: 'dedicated', inheritEnv: ['${MARKER}'] };
      const pool = new MCPServerPool({ servers: { a: server, b: server }, containment: 'markers' });
      setInterval(() => {}, 1_000);
      const guardian = () => pool.status().containment.guardian;
      const a = await pool.getServer('a');
      const before = guardian();
      process.setgroups([]); process.setgid(${MALLORY}); process.setuid(${MALLORY});
      const b = await pool.getServer('b');
      console.log(JSON.stringify({ before, after: guardian(), a: a.pid, b: b.pid }));`,
      { env: { TMPDIR: folder(0o1777), XDG_RUNTIME_DIR: '' } },
    );
    const { before, after, a, b } = JSON.parse(await until('it runs', () => host.stdout()));
    for (const pid of [a, after]) onTestFinished(() => void (isLiving(pid) && process.kill(pid, 'SIGKILL')));
    expect(readFileSync(`/proc/${after}/status`, 'utf8')).toMatch(new RegExp(`^Uid:(\\s+${MALLORY}){4}$`, 'm'));
    await until('the guardian of root has ended', () => !isLiving(before));
    host.child.kill('SIGKILL');
    await host.result;
    await until('its server is dead', () => !isLiving(b));
    await until('the guardian has done its work', () => !isLiving(after));
  });
});
