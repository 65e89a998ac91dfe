import { spawnSync } from 'node:child_process';

/** Why there is no promtool on this machine; undefined when there is one. It is in the package `prometheus` of Debian. */
export function obstacleToPromtool(): string | undefined {
  const { error } = spawnSync('promtool', ['--version']);
  return error === undefined ? undefined : 'there is no promtool(1): apt-get install prometheus';
}

/** Runs it, with `input` as its stdin. `output`: of both streams. */
export function promtool(
  args: readonly string[],
  input = '',
): { readonly code: number | null; readonly output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8', timeout: 60_000 });
  return { code: status, output: `${stdout}${stderr}` };
}
