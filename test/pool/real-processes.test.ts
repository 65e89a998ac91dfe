import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import type { ServerDefinition } from '../../src/index.js';
import { RawClient } from '../helpers/client.js';
import { fixture, fixturePath, wrapped } from '../helpers/fixture.js';
import { runHost } from '../helpers/host.js';
import { descendants, isLiving, MARKER, marked } from '../helpers/processes.js';
import { fails, open, record } from '../helpers/real-pool.js';
import { rejection, until } from '../helpers/until.js';

const quick = { eofGrace: 150, termGrace: 150 };
/** Where a step of the ladder must be enough: also for a busy machine. */
const patient = { eofGrace: 60_000, termGrace: 60_000 };
/** A shell, since it has to write before its start times out. */
const garbage = { command: 'sh', args: ['-c', 'echo Listening on port 3000; cat >/dev/null'], inheritEnv: [MARKER] };

describe('callers', () => {
  it('[QUEUE-1] [BUDGET-1] 50 at once on a cold definition: never more than 3 processes, served in order', async () => {
    const pool = open({ echo: { ...fixture('echo'), maxInstances: 3 } });
    let most = 0;
    const served: number[] = [];
    await Promise.all(
      Array.from({ length: 50 }, async (_, number) => {
        const lease = await pool.getServer('echo');
        served.push(number);
        most = Math.max(most, descendants().length);
        const client = await RawClient.connect(lease.transport);
        expect(await client.callTool('echo', { text: `caller ${number}` })).toBe(`caller ${number}`);
        await client.close();
      }),
    );
    expect(served).toEqual(Array.from({ length: 50 }, (_, number) => number));
    expect(most).toBe(3);
    expect(pool.metrics()).toMatchObject({ started: 3, acquired: 50, mostProcesses: 3 });
  });

  it('[QUEUE-6] [START-4] given up during the handshake, the start serves the next; without one it goes on until its slot is needed', async () => {
    const servers = {
      slow: { ...fixture('slow-start', '--ms=1500') },
      never: { ...fixture('never-answers'), ...quick },
    };
    const pool = open(servers, { limits: { maxProcesses: 1 } });
    const abort = new AbortController();
    const first = fails(pool.getServer('slow', { signal: abort.signal }));
    const second = pool.getServer('slow');
    const pid = await until('it starts', () => descendants()[0]?.pid);
    abort.abort();
    expect((await first).code).toBe('ACQUIRE_ABORTED');
    const lease = await second;
    expect(lease.pid).toBe(pid);
    const stopped = record(pool, 'server:stopped');
    const late = await fails(pool.getServer('slow', { timeout: 40, tenant: 'another' }));
    expect(late.code).toBe('ACQUIRE_TIMEOUT');
    lease.release();
    // Time enough for the end of the other, on a busy machine as well; it never gets ready.
    expect((await fails(pool.getServer('never', { timeout: 3_000 }))).data.phase).toBe('start');
    expect(pool.status().processes).toBe(1);
    const again = await pool.getServer('slow');
    expect(again.pid).not.toBe(pid);
    expect(stopped.map(({ reason }) => reason)).toEqual(['evicted', 'evicted']);
  });

  it('[END-2] shutdown during a start ends it, and does not resolve before', async () => {
    const pool = open({ never: { ...fixture('never-answers'), ...quick } });
    const starting = fails(pool.getServer('never'));
    const pid = (await until('it starts', () => descendants()[0]))?.pid ?? 0;
    const report = await pool.shutdown();
    expect(isLiving(pid)).toBe(false);
    expect(report.servers).toMatchObject([{ pid, confirmed: true }]);
    expect((await starting).code).toBe('POOL_CLOSED');
  });
});

describe('a server that ends by itself', () => {
  it.each([0, 3])(
    '[DEATH-1] with code %i under a lease: reported at once, transport closed, the next call gets a fresh one',
    async (code) => {
      const pool = open({ exits: fixture('exit-after') });
      const exited = record(pool, 'server:exited');
      const lease = await pool.getServer('exits');
      const client = await RawClient.connect(lease.transport);
      const lost = await rejection(client.callTool('exit', { code }));
      expect(lost).toMatchObject({ data: { reason: 'SERVER_EXITED', exitCode: code, signal: null, retryable: false } });
      await client.closed;
      expect(client.closeCount).toBe(1);
      expect(exited).toMatchObject([{ name: 'exits', pid: lease.pid, exitCode: code, unexpected: true }]);
      expect(lease.release()).toBe(false);
      const next = await pool.getServer('exits');
      expect(next.pid).not.toBe(lease.pid);
      expect(pool.metrics().crashes).toBe(1);
    },
  );

  it('[DEATH-1] while idle: reported at once, and never leased', async () => {
    const pool = open({ exits: fixture('exit-after', '--ms=200') });
    const exited = record(pool, 'server:exited');
    const first = await pool.getServer('exits');
    first.release();
    await until('its exit is reported', () => exited.length === 1);
    expect(exited).toMatchObject([{ pid: first.pid, exitCode: 0, unexpected: true }]);
    expect((await pool.getServer('exits')).pid).not.toBe(first.pid);
  });

  it('[DEATH-2] the answer that it wrote last still arrives', async () => {
    const pool = open({ exits: fixture('exit-after') });
    const client = await RawClient.connect((await pool.getServer('exits')).transport);
    expect(await client.callTool('exit', { answer: true })).toBe('exiting');
    await client.closed;
  });

  it('[DEATH-3] what it leaves behind is killed', async () => {
    const pool = open({ leaves: fixture('helper-holds-stdout', '--exit', '--ignore-term') });
    const client = await RawClient.connect((await pool.getServer('leaves')).transport);
    const helper = (await client.callTool('helper')) as number;
    expect(isLiving(helper)).toBe(true);
    await client.closed;
    await until('the helper is dead', () => !isLiving(helper));
  });
});

describe('the end of a tree', () => {
  it.each<[string, ServerDefinition, string]>([
    ['obeys end of file', fixture('echo'), 'eof'],
    ['ignores end of file and SIGTERM', fixture('ignore-eof-and-term'), 'SIGKILL'],
    ['hangs under a shell', wrapped('echo'), 'eof'],
    ['ignores everything under a shell', wrapped('ignore-eof-and-term'), 'SIGKILL'],
    ['has a helper that holds stdout', fixture('helper-holds-stdout'), 'SIGTERM'],
    [
      'has a helper in a session of its own that ignores SIGTERM',
      fixture('helper-holds-stdout', '--setsid', '--ignore-term'),
      'SIGKILL',
    ],
    ['has a tree of 20', fixture('fork-tree', '--count=20', '--ignore-eof'), 'SIGTERM'],
  ])(
    '[TREE-1] of a server that %s: whole, on release and on shutdown, and says how',
    async (_, definition, endedBy) => {
      const graces = endedBy === 'eof' ? patient : endedBy === 'SIGTERM' ? { ...patient, eofGrace: 150 } : quick;
      const pool = open({ once: { ...definition, ...graces, reuse: 'never' }, kept: { ...definition, ...graces } });
      const once = await pool.getServer('once');
      const kept = await pool.getServer('kept');
      await until('all have started', () => marked().length >= 2);
      kept.release();
      once.release();
      expect(await once.ended).toMatchObject({ confirmed: true, termination: { endedBy, survivors: [] } });
      const report = await pool.shutdown();
      expect(report.servers).toMatchObject([{ pid: kept.pid, confirmed: true, termination: { endedBy } }]);
      expect(report.survivors).toEqual([]);
      expect(marked()).toEqual([]);
    },
  );

  it('[TREE-1] started by npx, which is three processes', async () => {
    const pool = open({
      npx: { command: 'npx', args: ['--no-install', 'mcp-server-everything'], inheritEnv: [MARKER] },
    });
    const lease = await pool.getServer('npx', { timeout: 60_000 });
    const client = await RawClient.connect(lease.transport);
    await client.request('tools/list');
    expect(marked().length).toBeGreaterThanOrEqual(3);
    const report = await pool.shutdown();
    expect(report.servers).toMatchObject([{ confirmed: true, survivors: [] }]);
    expect(marked()).toEqual([]);
  });

  it('[TREE-2] an emergency ends 1+50 processes at once', async () => {
    const pool = open({ tree: { ...fixture('fork-tree', '--count=50', '--ignore-term', '--ignore-eof') } });
    await pool.getServer('tree');
    await until('all have started', () => marked().length >= 51);
    const report = await pool.shutdown({ mode: 'emergency' });
    expect(report).toMatchObject({ mode: 'emergency', survivors: [] });
    expect(report.servers).toMatchObject([{ termination: { steps: [{ step: 'SIGKILL' }] } }]);
    expect(marked()).toEqual([]);
  });
});

describe('a start that fails', () => {
  const node = process.execPath;
  it.each<[string, ServerDefinition, PoolError['code'], RegExp]>([
    ['a missing command', { command: 'no-such-command' }, 'COMMAND_NOT_FOUND', /PATH/],
    ['a missing file', { command: '/no/such/file' }, 'COMMAND_NOT_FOUND', /no file/],
    ['a missing cwd', { command: node, cwd: '/no/such/folder' }, 'CWD_NOT_FOUND', /no\/such\/folder/],
    ['a file that may not be executed', { command: fixturePath('base.js') }, 'COMMAND_NOT_EXECUTABLE', /chmod/],
    ['arguments that are too large', { command: node, args: ['x'.repeat(3_000_000)] }, 'SPAWN_FAILED', /E2BIG/],
    ['no answer', { ...fixture('never-answers'), ...quick, startTimeout: 300 }, 'START_TIMEOUT', /300 ms/],
    ['garbage', { ...garbage, ...quick, startTimeout: 1_500 }, 'START_TIMEOUT', /no messages/],
    ['an error', fixture('initialize-error'), 'HANDSHAKE_FAILED', /refused to be initialized/],
    ['an exit in the handshake', fixture('dies-in-handshake'), 'SERVER_EXITED', /code 3.*last line on stderr/],
  ])(
    '[START-2] %s: a typed error with what helps, and the slot is free again',
    async (_, definition, code, message) => {
      const pool = open({ broken: { ...definition, maxInstances: 1 } }, { limits: { maxProcesses: 1 } });
      for (let attempt = 0; attempt < 2; attempt++) {
        const error = await fails(pool.getServer('broken', { timeout: 10_000 }));
        expect(error.code).toBe(code);
        expect(error.message).toMatch(message);
        expect(error.data.name).toBe('broken');
      }
      await until('the slot is free', () => pool.status().processes === 0);
      expect(pool.registry.size).toBe(0);
      expect(pool.status().servers.broken?.lastFailure).toMatch(message);
    },
  );

  it('[START-2] carries what the server wrote to stderr', async () => {
    const pool = open({ dies: fixture('dies-in-handshake') });
    const { data } = await fails(pool.getServer('dies'));
    expect(data).toMatchObject({ exitCode: 3, signal: null });
    expect(data.stderrTail).not.toBe('');
  });

  it('[START-2] no descriptor left (EMFILE): a typed error, and later calls are served again', async () => {
    const host = await runHost(
      `
      import { openSync, closeSync } from 'node:fs';
      const { MCPServerPool } = await import(SRC + '/index.js');
      const pool = new MCPServerPool({ servers: { echo: { command: process.execPath, args: [FIXTURES + '/echo.js'] } } });
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch {}
      closeSync(taken.pop());
      closeSync(taken.pop());
      const error = await pool.getServer('echo').catch((error) => error);
      for (const descriptor of taken) closeSync(descriptor);
      const lease = await pool.getServer('echo');
      console.log(JSON.stringify({ code: error.code, errno: error.data.errno, processes: pool.status().processes }));
      await pool.shutdown();
      `,
      // Enough to load the modules of the package, which Node opens side by side.
      { before: 'ulimit -n 200' },
    );
    expect(host.stderr).toBe('');
    expect(JSON.parse(host.stdout)).toEqual({ code: 'SPAWN_FAILED', errno: 'EMFILE', processes: 1 });
  });
});

describe('without a descriptor left', () => {
  it.each(['emergency', 'graceful'])('[PROOF-3] an %s shutdown still ends the servers, and proves it', async (mode) => {
    const host = await runHost(
      `
      import { openSync } from 'node:fs';
      const { MCPServerPool } = await import(SRC + '/index.js');
      const definition = { command: process.execPath, args: [FIXTURES + '/echo.js'], inheritEnv: ['${MARKER}'] };
      const pool = new MCPServerPool({ servers: { a: definition, b: definition } });
      await Promise.all([pool.getServer('a'), pool.getServer('b')]);
      try { for (;;) openSync('/dev/null'); } catch {}
      const report = await pool.shutdown({ mode: '${mode}' });
      console.log(JSON.stringify(report.survivors), report.servers.map(({ confirmed }) => confirmed).join());
      `,
      { before: 'ulimit -n 200' },
    );
    expect(host.stdout).toBe('[] true,true\n');
    expect(marked()).toEqual([]);
  });
});

describe('a server that says much', () => {
  it('[NOISE-1] 10 MB of stderr: served; its lines are events, its tail is bounded', async () => {
    const pool = open({ noisy: fixture('noisy-stderr') });
    let lines = 0;
    pool.on('server:stderr', () => {
      lines += 1;
    });
    const client = await RawClient.connect((await pool.getServer('noisy')).transport);
    expect(await client.callTool('echo', { text: 'still here' })).toBe('still here');
    await until('all lines were reported', () => lines > 10_000);
  });

  it('[NOISE-2] 1,000 lines that are no messages: served, skipped, counted', async () => {
    const pool = open({ noisy: fixture('noisy-stdout') });
    const client = await RawClient.connect((await pool.getServer('noisy')).transport);
    expect(await client.callTool('echo', { text: 'still here' })).toBe('still here');
    expect(client.errors).toEqual([]);
    expect(pool.status().servers.noisy?.instances[0]?.skippedLines).toBeGreaterThanOrEqual(1_000);
  });

  it('[NOISE-3] a result of 50 MB: served', async () => {
    const pool = open({ echo: fixture('echo') });
    const client = await RawClient.connect((await pool.getServer('echo')).transport);
    expect(((await client.callTool('big', { mb: 50 })) as string).length).toBe(50 * 1_048_576);
  });

  it('[NOISE-4] a message above maxMessageMB ends that instance, and nothing else', async () => {
    const pool = open({ large: { ...fixture('echo'), maxMessageMB: 1 }, other: fixture('echo') });
    const other = await RawClient.connect((await pool.getServer('other')).transport);
    const client = await RawClient.connect((await pool.getServer('large')).transport);
    expect(await rejection(client.callTool('big', { mb: 3 }))).toMatchObject({ data: { reason: 'MESSAGE_TOO_LARGE' } });
    expect(client.errors).toMatchObject([{ code: 'MESSAGE_TOO_LARGE' }]);
    expect(client.closeCount).toBe(1);
    expect(await other.callTool('echo', { text: 'fine' })).toBe('fine');
  });

  it('[NOISE-4] one without an end ends the instance as soon as it is too large', async () => {
    const pool = open({ large: { ...fixture('too-large'), ...quick, maxMessageMB: 1 } });
    const client = await RawClient.connect((await pool.getServer('large')).transport);
    const lost = await rejection(client.callTool('overflow', { mb: 3 }));
    expect(lost).toMatchObject({ data: { reason: 'MESSAGE_TOO_LARGE' } });
    await client.closed;
  });

  it('[START-2] a command that writes back what it is sent is no MCP server', async () => {
    const pool = open({ echo: { command: 'cat' } });
    const error = await rejection(pool.getServer('echo'));
    expect(error).toMatchObject({
      code: 'HANDSHAKE_FAILED',
      message: expect.stringContaining('writes back what it is sent'),
    });
  });

  it('[NOISE-5] one that closes its stdin: send rejects, the instance ends', async () => {
    const pool = open({ deaf: fixture('closes-stdin') });
    const lease = await pool.getServer('deaf');
    const client = await RawClient.connect(lease.transport);
    await client.callTool('close');
    const refused = until('send rejects', async () => {
      const failed = client.transport.send({ jsonrpc: '2.0', method: 'x' }).then(
        () => undefined,
        (error: PoolError) => error.code,
      );
      return failed;
    });
    expect(await refused).toBe('SERVER_EXITED');
    await client.closed;
    expect(client.closeCount).toBe(1);
  });
});

describe('the host', () => {
  const script = (then: string) => `
    const { MCPServerPool } = await import(SRC + '/index.js');
    const pool = new MCPServerPool({ servers: { s: { command: process.execPath, args: [FIXTURES + '/SERVER'], inheritEnv: ['${MARKER}'] } } });
    const lease = await pool.getServer('s');
    ${then}
    console.log('work is done');
  `;

  it.each([
    ['an idle server', 'echo.js', 'lease.release();'],
    ['a leased one', 'echo.js', ''],
    ['an idle one that ignores end of file and SIGTERM', 'ignore-eof-and-term.js', 'lease.release();'],
    ['one that is being ended', 'ignore-eof-and-term.js', 'lease.release(); void pool.restart("s");'],
    [
      'a warm-up under way',
      'echo.js',
      'await pool.addServer("n", { command: process.execPath, args: [FIXTURES + "/echo.js"], minIdle: 2 });',
    ],
  ])('[GUEST-1] ends by itself with %s, and leaves nothing', async (_, server, then) => {
    const { code, signal, stdout, stderr } = await runHost(script(then).replace('SERVER', server));
    expect({ code, signal, stdout, stderr }).toEqual({ code: 0, signal: null, stdout: 'work is done\n', stderr: '' });
    await until('nothing is left', () => marked().length === 0);
  });

  it('[GUEST-2] is held open by what it waits for: a call, a request, an end', async () => {
    const then = `
      await lease.transport.start();
      const answer = new Promise((resolve) => { lease.transport.onmessage = resolve; });
      await lease.transport.send({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'sleep', arguments: { ms: 300 } } });
      console.log((await answer).id);
      await pool.removeServer('s', { timeout: 10 });
      const report = await pool.shutdown();
      console.log(report.survivors.length);`;
    const { stdout } = await runHost(script(then).replace('SERVER', 'echo.js'));
    expect(stdout).toBe('1\n0\nwork is done\n');
  });

  it.each([
    "pool.restart('s')",
    "pool.removeServer('s')",
    "pool.updateServer('s', { command: process.execPath, args: [FIXTURES + '/SERVER', 'other'] })",
    "pool.restart('s').then(() => pool.restart('s'))",
  ])('[GUEST-2] is held open by %s once no lease is left, since the pool goes on by itself', async (call) => {
    const then = `const changed = ${call}; lease.release(); await changed;`;
    const { code, stdout } = await runHost(script(then).replaceAll('SERVER', 'echo.js'));
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'work is done\n' });
  });

  it('[GUEST-2] is not held open by a restart that waits for its lease: only the host could release it', async () => {
    const { code, stdout } = await runHost(script("await pool.restart('s');").replace('SERVER', 'echo.js'));
    // As for every promise at the top level that nothing will settle.
    expect({ code, stdout }).toEqual({ code: 13, stdout: '' });
  });
});
