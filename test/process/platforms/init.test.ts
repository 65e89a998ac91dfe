import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forgetProblems, knownProblems } from '../../../src/process/containment-problems.js';
import { missingInit, noteMissingInit, zombies } from '../../../src/process/platforms/init.js';
import { FakeTable } from '../../helpers/fake-table.js';
import { fixturePath } from '../../helpers/fixture.js';
import { runHost } from '../../helpers/host.js';
import { AS_INIT, obstacleToNamespaces } from '../../helpers/namespace.js';
import { MARKER } from '../../helpers/processes.js';

/** A container as `init` started it, with this host as process `self`. */
function container(init: string, self = 1) {
  const table = new FakeTable();
  table.add({ pid: 1, parent: 0, command: init });
  if (self !== 1) table.add({ pid: self, session: 1 });
  return table;
}

describe('process 1', () => {
  it.each([
    ['node', 1, true],
    ['anything that Node may be called', 1, true],
    ['npm start', 20, true],
    ['MainThread', 20, true],
    ['nodemon-like', 20, false],
    ['docker-init', 20, false],
    ['systemd', 20, false],
    ['sh', 20, false],
  ])('[INIT-1] %s, seen by process %i: no init %s', (command, self, missing) => {
    expect(missingInit(container(command, self), self)?.pid).toBe(missing ? 1 : undefined);
  });

  it('[INIT-1] that is not to be seen is none to complain about', () => {
    const table = new FakeTable();
    expect(missingInit(table, 20)).toBeUndefined();
    expect(zombies(table, { self: 20 })).toEqual({ count: 0, commands: {}, reason: undefined });
  });

  it('[INIT-2] is named as a problem once, if it is no init', () => {
    const init = () => knownProblems().filter(({ part }) => part === 'init');
    onTestFinished(() => forgetProblems('init'));
    noteMissingInit(container('tini', 20), 20);
    expect(init()).toEqual([]);
    for (let pool = 0; pool < 2; pool++) noteMissingInit(container('npm start', 20), 20);
    expect(init()).toMatchObject([{ reason: expect.stringMatching(/'npm start'.*docker run --init/) }]);
  });
});

describe('zombies', () => {
  it('[INIT-1] are those under process 1 that no server leader and no child of the host itself is', () => {
    const table = container('npm start', 20);
    const dead = { parent: 1, dead: true };
    table.add({ pid: 30, session: 29, command: 'sh', ...dead });
    table.add({ pid: 31, session: 29, command: 'node', ...dead });
    table.add({ pid: 32, session: 29, command: 'node', ...dead });
    expect(zombies(table, { self: 20 })).toEqual({
      count: 3,
      commands: { sh: 1, node: 2 },
      reason: expect.stringContaining("'npm start'"),
    });
    table.remove(31);
    table.remove(32);
    // The host's own, a leader that Node has not collected yet, one that its parent can still collect, one that lives.
    table.add({ pid: 40, session: 1, ...dead });
    table.add({ pid: 41, ...dead });
    table.add({ pid: 42, ...dead, parent: 20 });
    table.add({ pid: 43, parent: 1 });
    expect(zombies(table, { self: 20, known: new Set([41]) }).count).toBe(1);
    table.add({ pid: 1, parent: 0, command: 'tini' });
    expect(zombies(table, { self: 20 }).count).toBe(0);
  });
});

/** Of each kind of end; there are six. */
const ROUNDS = process.env.EXPLORE ? 40 : 4;

const obstacle = obstacleToNamespaces();

/** A project with a script that `npx` starts: npm → sh → node, without the network. */
function project(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-server-pool-npx-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const bin = join(folder, 'node_modules/.bin');
  mkdirSync(bin, { recursive: true });
  for (const name of ['echo', 'ignore-eof-and-term', 'ends-by-term']) {
    const script = join(folder, `${name}.js`);
    writeFileSync(script, `#!/usr/bin/env node\nimport(${JSON.stringify(fixturePath(`${name}.js`))});\n`);
    chmodSync(script, 0o755);
    symlinkSync(script, join(bin, `pool-${name}`));
  }
  writeFileSync(join(folder, 'package.json'), '{"name":"project","private":true,"type":"module"}');
  return folder;
}

describe(`a host that is process 1${obstacle === undefined ? '' : ` (not run: ${obstacle})`}`, () => {
  it.skipIf(obstacle !== undefined)(
    '[INIT-1] [INIT-2] has no zombies after npx starts and ends, but those of crashes, which it counts',
    async () => {
      const { stdout, stderr } = await runHost(
        `
        const { MCPServerPool } = await import(SRC + '/index.js');
        const { zombies } = await import(SRC + '/process/platforms/init.js');
        const { knownProblems } = await import(SRC + '/process/containment-problems.js');
        const { linuxProcessTable: table } = await import(SRC + '/process/platforms/linux-table.js');
        const npx = (name) => ({
          command: 'npm', args: ['exec', '--offline', '--no', '--', 'pool-' + name], cwd: ${JSON.stringify(project())},
          inheritEnv: ['${MARKER}'], sharing: 'dedicated', onCrash: 'close', eofGrace: 60_000, termGrace: 60_000,
          restart: { maxRestarts: Infinity },
        });
        const servers = {
          release: npx('echo'), leader: npx('echo'), inner: npx('echo'),
          term: { ...npx('ends-by-term'), eofGrace: 50, termGrace: 60_000 },
          stubborn: { ...npx('ignore-eof-and-term'), eofGrace: 50, termGrace: 300 },
        };
        const until = async (condition) => {
          for (;;) {
            const value = condition();
            if (value) return value;
            await new Promise((resolve) => setTimeout(resolve, 10));
          }
        };
        const chain = (pid, rows = [...table.scan().values()]) => {
          const child = rows.find(({ parent }) => parent === pid);
          return [pid, ...(child ? chain(child.pid, rows) : [])];
        };
        const hold = setInterval(() => {}, 1_000);
        const found = {};
        const total = () => zombies(table).count;
        for (const kind of [...Object.keys(servers), 'emergency']) {
          const before = total();
          for (let left = ${ROUNDS}; left > 0; left -= 2) {
            const pool = new MCPServerPool({ servers: { [kind]: servers[kind] ?? npx('ignore-eof-and-term') } });
            await Promise.all([0, 1].map(async () => {
              const lease = await pool.getServer(kind);
              // It answers, so the last of the chain is the server.
              const answer = new Promise((resolve) => { lease.transport.onmessage = resolve; });
              await lease.transport.start();
              await lease.transport.send({ jsonrpc: '2.0', id: 1, method: 'ping' });
              await answer;
              const pids = chain(lease.pid);
              if (kind === 'leader') process.kill(pids[0], 'SIGKILL');
              else if (kind === 'inner') process.kill(pids.at(-1), 'SIGKILL');
              else if (kind !== 'emergency') lease.release();
            }));
            if (kind !== 'emergency') await until(() => pool.status().processes === 0);
            await pool.shutdown({ mode: 'emergency' });
          }
          found[kind] = total() - before;
        }
        clearInterval(hold);
        const { count, commands, reason } = zombies(table);
        const really = [...table.scan().values()].filter(({ dead, parent }) => dead && parent === 1).length;
        const problems = knownProblems().filter(({ part }) => part === 'init').length;
        console.log(JSON.stringify({ pid: process.pid, found, all: [count, really], commands, reason, problems }));
        `,
        { before: AS_INIT, timeout: 25_000 * ROUNDS },
      );
      expect(stderr).toBe('');
      const { pid, found, all, commands, reason, problems } = JSON.parse(stdout);
      expect([pid, problems]).toEqual([1, 1]);
      // The shell lost its parent when that was killed from outside. Its own child it could still collect.
      expect(found).toEqual({ release: 0, term: 0, stubborn: 0, inner: 0, emergency: 0, leader: ROUNDS });
      expect(all).toEqual([ROUNDS, ROUNDS]);
      expect(commands).toEqual({ sh: ROUNDS });
      expect(reason).toMatch(/is no init/);
    },
    30_000 * ROUNDS,
  );
});
