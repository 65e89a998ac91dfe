// A package by npx against the same with resolvePackages: time to the answer of initialize, memory, and many first starts at once.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, median, quantile, ratioRow, takeTurns, timed } from './harness.js';

const PACKAGE = '@modelcontextprotocol/server-everything';
const AT_ONCE = 20;
const folder = mkdtempSync(join(tmpdir(), 'packages-'));

await benchmark('packages: by npx, and without it', async (report) => {
  try {
    const cache = newCache();
    await fill(cache);
    await startsAndMemory(report, cache);
    await cold(report, cache);
  } finally {
    // It has many small files; no figure waits for that.
    spawn('rm', ['-rf', folder], { detached: true, stdio: 'ignore' }).unref();
  }
});

/** Offline, so that neither side waits for the network: what is needed is in the cache of npm. */
function poolOf(cache, resolvePackages, names = ['everything'], isOffline = true) {
  const cwd = join(cache, 'cwd');
  mkdirSync(cwd, { recursive: true });
  const args = ['-y', ...(isOffline ? ['--offline'] : []), PACKAGE];
  const env = { npm_config_cache: cache, npm_config_update_notifier: 'false' };
  const server = {
    command: 'npx',
    args,
    cwd,
    env,
    inheritEnv: Object.keys(process.env).filter((key) => /CERT|proxy/i.test(key)),
  };
  const servers = Object.fromEntries(names.map((name) => [name, server]));
  const limits = { maxProcesses: 2 * AT_ONCE };
  return new MCPServerPool({
    servers,
    resolvePackages,
    limits,
    acquireTimeout: 110_000,
    defaults: { startTimeout: 110_000, reuse: 'never', eofGrace: 0, termGrace: 0 },
  });
}

function newCache(downloads) {
  const cache = mkdtempSync(join(folder, 'cache-'));
  if (downloads) symlinkSync(join(downloads, '_cacache'), join(cache, '_cacache'));
  return cache;
}

/** Both sides have what they need: npx its folder, ours its installation. */
async function fill(cache) {
  for (const [resolvePackages, isOffline] of [
    [false, false],
    [true, true],
  ]) {
    const pool = poolOf(cache, resolvePackages, undefined, isOffline);
    await pool.getServer();
    await pool.shutdown({ mode: 'emergency' });
  }
}

async function startsAndMemory(report, cache) {
  const used = { ours: [], theirs: [] };
  const pools = { ours: poolOf(cache, true), theirs: poolOf(cache, false) };
  const start = (side) => async (round) => {
    let server;
    const time = await timed(async () => {
      server = await pools[side].getServer();
    });
    if (round >= 0) used[side].push(treeOf(server.pid).reduce((sum, one) => sum + pss(one), 0));
    server.release();
    await server.ended;
    return time;
  };
  const sides = { ours: start('ours'), theirs: start('theirs') };
  const { ours, theirs } = await takeTurns(sides, { rounds: 15, seconds: 30 });
  for (const pool of Object.values(pools)) await pool.shutdown({ mode: 'emergency' });
  report(ratioRow({ what: 'package to the answer of initialize', peer: 'npx', ours, theirs, target: 2.5 }));
  const saved = used.ours.map((amount, round) => 100 * (1 - amount / used.theirs[round]));
  report({
    what: 'package: memory of its tree (PSS)',
    peer: 'npx',
    value: `-${median(saved).toFixed(0)} %`,
    target: '<= -45 %',
    pass: median(saved) >= 45,
    spread: `-${quantile(saved, 0.25).toFixed(0)} – -${quantile(saved, 0.75).toFixed(0)} %`,
    note: `${saved.length} rounds, medians ${median(used.ours).toFixed(0)} and ${median(used.theirs).toFixed(0)} MB`,
  });
}

/** Nothing is installed; what is to be installed was downloaded before. */
async function cold(report, downloads) {
  const names = Array.from({ length: AT_ONCE }, (_, index) => `everything-${index}`);
  const start = (resolvePackages) => async () => {
    const pool = poolOf(newCache(downloads), resolvePackages, names);
    const time = await timed(() => Promise.all(names.map((name) => pool.getServer(name))));
    await pool.shutdown({ mode: 'emergency' });
    return time;
  };
  const sides = { ours: start(true), theirs: start(false) };
  const { ours, theirs } = await takeTurns(sides, { rounds: 2, warmUp: 0, seconds: 30 });
  report(ratioRow({ what: `${AT_ONCE} first starts at once, until all are up`, peer: 'npx', ours, theirs, target: 1 }));
}

function treeOf(pid) {
  const parents = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => [Number(name), parentOf(name)]);
  const tree = [pid];
  // A pid may be listed before that of its parent.
  for (let before = 0; before < tree.length; ) {
    before = tree.length;
    for (const [one, parent] of parents) if (tree.includes(parent) && !tree.includes(one)) tree.push(one);
  }
  return tree;
}

function parentOf(pid) {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

/** MB */
function pss(pid) {
  const [, amount = '0'] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? [];
  return Number(amount) / 1024;
}
