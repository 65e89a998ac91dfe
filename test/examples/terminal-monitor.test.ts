import { spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { widthOf } from '../../src/pool/display/text-width.js';
import { exampleProgram } from '../helpers/example.js';
import { startProgram } from '../helpers/host.js';
import { until } from '../helpers/until.js';

const program = () => exampleProgram('terminal-monitor/index.js');
const ESCAPE = '\u001b';
/** The second screen without a cursor, and back. */
const BEGIN = `${ESCAPE}[?1049h${ESCAPE}[?25l`;
const END = `${ESCAPE}[?25h${ESCAPE}[?1049l`;

/** Runs a command on a terminal of its own; undefined where there is no script(1). */
async function onTerminal(command: string) {
  const { NO_COLOR: _, ...env } = process.env;
  const args = ['-qec', command, '/dev/null'];
  const child = spawn('/usr/bin/script', args, { stdio: ['pipe', 'pipe', 'inherit'], env });
  const started = await new Promise<boolean>((resolve) => {
    child.once('spawn', () => resolve(true)).once('error', () => resolve(false));
  });
  if (!started) return undefined;
  onTestFinished(() => void child.kill('SIGKILL'));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { output: () => output, ended, press: (key: string) => child.stdin.write(key) };
}

describe('the terminal monitor', () => {
  it('[DISPLAY-4] once: one picture of servers that run, as plain text for a pipe', async () => {
    const { code, stdout, stderr } = await startProgram(process.execPath, [program(), 'once']).result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.match(/^pool open /gm)).toHaveLength(1);
    for (const name of ['search', 'files', 'メモ帳'])
      expect(stdout).toMatch(new RegExp(`^${name} +ready .* \\d+M `, 'm'));
    expect(stdout).not.toContain(ESCAPE);
    for (const line of stdout.split('\n')) expect(widthOf(line)).toBeLessThanOrEqual(80);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('[DISPLAY-4] ends by %s, with its servers', async (signal, expected) => {
    const { child, result, stdout } = startProgram(process.execPath, [program(), 'slow']);
    await until('the first picture', () => stdout().includes('メモ帳'));
    child.kill(signal);
    const { code, stderr } = await result;
    expect({ code, stderr }).toEqual({ code: expected, stderr: '' });
  });

  it('[DISPLAY-4] ends when nothing reads its output any more', async () => {
    const args = ['-c', '"$0" "$1" fast | head -n 3', process.execPath, program()];
    const { code, stdout, stderr } = await startProgram('/bin/sh', args).result;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.trimEnd().split('\n')).toHaveLength(3);
  });

  it('[DISPLAY-4] on a terminal: draws in place, and Ctrl-C leaves the terminal as it was', async (context) => {
    const terminal = await onTerminal(`"${process.execPath}" "${program()}" fast`);
    if (!terminal) return context.skip('there is no script(1)');
    await until('two pictures', () => terminal.output().split('SERVER').length > 2);
    expect(terminal.output().startsWith(`${BEGIN}${ESCAPE}[H`)).toBe(true);
    expect(terminal.output()).toContain(`${ESCAPE}[32mready`);
    terminal.press('\u0003');
    expect(await terminal.ended).toBe(130);
    // The terminal may show the key that was pressed.
    expect(terminal.output().replace('^C', '').trimEnd().endsWith(END)).toBe(true);
  });

  it('[DISPLAY-4] on a terminal: an error leaves it as it was, too', async (context) => {
    const screen = exampleProgram('terminal-monitor/screen.js');
    const script = `
      const { Screen } = await import(${JSON.stringify(screen)});
      new Screen(process.stdout).draw("a picture");
      throw new Error("by intention");`;
    const terminal = await onTerminal(`"${process.execPath}" --input-type=module -e '${script}' 2>/dev/null`);
    if (!terminal) return context.skip('there is no script(1)');
    expect(await terminal.ended).toBe(1);
    expect(terminal.output()).toContain('a picture');
    expect(terminal.output().trimEnd().endsWith(END)).toBe(true);
  });

  it('[DISPLAY-4] refuses what it does not know', async () => {
    const { code, stdout, stderr } = await startProgram(process.execPath, [program(), 'often']).result;
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('fast | slow | once');
  });
});
