import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { compiledSource, ROOT } from './compiled.js';

/** What came of a host that ran as a process of its own. */
export interface HostResult {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface HostOptions {
  /** Shell words before the host starts, such as `ulimit -n 40`. */
  readonly before?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** After this time it is killed, ms. Default 20,000. */
  readonly timeout?: number;
}

export interface RunningHost {
  readonly child: ChildProcess;
  readonly result: Promise<HostResult>;
  /** What it wrote so far. */
  stdout(): string;
}

/**
 * Runs `script` (an ES module) as a host of its own. In it `SRC` is the compiled `src/`: `const { x } = await
 * import(SRC + '/process/start/local-launcher.js')`, `FIXTURES` the folder of test servers. It inherits the marker of this worker.
 */
export function startHost(script: string, { before, env, timeout = 20_000 }: HostOptions = {}): RunningHost {
  const constants = { SRC: compiledSource(), FIXTURES: join(ROOT, 'test/fixtures/servers') };
  const head = Object.entries(constants).map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`);
  const args = ['--input-type=module', '-e', `${head.join('\n')}\n${script}`];
  const [file, all] = before
    ? ['/bin/sh', ['-c', `${before} && exec "$@"`, 'sh', process.execPath, ...args]]
    : [process.execPath, args];
  const child = spawn(file as string, all as string[], { cwd: ROOT, env: { ...process.env, ...env }, stdio: 'pipe' });
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
      // An orphan may hold the pipes for ever.
      setTimeout(done, 500).unref();
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

/** Runs `script` to its end. */
export function runHost(script: string, options?: HostOptions): Promise<HostResult> {
  return startHost(script, options).result;
}
