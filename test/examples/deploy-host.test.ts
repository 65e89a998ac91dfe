import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { newTag, tagged } from '../helpers/escapes.js';
import { exampleProgram } from '../helpers/example.js';
import { startHost, startProgram } from '../helpers/host.js';
import { readProcess } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

const HOST = 'deploy/host.mjs';
const programs = () => join(exampleProgram(HOST), '..');

describe('the host of examples/deploy', () => {
  it('[DEPLOY-6] answers probes, and ends its servers on SIGTERM', async () => {
    const folder = programs();
    const env = { PORT: '0', MCP_POOL_MAX_PROCESSES: '2' };
    const host = startProgram(process.execPath, [join(folder, 'host.mjs')], { env });
    const port = await until('it listens', () => /answered at port (\d+)/.exec(host.stdout())?.[1]);
    const ask = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { code: response.status, body: await response.text() };
    };
    expect(await ask('/livez')).toMatchObject({ code: 200 });
    const ready = await until('its server is up', async () => {
      const { body } = await ask('/readyz');
      return body.includes('its instances answer') && body;
    });
    expect(JSON.parse(ready)).toMatchObject({ status: 'ok' });
    expect(await ask('/')).toMatchObject({ code: 404 });
    const checked = await startProgram(process.execPath, [join(folder, 'healthcheck.mjs')], { env: { PORT: port } })
      .result;
    expect(checked).toMatchObject({ code: 0, stderr: '' });

    host.child.kill('SIGTERM');
    const { signal, stdout, stderr } = await host.result;
    expect([signal, stderr]).toEqual(['SIGTERM', '']);
    expect(stdout).toMatch(/^ended 1 trees in \d+ ms, 0 survivors$/m);
    const after = await startProgram(process.execPath, [join(folder, 'healthcheck.mjs')], { env: { PORT: port } })
      .result;
    expect(after).toMatchObject({ code: 1, stderr: expect.not.stringMatching(/^$/) });
  });

  it.each([
    [{ MCP_POOL_MAX_PROCESSES: 'many' }, /MCP_POOL_MAX_PROCESSES must be/],
    [{ METAMCP_LIFECYCLE_ENABLED: 'false' }, /does nothing without its pool/],
  ])('[DEPLOY-6] ends with 78 for %o: another start would not help', async (env, message) => {
    const { code, stderr } = await startProgram(process.execPath, [exampleProgram(HOST)], { env }).result;
    expect({ code, stderr }).toEqual({ code: 78, stderr: expect.stringMatching(message) });
  });
});

describe('examples/deploy/strays.mjs', () => {
  it('[DEPLOY-7] lists what a host has left without its arguments, and ends it', async () => {
    const tag = newTag();
    const program = join(programs(), 'strays.mjs');
    const run = (...args: string[]) =>
      startProgram(process.execPath, [program, '--older-than', '0', '--pattern', tag, ...args]).result;
    const host = startHost(`
      const { spawn } = await import('node:child_process');
      spawn('sh', ['-c', 'exec sleep 50 "$0"', ${JSON.stringify(tag)}]);
      setInterval(() => {}, 1_000);`);
    const [left] = await until('it runs', () => {
      const found = tagged(tag);
      return found.length === 1 && found;
    });
    expect(await run()).toMatchObject({ code: 0, stdout: '', stderr: '' });
    host.child.kill('SIGKILL');
    await host.result;
    const listed = await run();
    expect(listed).toMatchObject({ code: 1, stderr: '' });
    expect(listed.stdout).toMatch(new RegExp(`^left: sleep, pid ${left?.pid}, \\d+ s old, \\d+ MB\\n$`));
    const ended = await run('--end');
    expect(ended).toMatchObject({ code: 0, stderr: '' });
    expect(ended.stdout).toContain(`ended: pid ${left?.pid}`);
    expect(readProcess(left?.pid ?? 0)?.zombie ?? true).toBe(true);
    expect(await run()).toMatchObject({ code: 0, stdout: '' });
  });
});
