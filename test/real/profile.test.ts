import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { compiledSource, ROOT } from '../helpers/compiled.js';
import { fixturePath } from '../helpers/fixture.js';
import { newFolder } from '../helpers/folders.js';
import { startProgram } from '../helpers/host.js';

/** The profiler in a copy where the name of the package leads to the compiled source. */
function profiler(): string {
  const folder = newFolder();
  mkdirSync(join(folder, 'profile'));
  for (const path of ['profile.js', 'profile'])
    cpSync(join(ROOT, 'test/real', path), join(folder, path), { recursive: true });
  symlinkSync(compiledSource(), join(folder, 'src'));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const manifest = { name: 'mcp-server-pool', type: 'module', exports: { '.': './src/index.js' } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  return join(folder, 'profile.js');
}

function run(server: string, ...more: string[]) {
  const given = ['--command', process.execPath, '--args', fixturePath(`${server}.js`), '--json', '--rounds', '1'];
  const places = ['--yardstick', fixturePath('echo.js'), '--folder', newFolder()];
  return startProgram(process.execPath, [profiler(), server, ...given, ...places, ...more]).result;
}

it('[SERVERS-4] the profiler finds what a server costs and asks, and recommends what follows, with the reason', async () => {
  const questions = ['handshake', 'start', 'tree', 'second', 'together', 'asks', 'asWritten'];
  const { code, stdout, stderr } = await run('asks-roots', '--ask', questions.join());
  expect(code, stderr).toBe(0);
  const { facts, policy, reasons } = JSON.parse(stdout);
  expect(Object.keys(facts)).toEqual(questions);
  expect(facts).toMatchObject({
    handshake: { says: 'asks-roots 1.0.0', capabilities: ['tools'] },
    start: { ratio: expect.any(Number), rounds: 1 },
    tree: { npx: { processes: 1 }, idle: { processes: 1, memoryMB: expect.any(Number) } },
    second: { works: true },
    together: { calls: 20, right: 20 },
    asks: { asked: ['roots/list'] },
    asWritten: { endedBy: 'eof', left: 0 },
  });
  expect({ policy, reasons }).toEqual({ policy: { sharing: 'shared' }, reasons: ['20 sessions used one process'] });
});

it('[SERVERS-4] a question that a server does not answer is answered with the error, and stops no other', async () => {
  const { code, stdout, stderr } = await run('dies-in-handshake', '--ask', 'handshake,tree');
  expect(code, stderr).toBe(0);
  const { facts, policy } = JSON.parse(stdout);
  expect(facts).toEqual({
    handshake: { error: expect.stringContaining('exited') },
    tree: { error: expect.stringContaining('exited') },
  });
  expect(policy).toEqual({});
});

it('[SERVERS-4] a question that it does not know is refused with those that it knows', async () => {
  const { code, stderr } = await run('echo', '--ask', 'colour');
  expect(code).toBe(1);
  expect(stderr).toContain('--ask is some of handshake, start, first, tree, ending, second');
});
