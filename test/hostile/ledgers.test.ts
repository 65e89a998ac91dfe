import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forgetProblems, knownProblems } from '../../src/process/containment-problems.js';
import { reapDeadHosts } from '../../src/process/guardian/dead-hosts.js';
import { type LedgerRecord, writeLedger } from '../../src/process/guardian/ledger.js';
import { judge } from '../../src/process/marks/evidence.js';
import { pidScope } from '../../src/process/marks/host-origin.js';
import { environmentValue, MARK_VARIABLE, markText, newHostMark, rlimitValue } from '../../src/process/marks/marker.js';
import { linux } from '../../src/process/platforms/linux.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { startHost } from '../helpers/host.js';
import { ledgerRecord } from '../helpers/ledgers.js';
import { killProcess, MARKER } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

// A ledger says to a host which processes of dead hosts it shall kill. Another process of the same user can write one, and
// another user can take the place in which it is kept.

const IS_ROOT = process.getuid?.() === 0;
const ALICE = 2_001;
const MALLORY = 2_002;

function folder(mode = 0o700): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  chmodSync(path, mode);
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** Of the link itself, not of what it leads to. */
const ownerOf = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.uid ?? MALLORY;

/** A server of a host with that record: with both marks. Its host, this process, lives. */
async function server({ mark }: LedgerRecord): Promise<string> {
  const tag = newTag();
  const instance = { host: mark, instance: 1 };
  const limit = rlimitValue(instance);
  const script = `ulimit -S -w ${limit} 2>/dev/null || ulimit -S -x ${limit}; setsid sleep 50 "$0" & true`;
  const env = { ...process.env, [MARK_VARIABLE]: environmentValue(instance, '') };
  await once(spawn('sh', ['-c', script, tag], { stdio: 'ignore', env }), 'exit');
  await until('it is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
  return tag;
}

describe('a forged ledger of the same user, in another folder', () => {
  /** What it claims of the host that lives. */
  const CLAIMS: Readonly<Record<string, Partial<LedgerRecord>>> = {
    'is dead, by its pid': { pid: 2 ** 22 + 1 },
    'has another start time': { startTime: 1 },
    'is of this container': { ...pidScope(), startTime: 2 },
    'has more cgroups': { cgroups: ['/sys/fs/cgroup', '/'] },
  };

  it.each(Object.keys(CLAIMS))('[LEDGER-5] that its host %s, ends none of its servers', async (claim) => {
    const living = ledgerRecord();
    const tag = await server(living);
    const place = folder();
    // By the file of the other, so that its name is right; and with a name of its own.
    const file = writeLedger(living, [join(place, 'mcp-server-pool')]);
    const { mark, ...rest } = { ...living, ...CLAIMS[claim] };
    writeFileSync(file, JSON.stringify(rest));
    const { mark: own, ...origin } = ledgerRecord({ ...living, ...CLAIMS[claim] });
    writeFileSync(join(dirname(file), `${own.id}.2.json`), JSON.stringify(origin));
    expect(mark).toEqual(living.mark);
    await reapDeadHosts([dirname(file)], linux, () => expect.fail('nothing was left'));
    forgetProblems('ledger');
    expect(tagged(tag).map(({ command }) => command)).toEqual(['sleep']);
  });

  it('[LEDGER-5] of a host that has the number of a living one, does not concern a process that names that', () => {
    const living = { host: newHostMark(), instance: 1 };
    const id = living.host.id.slice(0, 8) + newHostMark().id.slice(8);
    const twin = { secret: 'f'.repeat(32), id, number: living.host.number };
    const owner = { user: 7, isHere: true, login: undefined, isRaised: false };
    const seeker = { mark: { host: twin }, users: new Set([7]), login: undefined, isInner: () => false };
    const reading = { marks: [markText(living)], limit: rlimitValue(living), owner };
    expect(judge(reading, seeker)).toBe(false);
    expect(judge(reading, { ...seeker, mark: { host: living.host } })).toBe('environment');
    expect(judge({ ...reading, marks: [] }, seeker)).toBe('limit');
  });
});

/** Runs as a user without privileges, in a folder for temporary files that another user was in before. */
const host = (tag: string, more: string) => `
  const { MCPServerPool } = await import(SRC + '/index.js');
  process.setgroups([]); process.setgid(${ALICE}); process.setuid(${ALICE});
  const args = ['-c', '(env -i setsid sh -c "sleep 50 ${tag} & true" &); exec cat'];
  const pool = new MCPServerPool({ command: 'sh', args, sharing: 'dedicated', inheritEnv: ['${MARKER}'], containment: 'markers' });
  const degraded = [];
  const reaped = [];
  pool.on('containment:degraded', ({ part, reason }) => degraded.push(part + ': ' + reason));
  pool.on('orphan:reaped', ({ processes }) => reaped.push(...processes.map(({ command }) => command)));
  setInterval(() => {}, 1_000);
  ${more}`;

const STARTS = `await pool.getServer();
  const { ledger, guardian } = pool.status().containment;
  console.log(JSON.stringify({ ledger, guardian, degraded }));`;

/** What the other user has made there. */
const TAKEN: Readonly<Record<string, string>> = {
  'a folder': 'mkdir -m 777 "$1"',
  'a file': 'echo x >"$1"',
  'a link': 'ln -s /tmp "$1"',
  'a folder, and many with names like ours':
    'mkdir "$1"; for i in 1 2 3 4 5 6 7 8 9; do mkdir -m 777 "$1-abcde$i"; done',
};

describe.runIf(IS_ROOT)('a place for ledgers that another user has taken (needs root)', () => {
  it.each(Object.keys(TAKEN))('[LEDGER-6] by %s, costs nothing', async (what) => {
    const TMPDIR = folder(0o1777);
    const taken = join(TMPDIR, `mcp-server-pool-${ALICE}`);
    const ids = { uid: MALLORY, gid: MALLORY };
    const { status } = spawnSync('sh', ['-c', TAKEN[what] ?? '', 'sh', taken], ids);
    expect(status).toBe(0);
    const env = { TMPDIR, XDG_RUNTIME_DIR: '' };
    const tag = newTag();
    const first = startHost(host(tag, STARTS), { env });
    const { ledger, guardian, degraded } = JSON.parse(await until('it runs', () => first.stdout()));
    expect(ledger).toMatch(new RegExp(`^${taken}-[A-Za-z0-9]{6}/[0-9a-f]{32}\\.2\\.json$`));
    expect(degraded.filter((problem: string) => problem.startsWith('ledger'))).toEqual([]);
    const { uid, mode } = statSync(dirname(ledger));
    expect([uid, mode & 0o777]).toEqual([ALICE, 0o700]);
    await until('it has left its tree', () => tagged(tag).some(({ command }) => command === 'sleep'));
    // Stopped first: it would start another guardian, which would do the work of the next host.
    first.child.kill('SIGSTOP');
    process.kill(guardian, 'SIGKILL');
    first.child.kill('SIGKILL');
    await first.result;
    const left = tagged(tag).filter(({ command }) => command === 'sleep');
    for (const row of left) onTestFinished(() => killProcess(row));
    const next = startHost(
      host(
        '-',
        `const end = Date.now() + 60_000;
        while (reaped.length === 0 && Date.now() < end) await new Promise((resolve) => setTimeout(resolve, 20));
        await pool.shutdown();
        console.log(JSON.stringify({ reaped, degraded }));
        process.exit();`,
      ),
      { env },
    );
    const { stdout } = await next.result;
    const report = JSON.parse(stdout);
    expect(report.reaped).toContain('sleep');
    expect(report.degraded.filter((problem: string) => problem.startsWith('ledger'))).toEqual([]);
    expect(tagged(tag)).toEqual([]);
    // The random folder is removed with its last ledger; what the other user has made stays.
    await until('it is removed', () => readdirSync(TMPDIR).every((name) => ownerOf(join(TMPDIR, name)) === MALLORY));
  });

  it('[LEDGER-6] is reported only where there is no other', async () => {
    const TMPDIR = folder(0o755);
    const tag = newTag();
    const only = startHost(host(tag, `${STARTS} await pool.shutdown(); process.exit();`), {
      env: { TMPDIR, XDG_RUNTIME_DIR: '' },
    });
    const { stdout } = await only.result;
    const { ledger, degraded } = JSON.parse(stdout);
    expect(ledger).toBeUndefined();
    expect(degraded.filter((problem: string) => problem.startsWith('ledger: no ledger'))).toHaveLength(1);
    expect(knownProblems()).toEqual([]);
  });
});
