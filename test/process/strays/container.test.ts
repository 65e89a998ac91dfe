import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { newTag } from '../../helpers/escapes.js';
import { runHost } from '../../helpers/host.js';

const UNSHARE = 'unshare --pid --fork --mount-proc --kill-child';
/** Why there are no namespaces here: not root, or forbidden in this container. */
const { status, stderr } = spawnSync('sh', ['-c', `${UNSHARE} true`], { encoding: 'utf8' });

/** A host that is gone, and one that lives and has such a server, too; prints what is listed, and what became of it. */
const script = (tag: string) => `
  const { spawn, spawnSync } = await import('node:child_process');
  const { findStrays, endStrays } = await import(SRC + '/index.js');
  const orphan = "const { spawn } = require('node:child_process');" +
    "const one = (args, more) => console.log(spawn('sleep', args, { stdio: ['pipe', 'ignore', 'ignore'], ...more }).pid);" +
    "one(['50', '${tag}']); one(['51', '${tag}'], { detached: true }); process.kill(process.pid, 'SIGKILL')";
  const lost = spawnSync(process.execPath, ['-e', orphan], { encoding: 'utf8' }).stdout.trim().split('\\n').map(Number);
  const own = spawn('sleep', ['52', '${tag}'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const found = await findStrays({ patterns: ['${tag}'], olderThan: 0 });
  const ends = await endStrays(found);
  console.log(JSON.stringify({
    pid: process.pid, parent: process.ppid, lost, found: found.map(({ pid }) => pid),
    ends: ends.map(({ outcome }) => outcome), own: own.exitCode === null && own.signalCode === null,
  }));
  own.kill('SIGKILL');`;

it.skipIf(status !== 0).each([
  ['node itself is process 1', `set -- ${UNSHARE} "$@"; true`, 1, 0],
  ['the host is a child of process 1', `set -- ${UNSHARE} sh -c '"$@"; exit' sh "$@"; true`, undefined, 1],
])('[STRAY-6] [STRAY-2] in a pid namespace where %s', async (_where, before, pid, parent) => {
  const result = await runHost(script(newTag()), { before });
  const printed = JSON.parse(result.stdout);
  expect(printed).toMatchObject({ parent, found: printed.lost, ends: ['ended', 'ended'], own: true });
  expect(printed.pid).toBe(pid ?? printed.pid);
  expect(printed.lost).toHaveLength(2);
});

it.runIf(status !== 0)('says why no pid namespace could be made here', (context) => context.skip(stderr.trim()));
