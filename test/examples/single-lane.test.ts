import { describe, expect, it } from 'vitest';
import { exampleProgram } from '../helpers/example.js';
import { newFolder } from '../helpers/folders.js';
import { startProgram } from '../helpers/host.js';
import { until } from '../helpers/until.js';

describe('the example of a lane', () => {
  it('[LANE-1] lets the second of two test suites wait, shows its place, and ends as its command does', async () => {
    const program = exampleProgram('single-lane/index.js');
    const env = { FOLDER: newFolder() };
    const start = (...args: string[]) => startProgram(process.execPath, [program, 'tests', ...args], { env });
    const gate = `${newFolder()}/gate`;
    const first = start('sh', '-c', `echo begins; until [ -e ${gate} ]; do sleep 0.05; done; exit 3`);
    await until('the first one runs', () => first.stdout().includes('begins'));
    const second = start('touch', `${gate}-2`);
    await until('the second one waits', async () => (await start('--status').result).stdout.includes('1. touch waits'));
    startProgram('touch', [gate]);
    expect(await first.result).toMatchObject({ code: 3, stdout: 'begins\n', stderr: '' });
    const { code, stderr } = await second.result;
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/^tests: 1 before this one\. sh runs for \d+ s \(pid \d+\)\.$/m),
    ]);
  });

  it('[LANE-4] says how it is used', async () => {
    expect(await startProgram(process.execPath, [exampleProgram('single-lane/index.js')]).result).toMatchObject({
      code: 2,
    });
  });
});
