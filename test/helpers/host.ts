import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compiledSource, ROOT } from './compiled.js';
import { flush } from './until.js';

/** How a host process ended, and its output. */
export interface HostResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface HostOptions {
  /** A shell command that runs before the host, such as `ulimit -n 40`. */
  readonly before?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Working directory. Default: the root of the project. */
  readonly cwd?: string;
  /** Time after which the host is killed, in milliseconds. Default: 100,000, which only ends what hangs. */
  readonly timeout?: number;
}

export interface RunningHost {
  readonly child: ChildProcess;
  readonly result: Promise<HostResult>;
  /** Its output so far. */
  stdout(): string;
}

/**
 * Runs `script` (an ES module) as a host process. In the script `SRC` is the compiled `src/`: `const { x } = await
 * import(SRC + '/index.js')`, `FIXTURES` the folder of test servers. The host inherits the marker of this worker.
 */
export function startHost(script: string, { before, ...options }: HostOptions = {}): RunningHost {
  const args = hostArgs(script);
  if (before === undefined) return startProgram(process.execPath, args, options);
  return startProgram('/bin/sh', ['-c', `${before} && exec "$@"`, 'sh', process.execPath, ...args], options);
}

/** Runs a program, which inherits the marker of this worker, too. */
export function startProgram(
  file: string,
  args: readonly string[],
  { env, cwd = ROOT, timeout = 100_000 }: Omit<HostOptions, 'before'> = {},
): RunningHost {
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: 'pipe' });
  child.stdin.end();
  const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const result = new Promise<HostResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(timer);
      const done = () => resolve({ code, signal, ...output });
      child.once('close', done);
      // `close` may never come: an orphan may hold the pipes open. A worker that was held up reads them first.
      setTimeout(() => void flush().then(done), 500).unref();
    });
  });
  onTestFinished(() => {
    clearTimeout(timer);
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
  });
  return { child, result, stdout: () => output.stdout };
}

/** The arguments by which Node runs such a script. */
export function hostArgs(script: string): string[] {
  const constants = { SRC: compiledSource(), FIXTURES: join(ROOT, 'test/fixtures/servers') };
  const head = Object.entries(constants).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  return ['--input-type=module', '-e', `${head.join('\n')}\n${script}`];
}

/** Runs `script` to its end. */
export function runHost(script: string, options?: HostOptions): Promise<HostResult> {
  return startHost(script, options).result;
}
