import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { compiledSource } from '../helpers/compiled.js';
import { newTag, tagged } from '../helpers/escapes.js';
import { runHost, startHost } from '../helpers/host.js';
import { reaperUrl } from '../helpers/reaper-url.js';
import { until } from '../helpers/until.js';

/** A host in one file with the package inside, as bundlers make it. */
async function bundle(format: 'cjs' | 'esm'): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const entry = join(folder, 'host.js');
  writeFileSync(
    entry,
    `import { MCPServerPool } from '${compiledSource()}/index.js';
    const [tag, reaper] = process.argv.slice(2);
    (async () => {
      try {
        const script = 'setsid sleep 50 "$0" & cat';
        const pool = new MCPServerPool({ command: 'sh', args: ['-c', script, tag], sharing: 'dedicated', guardian: { reaper } });
        await pool.getServer();
        console.log('up');
        setInterval(() => {}, 1_000);
      } catch ({ code, message }) {
        console.log(code, message);
      }
    })();`,
  );
  const outDir = join(folder, 'out');
  // In a process of its own: the bundler keeps one running.
  // What every bundle of CommonJS packages (cross-spawn) as an ES module needs.
  const require = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`;
  const banner = format === 'esm' ? { js: require } : {};
  const options = {
    banner,
    config: false,
    silent: true,
    entry: [entry],
    outDir,
    format,
    platform: 'node',
    splitting: false,
  };
  const { code } = await runHost(
    `await (await import('tsup')).build({ ...${JSON.stringify(options)}, noExternal: [/.*/] });`,
  );
  expect(code).toBe(0);
  return join(outDir, format === 'cjs' ? 'host.cjs' : 'host.js');
}

describe.each(['cjs', 'esm'] as const)('a host that was bundled (%s)', (format) => {
  it('[GUARD-6] gets an error without the path of the reaper, and ends with its servers once it gives that path', async () => {
    const file = await bundle(format);
    const tag = newTag();
    const run = (reaper: string) =>
      startHost(`process.argv = ['', '', ${JSON.stringify(tag)}, ${reaper}]; await import(${JSON.stringify(file)});`);
    const { stdout } = await run('undefined').result;
    expect(stdout).toMatch(/^INVALID_OPTIONS .*guardian\.reaper/s);
    const { child, stdout: written, result } = run(JSON.stringify(fileURLToPath(reaperUrl())));
    await until('it is up', () => written().includes('up') && tagged(tag).some(({ command }) => command === 'sleep'));
    child.kill('SIGKILL');
    await result;
    await until('nothing is left', () => tagged(tag).length === 0);
  });
});
