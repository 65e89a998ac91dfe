import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../helpers/compiled.js';
import { exampleProgram } from '../helpers/example.js';
import { newFolder } from '../helpers/folders.js';
import { startProgram } from '../helpers/host.js';
import { until } from '../helpers/until.js';

const folders = readdirSync(join(ROOT, 'examples'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
const page = readFileSync(join(ROOT, 'examples/README.md'), 'utf8');
/** Of the table of the page: the folder, its program and the arguments. */
const rows = [...page.matchAll(/^\| \[([\w-]+)\].*`node examples\/(\S+\.m?js)( [^`]*)?`/gm)].map(
  ([, folder = '', program = '', args = '']) => ({ folder, program, args: args.split(' ').filter(Boolean) }),
);

/** Ports that no other test takes, and a command of the lane that stays. */
const INSTEAD: Readonly<Record<string, readonly string[]>> = {
  'express-gateway': ['--port', '0'],
  'single-lane': ['each-example', process.execPath, '-e', 'console.log("runs"); setInterval(() => {}, 1_000)'],
};

function start({ folder, program, args }: (typeof rows)[number]) {
  const temporary = newFolder();
  // Lanes of other tests and of this user are not met.
  const env = { TMPDIR: temporary, FOLDER: newFolder(), PORT: '0' };
  const host = startProgram(process.execPath, [exampleProgram(program), ...(INSTEAD[folder] ?? args)], { env });
  return { ...host, temporary };
}

/** What is in a folder for temporary files, without the folder of this user, which stays. */
function leftIn(temporary: string): string[] {
  const found = readdirSync(temporary, { recursive: true }).map(String);
  return found.filter((path) => path !== `mcp-server-pool-${process.getuid?.()}`);
}

describe('examples/', () => {
  it('[EXAMPLES-1] each folder has its command on the page, and in the head of its program', () => {
    expect(rows.map(({ folder }) => folder).sort()).toEqual(folders.map(({ name }) => name).sort());
    for (const { folder, program } of rows) {
      expect(program.startsWith(`${folder}/`)).toBe(true);
      const path = join(ROOT, 'examples', program);
      expect(existsSync(path), program).toBe(true);
      const head = readFileSync(path, 'utf8').split('\nimport ', 1)[0] ?? '';
      expect(head, program).toContain(`node examples/${folder}/${basename(program)}`);
      expect(head, program).toContain('README.md');
    }
  });

  it.each(rows)('[EXAMPLES-2] $folder says what it does, and by SIGINT leaves nothing', async (row) => {
    const { child, result, stdout, temporary } = start(row);
    await until('it says something', () => stdout().trim() !== '');
    child.kill('SIGINT');
    const { code, signal, stderr } = await result;
    expect([0, 130, 'SIGINT']).toContain(signal ?? code);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(leftIn(temporary)).toEqual([]);
  });

  it.each(rows)('[EXAMPLES-2] $folder leaves nothing by a second SIGINT', async (row) => {
    const { child, result, stdout, temporary } = start(row);
    await until('it says something', () => stdout().trim() !== '');
    // Two that come together may be one for the kernel, so more follow until it has ended.
    await until('it has ended', () => !child.kill('SIGINT') || child.exitCode !== null || child.signalCode !== null);
    const { stderr } = await result;
    expect(stderr).not.toMatch(/^ +at /m);
    expect(leftIn(temporary)).toEqual([]);
  });

  it('[EXAMPLES-2] quickstart removes its folder, however early SIGINT comes', async () => {
    const row = rows.find(({ folder }) => folder === 'quickstart');
    if (row === undefined) throw new Error('there is no quickstart');
    const { child, result, temporary } = start(row);
    await until('it has a folder', () => readdirSync(temporary).length > 0);
    child.kill('SIGINT');
    expect(await result).toMatchObject({ code: 130, stderr: '' });
    expect(leftIn(temporary)).toEqual([]);
  });
});
