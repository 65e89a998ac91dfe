import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { runHost } from '../helpers/host.js';

it('[SHOW-5] the classes of the built package have the names under which they are exported', async () => {
  // In the package, so that its dependencies are found.
  const folder = mkdtempSync(join(ROOT, '.tmp', 'built-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const options = { outDir: folder, dts: false, silent: true, clean: false, sourcemap: false };
  // In a process of its own: the bundler keeps one running.
  const { code, stdout } = await runHost(`
    process.chdir(${JSON.stringify(ROOT)});
    await (await import('tsup')).build(${JSON.stringify(options)});
    const all = await Promise.all(['index', 'stdio'].map((name) => import(${JSON.stringify(folder)} + '/' + name + '.js')));
    console.log(JSON.stringify(all.flatMap((one) => Object.entries(one)).map(([name, value]) => [name, value.name])));`);
  expect(code).toBe(0);
  const classes = (JSON.parse(stdout) as [string, string | undefined][]).filter(([name]) =>
    /^[A-Z][a-zA-Z]+[a-z]/.test(name),
  );
  expect(classes.map(([name]) => name)).toEqual(
    expect.arrayContaining([
      ...['CleanupQueue', 'MCPServerPool', 'PoolError', 'ProcessRegistry', 'ProcessWatch', 'ResourceMonitor'],
      'StdioClientTransport',
    ]),
  );
  expect(classes.filter(([name, own]) => own !== name)).toEqual([]);
  // Those that are not exported are seen in heap snapshots and stack traces.
  for (const file of readdirSync(folder)) expect(readFileSync(join(folder, file), 'utf8')).not.toMatch(/\bclass _\w/);
});
