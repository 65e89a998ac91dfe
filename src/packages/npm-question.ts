import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasInstalled, programIn } from './installed-program.js';
import { type NpmSurroundings, runNpm } from './npm-run.js';
import { removeNow } from './package-folder.js';
import type { PackageRecord } from './package-record.js';
import type { PackageRequest } from './package-request.js';
import { REPORT_NAME, readReport, SHELL_NAME } from './resolve-shell.js';

/** Why npm has not said which program it would run: a sentence without secrets. */
export class NoAnswer extends Error {}

/** What npm would run. */
export type NpmAnswer = Omit<PackageRecord, 'installed' | 'checkedAt'>;

/**
 * Has npm find, install and choose the program, as for npx.
 * @param cache the folder that it takes for its cache
 * @throws NoAnswer; PoolError when npm could not be started; the reason of the signal
 */
export async function askNpm(
  request: PackageRequest,
  cache: string,
  surroundings: NpmSurroundings,
  signal: AbortSignal,
): Promise<NpmAnswer> {
  const shell = request.folder.createShell();
  try {
    const { exitCode, stderr } = await runNpm(commandFor(request, cache, shell), surroundings, signal);
    signal.throwIfAborted();
    const report = readReport(textOf(join(shell, REPORT_NAME)));
    if (exitCode !== 0 || report === undefined) throw new NoAnswer(failure(exitCode, stderr));
    const found = programIn(report, request.cwd);
    if (found === undefined) throw new NoAnswer(`npm would run '${report.program}', which belongs to no package`);
    return { ...found, variables: report.variables };
  } finally {
    removeNow(shell);
  }
}

/**
 * Asks npm whether it would install something else than what is in `cache`. Changes nothing there.
 * @returns undefined when it has not said it
 */
export async function isCurrent(
  request: PackageRequest,
  cache: string,
  surroundings: NpmSurroundings,
  signal: AbortSignal,
): Promise<boolean | undefined> {
  const shell = request.folder.createShell();
  try {
    // The last one counts: whatever is missing is not installed, but named.
    const { exitCode, stderr } = await runNpm(commandFor(request, cache, shell, '--yes=false'), surroundings, signal);
    signal.throwIfAborted();
    if (exitCode === 0) return true;
    const missing = missingIn(stderr);
    return missing?.every(([name, version]) => hasInstalled(cache, name, version));
  } finally {
    removeNow(shell);
  }
}

/** The arguments of the server are not among its own: they may be secret, and npm does not need them. */
function commandFor({ plan, command, cwd, env }: PackageRequest, cache: string, shell: string, ...more: string[]) {
  const own = [`--cache=${cache}`, `--script-shell=${join(shell, SHELL_NAME)}`, '--no-update-notifier', '--logs-max=0'];
  const args = [...plan.subcommand, ...plan.options, ...more, ...own, '--', plan.word];
  return { command, args, cwd, resolvedEnv: env };
}

/** In the words of libnpmexec: `npx canceled due to missing packages and no YES option: ["a@1.0.0"]`. */
export function missingIn(stderr: string): (readonly [name: string, version: string])[] | undefined {
  const [, list = ''] = /canceled due to missing packages[^[\n]*\[([^\]\n]*)\]/.exec(stderr) ?? [];
  const missing = [...list.matchAll(/"(@?[^"@]+)@([^"@]+)"/g)].map(
    ([, name = '', version = '']) => [name, version] as const,
  );
  return missing.length > 0 ? missing : undefined;
}

/** What npm writes may have secrets; its code has none. */
function failure(exitCode: number | null, stderr: string): string {
  const [, code] = /^npm (?:error|ERR!) code ([A-Z][A-Z0-9_]{1,40})$/m.exec(stderr) ?? [];
  if (missingIn(stderr) !== undefined) return 'npm may not install it without -y (its setting yes is false)';
  if (exitCode === 0) return 'npm has not said which program it would run';
  return `npm ended with ${exitCode ?? 'a signal'}${code === undefined ? '' : ` (${code})`}`;
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
