import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { reapDeadHosts } from '../../src/process/guardian/dead-hosts.js';
import { parseRecord, readLedgers, writeLedger } from '../../src/process/guardian/ledger.js';
import { readMarks } from '../../src/process/marks/mark-reader.js';
import { rlimitValue } from '../../src/process/marks/marker.js';
import { type HostLogin, ownLogin } from '../../src/process/marks/search-knowledge.js';
import { linux } from '../../src/process/platforms/linux.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { startHost } from '../helpers/host.js';
import { ledgerRecord } from '../helpers/ledgers.js';
import { killProcess } from '../helpers/processes.js';
import { until } from '../helpers/until.js';
import { MALLORY, OTHER } from './strangers.js';

// The login of a process survives sudo. What one user has started by sudo is not that of another one who uses it, too.

/** This machine, where the user `login` has logged in for all processes with a limit. */
const seenWith = (login: number | undefined): typeof linux => ({
  ...linux,
  marks: (...args) => {
    const reading = readMarks(...args);
    if (reading?.limit === undefined || reading.owner === undefined) return reading;
    return { marks: reading.marks, limit: reading.limit, owner: { ...reading.owner, login } };
  },
});

/** What is left of a process that a host with this login has left, which has only its limit, after the next host. */
async function leftBy(host: HostLogin | undefined, process: number | undefined): Promise<number> {
  const place = mkdtempSync(join(tmpdir(), 'mcp-hostile-'));
  onTestFinished(() => rmSync(place, { recursive: true, force: true }));
  const record = ledgerRecord({ startTime: 1, login: host });
  const tag = newTag();
  const limit = rlimitValue({ host: record.mark, instance: 1 });
  const script = `ulimit -S -w ${limit} 2>/dev/null || ulimit -S -x ${limit}; env -i setsid sleep 50 "$0" & true`;
  await once(spawn('sh', ['-c', script, tag], { stdio: 'ignore' }), 'exit');
  await until('it is there', () => tagged(tag).some(({ command }) => command === 'sleep'));
  writeLedger(record, [place]);
  await reapDeadHosts([place], seenWith(process), () => {});
  expect(readLedgers(place)).toEqual([]);
  const left = tagged(tag);
  for (const row of left) killProcess(row);
  return left.length;
}

describe('a host that has died, and the next one', () => {
  it.each([
    ['of the user that had logged in for it', MALLORY, MALLORY, 0],
    ['of another user', MALLORY, OTHER, 1],
    ['of a user, when none had logged in for it', null, MALLORY, 1],
    ['of no login', MALLORY, undefined, 0],
    ['of a user, when its ledger does not say', undefined, MALLORY, ownLogin() === MALLORY ? 0 : 1],
  ] as const)('[LEDGER-8] a process %s, with the limit alone', async (_, host, process, left) => {
    expect(await leftBy(host, process)).toBe(left);
  });

  it('[LEDGER-8] [LEDGER-3] the login is in the ledger that a host writes', async () => {
    const host = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const { readFileSync } = await import('node:fs');
      const pool = new MCPServerPool({ command: 'cat', sharing: 'dedicated' });
      await pool.getServer();
      console.log(readFileSync(pool.status().containment.ledger, 'utf8'));
      await pool.shutdown();`);
    const record = parseRecord((await host.result).stdout);
    const login = Number(readFileSync('/proc/self/loginuid', 'latin1'));
    expect(record?.login).toBe(login === 0xffff_ffff ? null : login);
  });
});
