import { describe, expect, it } from 'vitest';
import { isRoot } from '../helpers/cgroups.js';
import { startHost } from '../helpers/host.js';
import { MARKER } from '../helpers/processes.js';
import { canSetPids, SET_LAST, within } from '../helpers/reuse.js';

const POSSIBLE = isRoot && canSetPids();

/**
 * Ends the leader of a server whose group is then empty. A daemon gets its number: it leads a session and a group of that
 * number, starts a child and exits. Then the server is ended.
 */
const host = (containment: string) => `
  const { writeFileSync, readdirSync, readFileSync, existsSync } = await import('node:fs');
  const { spawn } = await import('node:child_process');
  const { once } = await import('node:events');
  const { linux } = await import(SRC + '/process/platforms/linux.js');
  const { localLauncher } = await import(SRC + '/process/start/local-launcher.js');
  const { resolveDefinition, resolvePoolOptions } = await import(SRC + '/config/resolve-options.js');
  const { withEnvironment } = await import(SRC + '/config/environment.js');
  const definition = {
    command: 'cat', inheritEnv: ['${MARKER}'], containment: '${containment}',
  };
  const spec = withEnvironment(resolveDefinition('x', definition, resolvePoolOptions({})));
  const inGroup = (group) => readdirSync('/proc').filter((pid) => {
    if (!/^[0-9]+$/.test(pid)) return false;
    const row = linux.table.read(Number(pid));
    return row !== undefined && !row.dead && row.group === group;
  });
  // A server does not keep its host alive.
  setInterval(() => {}, 1_000);
  const found = { daemons: 0, lived: 0 };
  for (let tries = 0; found.daemons < 3 && tries < 200; tries++) {
    let exited;
    const exit = new Promise((resolve) => { exited = resolve; });
    const server = localLauncher(linux, {}).launch(spec, {
      onSpawn() {}, onSpawnError() {}, onExit: () => exited(), onStderrLine() {}, wantsStderr: () => false,
    });
    process.kill(server.pid, 'SIGKILL');
    await exit;
    writeFileSync('${SET_LAST}', String(server.pid - 1));
    const daemon = spawn('sh', ['-c', 'sleep 50 & exit'], { stdio: 'ignore', detached: true });
    await once(daemon, 'exit');
    const isIt = daemon.pid === server.pid && inGroup(server.pid).length === 1;
    await server.end({ mode: 'emergency' });
    if (isIt) found.daemons += 1;
    if (isIt && inGroup(server.pid).length === 1) found.lived += 1;
    try { process.kill(-daemon.pid, 'SIGKILL'); } catch {}
  }
  console.log(JSON.stringify(found));
  process.exit();`;

describe.runIf(POSSIBLE)('the number of a group that was empty after the exit of its leader', () => {
  it.each(['group', 'markers'])(
    '[REUSE-5] a daemon that gets it lives on when the tree ends (containment: %s)',
    async (containment) => {
      const { result } = startHost(host(containment), { before: within(':') });
      const { stdout, stderr } = await result;
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toEqual({ daemons: 3, lived: 3 });
    },
  );
});
