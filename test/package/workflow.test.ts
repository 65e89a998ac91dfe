import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ROOT } from '../helpers/compiled.js';
import { manifest } from '../helpers/package-files.js';

interface Job {
  readonly 'runs-on': string;
  readonly strategy?: { readonly matrix: { readonly os?: readonly string[]; readonly node: readonly string[] } };
  readonly steps: readonly { readonly uses?: string; readonly run?: string }[];
}
const workflow = parse(readFileSync(join(ROOT, '.github/workflows/ci.yml'), 'utf8')) as {
  readonly permissions: unknown;
  readonly jobs: Readonly<Record<string, Job>>;
};
const jobs = Object.values(workflow.jobs);

describe('.github/workflows/ci.yml', () => {
  it('[RELEASE-1] runs on Linux, macOS and Windows, on every line of Node that test:nodes runs', () => {
    const systems = jobs.flatMap((job) => job.strategy?.matrix.os ?? [job['runs-on']]);
    expect(new Set(systems)).toEqual(new Set(['ubuntu-latest', 'macos-latest', 'windows-latest']));
    const [, lines = ''] = readFileSync(join(ROOT, 'test/consumer/nodes.js'), 'utf8').match(/: \[('20'.*)\];/) ?? [];
    const majors = [...lines.matchAll(/'(\d+)'/g)].map(([, line]) => line);
    expect(majors.length).toBeGreaterThan(3);
    for (const { strategy } of jobs.filter((job) => job.strategy !== undefined))
      expect(strategy?.matrix.node.map((version) => version.split('.')[0])).toEqual(majors);
    // The oldest is the oldest that package.json allows.
    expect(jobs[0]?.strategy?.matrix.node[0]).toBe(manifest.engines.node.replace('>=', ''));
  });

  it('[RELEASE-1] runs what there is, and may only read', () => {
    expect(workflow.permissions).toEqual({ contents: 'read' });
    const commands = jobs.flatMap(({ steps }) => steps.flatMap(({ run }) => run ?? []));
    const scripts = commands.flatMap((command) => command.match(/^npm run (\S+)$/)?.[1] ?? []);
    expect(scripts.filter((script) => manifest.scripts[script] === undefined)).toEqual([]);
    const others = new Set(commands.filter((command) => !command.startsWith('npm run ')));
    expect([...others].sort()).toEqual(['.ci/run', 'npm ci']);
    expect(existsSync(join(ROOT, '.ci/run'))).toBe(true);
  });
});
