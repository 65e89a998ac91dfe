import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forgetProblems, knownProblems } from '../../../src/process/containment-problems.js';
import { hostsIn, type ReapedHost, reapDeadHosts } from '../../../src/process/guardian/dead-hosts.js';
import {
  hostStateOf,
  type LedgerRecord,
  parseRecord,
  readLedgers,
  removeLedger,
  writeLedger,
} from '../../../src/process/guardian/ledger.js';
import { ledgerPlaces } from '../../../src/process/guardian/runtime-folder.js';
import { pidScope } from '../../../src/process/marks/host-origin.js';
import { environmentValue, MARK_VARIABLE, markText, newHostMark } from '../../../src/process/marks/marker.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { newTag, tagged } from '../../helpers/escapes.js';
import { ledgerRecord } from '../../helpers/ledgers.js';
import { readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** Only root can make what belongs to another user. */
const ROOT = process.getuid?.() === 0;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A host that does not run any more, of this boot and container. */
function deadHost(more: Partial<LedgerRecord> = {}): LedgerRecord {
  return ledgerRecord({ startTime: 1, ...more });
}

/** A process that such a host has left. */
async function orphan({ mark }: LedgerRecord): Promise<string> {
  const tag = newTag();
  const env = { ...process.env, [MARK_VARIABLE]: environmentValue({ host: mark, instance: 1 }) };
  await once(spawn('sh', ['-c', 'setsid sleep 50 "$0" & true', tag], { stdio: 'ignore', env }), 'exit');
  await until('it is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
  return tag;
}

async function reap(folders: string[]) {
  const reported: ReapedHost[] = [];
  await reapDeadHosts(folders, linux, (reaped) => reported.push(reaped));
  const problems = knownProblems().map(({ reason }) => reason);
  forgetProblems('ledger');
  return { reported, problems };
}

describe('a ledger', () => {
  it('[LEDGER-3] is private, and comes back as it was written', () => {
    const place = join(folder(), 'ledgers');
    const record = deadHost({ cgroups: ['/sys/fs/cgroup/x'] });
    const file = writeLedger(record, [join(place, 'no', 'such'), place]);
    expect([statSync(place).mode & 0o777, statSync(file).mode & 0o777]).toEqual([0o700, 0o600]);
    expect(readLedgers(place, fail)).toEqual([{ file, record }]);
    expect(Object.keys(JSON.parse(readFileSync(file, 'utf8')))).toEqual([
      ...['seed', 'pid', 'startTime', 'bootId', 'namespaces', 'cgroups'],
    ]);
    removeLedger(file);
    removeLedger(file);
    expect(readdirSync(place)).toEqual([]);
  });

  it('[LEDGER-4] is not written into a folder that is open to others, which is left as it is', () => {
    const place = folder();
    chmodSync(place, 0o755);
    expect(() => writeLedger(deadHost(), [place])).toThrow(/open to others/);
    expect(statSync(place).mode & 0o777).toBe(0o755);
  });

  it.runIf(ROOT)('[LEDGER-4] is not written into what is no folder of this user', () => {
    const place = folder();
    symlinkSync(folder(), join(place, 'link'));
    writeFileSync(join(place, 'file'), '');
    mkdirSync(join(place, 'theirs'));
    chownSync(join(place, 'theirs'), 65_534, 65_534);
    const all = ['link', 'file', 'theirs', 'no/such'].map((name) => join(place, name));
    expect(() => writeLedger(deadHost(), all)).toThrow(
      /link: it is a symbolic link; .*file: it is no folder; .*theirs: it belongs to another user; .*such: .*ENOENT/,
    );
    expect(() => writeLedger(deadHost(), [])).toThrow(/no place/);
    const problems: string[] = [];
    for (const path of all) expect(readLedgers(path, (problem) => problems.push(problem))).toEqual([]);
    expect(problems).toHaveLength(3);
  });

  it.runIf(ROOT)(
    '[LEDGER-4] that is damaged, huge, a link, no file, or of another user is reported, and the others are read',
    async () => {
      const place = folder();
      const at = () => join(place, `${newHostMark().id}.2.json`);
      const target = join(folder(), 'target');
      const good = deadHost();
      const theirs = at();
      const link = at();
      const [damaged, huge] = [at(), at()];
      writeFileSync(damaged, '{"mark":');
      writeFileSync(huge, ' '.repeat(10_000_000));
      writeFileSync(target, JSON.stringify({ ...good, mark: undefined }));
      symlinkSync(target, link);
      writeFileSync(theirs, JSON.stringify({ ...good, mark: undefined }));
      chownSync(theirs, 65_534, 65_534);
      mkdirSync(at());
      execFileSync('sh', ['-c', 'mkfifo "$0"', at()]);
      writeFileSync(join(place, 'notes.txt'), 'not ours to judge');
      writeFileSync(join(place, `${good.mark.id}.1.json`), '{"of":"another version"}');
      writeLedger(good, [place]);
      const tag = await orphan(good);
      const { reported, problems } = await reap([place, join(place, 'none')]);
      expect(reported).toMatchObject([{ hostPid: process.pid, survivors: [] }]);
      expect(tagged(tag)).toEqual([]);
      expect(problems.map((problem) => problem.replace(/.*json: /, '')).sort()).toEqual([
        ...['it belongs to another user', 'it is a symbolic link', 'it is no file', 'it is no file', 'it is no ledger'],
        'it is too large (10000000 bytes)',
      ]);
      // Of ours nothing is reported twice; what is not ours stays.
      expect([damaged, huge, link, theirs, target].map((path) => existsSync(path))).toEqual([
        false,
        false,
        true,
        true,
        true,
      ]);
      expect(readdirSync(place)).toHaveLength(6);
    },
  );

  it('[LEDGER-4] is none that was not written by this package', () => {
    const { mark, ...rest } = deadHost();
    const text = (value: object) => JSON.stringify(value);
    expect(parseRecord(text(rest))).toEqual({ mark, ...rest });
    for (const wrong of [
      { ...rest, seed: '' },
      { ...rest, seed: `${rest.seed}0` },
      { ...rest, pid: '1' },
      { ...rest, pid: -1 },
      { ...rest, startTime: 1.5 },
      { ...rest, bootId: null },
      { ...rest, cgroups: 1 },
      { ...rest, cgroups: [1] },
      { ...rest, login: -1 },
      { ...rest, login: '0' },
      [],
    ]) {
      expect(parseRecord(text(wrong))).toBeUndefined();
    }
    expect([parseRecord('null'), parseRecord(''), parseRecord('1')]).toEqual([undefined, undefined, undefined]);
  });

  it('[LEDGER-3] lies in the runtime directory of the user, else in the one for temporary files', () => {
    const temporary = folder();
    const places = (...given: Parameters<typeof ledgerPlaces>) => ledgerPlaces(...given).folders;
    const env = { XDG_RUNTIME_DIR: '/run/user/7' };
    const own = join(temporary, 'mcp-server-pool-7');
    expect(places(undefined, env, 7, temporary)).toEqual(['/run/user/7/mcp-server-pool', own]);
    expect(places(undefined, { XDG_RUNTIME_DIR: 'relative' }, 7, temporary)[0]).toBe('/run/user/7/mcp-server-pool');
    expect(places('/own', env, 7, temporary)).toEqual(['/own/mcp-server-pool']);
    expect(ledgerPlaces('/own', env, 7, temporary).makeSpare).toBeUndefined();
  });
});

describe('the next host', () => {
  it('[LEDGER-1] [LEDGER-2] ends what dead hosts left, not what belongs to one that lives or cannot be seen', async () => {
    const place = folder();
    const { startTime } = readProcess(process.pid)!;
    const dead = deadHost();
    const living = deadHost({ startTime });
    const elsewhere = deadHost({ namespaces: 'pid:[1] time:[1]' });
    const earlier = deadHost({ bootId: 'another' });
    const idle = deadHost();
    for (const record of [dead, living, elsewhere, earlier, idle]) writeLedger(record, [place]);
    const tags = await Promise.all([dead, living, elsewhere, earlier].map(orphan));
    const { reported, problems } = await reap([place]);
    expect({ reported, problems }).toMatchObject({
      reported: [{ hostPid: process.pid, processes: [{ command: 'sleep' }], survivors: [] }],
      problems: [],
    });
    expect(tags.map((tag) => tagged(tag).length)).toEqual([0, 1, 1, 1]);
    // Dead ones are done with, of another boot nothing can be left.
    expect(readdirSync(place).sort()).toEqual([living, elsewhere].map(({ mark }) => `${mark.id}.2.json`).sort());
  });

  it('[LEDGER-2] takes a host for dead when its number is not given, or another’s, or a zombie’s', async () => {
    const here = pidScope();
    const { startTime } = readProcess(process.pid)!;
    const child = spawn('sh', ['-c', 'sleep 0.01 & exec sleep 50'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const zombie = await until('a zombie is there', () =>
      [...linux.table.scan().values()].find((row) => row.parent === child.pid && row.dead),
    );
    const fate = (record: Partial<LedgerRecord>) => hostStateOf(deadHost(record), here, linux.table);
    expect(fate({ pid: process.pid, startTime })).toBe('living');
    expect(fate({ pid: process.pid, startTime: startTime - 1 })).toBe('dead');
    expect(fate({ pid: 2 ** 22 + 1 })).toBe('dead');
    // As with hidepid: it is there, and not shown.
    const hiding = { ...linux.table, read: () => undefined };
    expect(hostStateOf(deadHost({ startTime }), here, hiding)).toBe('living');
    // Another process with its number was held when it was started, in the same tick.
    const row = linux.table.read(process.pid)!;
    const later = { ...linux.table, read: () => ({ ...row, startTime: startTime + 1 / 1024 }) };
    expect(hostStateOf(deadHost({ pid: process.pid, startTime }), here, later)).toBe('living');
    expect(fate({ pid: zombie.pid, startTime: zombie.startTime })).toBe('dead');
    expect(fate({ bootId: 'another', pid: process.pid, startTime })).toBe('over');
    expect(fate({ namespaces: 'pid:[1] time:[1]', pid: 2 ** 22 + 1 })).toBe('living');
  });

  it('[LEDGER-2] leaves out the host that has this process as a server', async () => {
    const place = folder();
    const outer = deadHost();
    const before = process.env[MARK_VARIABLE];
    process.env[MARK_VARIABLE] = markText({ host: outer.mark, instance: 1 });
    onTestFinished(() => {
      if (before === undefined) delete process.env[MARK_VARIABLE];
      else process.env[MARK_VARIABLE] = before;
    });
    writeLedger(outer, [place]);
    const tag = await orphan(outer);
    expect(await reap([place])).toEqual({ reported: [], problems: [] });
    expect(tagged(tag)).toHaveLength(1);
  });

  it('[LEDGER-4] speaks for the host that it is named after, and for no other', async () => {
    const place = folder();
    const living = deadHost({ startTime: readProcess(process.pid)!.startTime });
    writeLedger(living, [place]);
    const forged = join(place, `${newHostMark().id}.2.json`);
    const { mark, ...rest } = deadHost();
    writeFileSync(forged, JSON.stringify({ ...rest, mark: living.mark.secret, cgroups: ['/'] }));
    const tag = await orphan(living);
    const { reported, problems } = await reap([place]);
    expect([reported, problems.length, tagged(tag).length, existsSync(forged)]).toEqual([[], 1, 1, false]);
  });

  it('[LEDGER-1] stops between two hosts when its pool is shut down, and leaves the rest to the next', async () => {
    const place = folder();
    for (const record of [deadHost(), deadHost(), deadHost()]) writeLedger(record, [place]);
    const stop = new AbortController();
    stop.abort();
    await reapDeadHosts([place], linux, () => expect.fail('nothing was found'), stop.signal);
    expect(readdirSync(place)).toHaveLength(3);
  });

  it('[LEDGER-4] survives that nothing can be read', async () => {
    const place = folder();
    writeLedger(deadHost(), [place]);
    const table = {
      ...linux.table,
      read: () => {
        throw Object.assign(new Error('EMFILE: too many open files'), { code: 'EMFILE' });
      },
    };
    await reapDeadHosts([place], { ...linux, table }, () => expect.fail('nothing was found'));
    expect(knownProblems()).toMatchObject([{ part: 'ledger', reason: expect.stringMatching(/EMFILE/) }]);
    forgetProblems('ledger');
    expect(readdirSync(place)).toHaveLength(1);
  });
});

const fail = (problem: string) => expect.fail(problem);

describe('a question for the host of a mark', () => {
  it('[LEDGER-2] gets the answer whether it lives, as far as a ledger says', () => {
    const place = folder();
    const dead = deadHost();
    const living = deadHost({ startTime: readProcess(process.pid)!.startTime });
    for (const record of [dead, living]) writeLedger(record, [place]);
    const lives = hostsIn([join(place, 'none'), place], linux);
    expect([{ id: dead.mark.id }, { number: dead.mark.number }].map(lives)).toEqual([false, false]);
    expect([{ id: living.mark.id }, { number: living.mark.number }].map(lives)).toEqual([true, true]);
    expect(lives({ id: newHostMark().id })).toBeUndefined();
    expect(readdirSync(place)).toHaveLength(2);
  });

  it('[LEDGER-2] reads the ledgers once for all questions, at the first of them', () => {
    const place = folder();
    const lives = hostsIn([place], linux);
    const dead = deadHost();
    const file = writeLedger(dead, [place]);
    expect(lives(dead.mark)).toBe(false);
    rmSync(file);
    expect(lives(dead.mark)).toBe(false);
    expect(hostsIn([place], linux)(dead.mark)).toBeUndefined();
  });
});
