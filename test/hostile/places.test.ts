import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readLedgers, writeLedger } from '../../src/process/guardian/ledger.js';
import { ledgerPlaces } from '../../src/process/guardian/runtime-folder.js';
import { rootIsUnmapped } from '../../src/runtime/safe-path.js';
import { startHost } from '../helpers/host.js';
import { ledgerRecord } from '../helpers/ledgers.js';
import { MALLORY, OBSTACLE, OTHER } from './strangers.js';

// Folders of another user: what is written there, that user can read, and exchange for a link.

function folder(mode = 0o700, owner?: number): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  chmodSync(path, mode);
  if (owner !== undefined) chownSync(path, owner, owner);
  return path;
}

/** Folders above that of the ledgers, which another user can exchange. */
const UNSAFE: Readonly<Record<string, () => string>> = {
  'of another user': () => folder(0o700, MALLORY),
  'of another user, and sticky': () => folder(0o1777, MALLORY),
  'in a folder of another user': () => {
    const path = join(folder(0o755, MALLORY), 'of-root');
    mkdirSync(path, { mode: 0o700 });
    return path;
  },
  'that a group may write to': () => folder(0o770),
  'open to all': () => folder(0o777),
  'behind a link of another user': () => {
    const link = join(folder(0o1777), 'link');
    spawnSync('ln', ['-s', folder(), link], { uid: MALLORY, gid: MALLORY });
    return link;
  },
  'behind a link of root, in a folder of another user': () => {
    const link = join(folder(0o755, MALLORY), 'link');
    symlinkSync(folder(), link);
    return link;
  },
};

describe.runIf(OBSTACLE === undefined)('a folder above that of the ledgers (needs root)', () => {
  it.each(Object.keys(UNSAFE))('[LEDGER-7] %s is not used, and nothing is made in it', (what) => {
    const parent = UNSAFE[what]?.() ?? '';
    const record = ledgerRecord();
    const place = join(parent, 'mcp-server-pool');
    expect(() => writeLedger(record, [place])).toThrow(/another user can replace it, because .* (belongs|is open) to/);
    expect(readdirSync(parent)).toEqual([]);
    // As if it had been exchanged after an earlier host had written into it.
    mkdirSync(place, { mode: 0o700 });
    const { mark, ...rest } = record;
    writeFileSync(join(place, `${mark.id}.2.json`), JSON.stringify(rest), { mode: 0o600 });
    const problems: string[] = [];
    expect(readLedgers(place, (problem) => problems.push(problem))).toEqual([]);
    expect(problems).toEqual([expect.stringContaining('another user can replace it')]);
  });

  it('[LEDGER-7] of root, or closed to others, or sticky, is used', () => {
    for (const parent of [folder(), folder(0o755), folder(0o1777)]) {
      const file = writeLedger(ledgerRecord(), [join(parent, 'mcp-server-pool')]);
      expect(readLedgers(join(parent, 'mcp-server-pool')).map((one) => one.file)).toEqual([file]);
    }
  });

  it('[LEDGER-7] open to a group is used if that is of this user alone, as with the umask 002', async () => {
    const own = (mode: number, group: number) => {
      const path = folder(mode);
      chownSync(path, OTHER, group);
      chmodSync(path, mode);
      return path;
    };
    const cases = {
      own: own(0o775, OTHER),
      shared: own(0o775, 0),
      ofAnother: own(0o775, MALLORY),
      all: own(0o777, OTHER),
    };
    const script = `
      const { pathProblem } = await import(SRC + '/runtime/safe-path.js');
      process.setgroups([0]); process.setgid(${OTHER}); process.setuid(${OTHER});
      const found = (cases) => Object.entries(cases).filter(([, path]) => pathProblem(path) === undefined).map(([name]) => name);
      console.log(JSON.stringify(found(${JSON.stringify(cases)})));`;
    expect(await startHost(script).result).toMatchObject({ stderr: '', stdout: '["own"]\n' });
    // The primary group of this user is another one: others are in that with the number of the user.
    const shared = script.replace(`setgid(${OTHER})`, `setgid(${MALLORY})`);
    expect(await startHost(shared).result).toMatchObject({ stderr: '', stdout: '[]\n' });
  });

  it('[LEDGER-7] of root is known in a sandbox, too, where root has no number', () => {
    expect(rootIsUnmapped('      1000       1000          1\n')).toBe(true);
    expect(rootIsUnmapped('         0          0 4294967295\n')).toBe(false);
    // A container without root: its root is a user outside, and its nobody is one inside.
    expect(rootIsUnmapped('         0       1000          1\n         1     100000      65536\n')).toBe(false);
    expect(rootIsUnmapped('      1000          0          1\n')).toBe(false);
  });

  it('[LEDGER-7] given by `sudo -E` is that of another user: the next place is taken, without a warning', async () => {
    const [theirs, TMPDIR] = [folder(0o700, MALLORY), folder(0o1777)];
    const script = `
      const { MCPServerPool } = await import(SRC + '/index.js');
      // Another user than root, which has no /run/user/UID.
      process.setgroups([]); process.setgid(${OTHER}); process.setuid(${OTHER});
      const pool = new MCPServerPool({ command: 'cat', sharing: 'dedicated' });
      const degraded = [];
      pool.on('containment:degraded', ({ part, reason }) => degraded.push(part + ': ' + reason));
      await pool.getServer();
      const { ledger } = pool.status().containment;
      await pool.shutdown();
      console.log(JSON.stringify({ ledger, degraded }));`;
    const { stdout } = await startHost(script, { env: { TMPDIR, XDG_RUNTIME_DIR: theirs } }).result;
    const { ledger, degraded } = JSON.parse(stdout);
    expect(ledger.startsWith(join(TMPDIR, `mcp-server-pool-${OTHER}`))).toBe(true);
    expect(degraded.filter((one: string) => one.startsWith('ledger'))).toEqual([]);
    expect(readdirSync(theirs)).toEqual([]);
  });
});

describe('a link in the folder of the ledgers', () => {
  it('[LEDGER-7] is not followed by what writes a ledger', () => {
    const place = folder();
    const target = join(folder(), 'target');
    writeFileSync(target, 'as it was');
    const record = ledgerRecord();
    const file = join(place, `${record.mark.id}.2.json`);
    for (const name of [file, `${file}.new`]) symlinkSync(target, name);
    expect(writeLedger(record, [place])).toBe(file);
    expect(readFileSync(target, 'utf8')).toBe('as it was');
    expect(lstatSync(file).isFile()).toBe(true);
    expect(readdirSync(place).map((name) => name.replace(record.mark.id, ''))).toEqual(['.2.json', '.2.json.new']);
  });
});

describe.runIf(OBSTACLE === undefined)('folders with random names (needs root)', () => {
  it('[LEDGER-6] are all found among any number of those of another user, while the host works on', async () => {
    const temporary = folder(0o1777);
    const name = `mcp-server-pool-${OTHER}`;
    const decoys = `for (let i = 0; i < 30_000; i++) fs.symlinkSync('/', '${join(temporary, name)}-' + String(i).padStart(6, 'x'))`;
    spawnSync(process.execPath, ['-e', decoys], { uid: MALLORY, gid: MALLORY });
    const ours = Array.from({ length: 10 }, () => mkdtempSync(join(temporary, `${name}-`)));
    for (const path of ours) chownSync(path, OTHER, OTHER);
    expect(readdirSync(temporary)).toHaveLength(30_010);
    let turns = 0;
    const turn = () => {
      turns += 1;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    const { findSpares } = ledgerPlaces(undefined, {}, OTHER, temporary);
    const found = await findSpares((problem) => expect.fail(problem));
    clearImmediate(next);
    expect(found.map((path) => basename(path)).sort()).toEqual(ours.map((path) => basename(path)).sort());
    expect(turns).toBeGreaterThan(20);
  });
});
