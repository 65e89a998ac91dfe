import { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { resolvePoolOptions } from '../../../src/config/resolve-options.js';
import type { PoolEmitter } from '../../../src/pool/events.js';
import { LocalHost } from '../../../src/pool/local-host.js';
import { HostGuard } from '../../../src/process/guardian/host-guard.js';
import { ledgerPlaces } from '../../../src/process/guardian/runtime-folder.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { runHost } from '../../helpers/host.js';

const USER = process.getuid?.() ?? 0;

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-names-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

it('[LEDGER-9] the search for folders ends when it is aborted, before or during it', async () => {
  const temporary = folder();
  for (let name = 0; name < 600; name++) {
    mkdirSync(join(temporary, `mcp-server-pool-${USER}-a${String(name).padStart(5, '0')}`));
  }
  const { findSpares } = ledgerPlaces(undefined, {}, USER, temporary);
  const find = (abort?: AbortSignal) => findSpares((problem) => expect.fail(problem), { abort });
  expect(await find()).toHaveLength(600);
  expect(await find(AbortSignal.abort())).toEqual([]);
  const stop = new AbortController();
  const found = find(stop.signal);
  stop.abort();
  expect((await found).length).toBeLessThan(500);
});

it('[LEDGER-9] the search keeps no host alive, except one that waits for it', async () => {
  const temporary = folder();
  for (let name = 0; name < 1_500; name++) writeFileSync(join(temporary, String(name)), '');
  const { stdout, stderr } = await runHost(`
    const { ledgerPlaces } = await import(SRC + '/process/guardian/runtime-folder.js');
    const { findSpares } = ledgerPlaces(undefined, {}, ${USER}, ${JSON.stringify(temporary)});
    const ended = [];
    process.on('exit', () => console.log(JSON.stringify(ended)));
    await findSpares(() => {}, { hold: true }).then(() => ended.push('waited for'));
    void findSpares(() => {}).then(() => ended.push('not waited for'));
  `);
  expect(stderr).toBe('');
  expect(JSON.parse(stdout)).toEqual(['waited for']);
});

it('[LEDGER-9] a pool that is shut down does not wait for the search', async () => {
  const place = globalThis as { [key: symbol]: unknown };
  const looked = Symbol.for('mcp-server-pool.dead-hosts/2');
  const before = place[looked];
  onTestFinished(() => {
    place[looked] = before;
    vi.restoreAllMocks();
  });
  place[looked] = undefined;
  let begun = () => {};
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  vi.spyOn(HostGuard.prototype, 'findFolders').mockImplementation((_, { abort } = {}) => {
    begun();
    return new Promise((resolve) => abort?.addEventListener('abort', () => resolve([])));
  });
  const host = new LocalHost(resolvePoolOptions({ servers: {} }), linux, new EventEmitter() as PoolEmitter);
  await hasBegun;
  await host.end();
});
