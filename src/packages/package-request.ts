import { createHash } from 'node:crypto';
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { resolveCommand } from '../process/start/command.js';
import { cacheFolder, npmSetting, npmVariables } from './npm-settings.js';
import type { PackagePlan } from './npx-plan.js';
import { PackageFolder } from './package-folder.js';

/** A server that is about to be started. */
export interface Asked {
  /** Name of its definition. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string | undefined;
  readonly resolvedEnv: Readonly<Record<string, string>>;
}

/** What npm is asked, and where its answer is kept. */
export interface PackageRequest {
  readonly server: string;
  readonly plan: PackagePlan;
  /** Equal where npm would give the same answer. */
  readonly key: string;
  readonly folder: PackageFolder;
  readonly command: string;
  readonly cwd: string;
  /** The variables that npm gets. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Finds out all that the answer of npm depends on: the command line, the program, the versions of npm and node, the project in
 * which it is run, the settings. Reads a few small files.
 * @throws PoolError when the command or its working directory is not there, as the start would
 */
export function packageRequest(asked: Asked, plan: PackagePlan): PackageRequest {
  const { name, command, resolvedEnv } = asked;
  const cwd = resolve(asked.cwd ?? '.');
  const file = resolveCommand(asked);
  const home = resolvedEnv.HOME ?? homedir();
  const project = projectOf(cwd);
  const userConfig = npmSetting(resolvedEnv, 'userconfig') ?? join(home, '.npmrc');
  const configs = [textOf(join(project ?? cwd, '.npmrc')), textOf(userConfig)];
  const env = npmVariables(resolvedEnv, configs);
  const cache = plan.cache === undefined ? cacheFolder(env, configs, { home, cwd }) : resolve(cwd, plan.cache);
  const { subcommand, options, word } = plan;
  const parts = [
    [subcommand, options, word],
    [...versionOf(file), ...versionOf(nodeOf(asked))],
    // Without one the folder itself says nothing.
    project === undefined && configs[0] === '' ? [] : [project ?? cwd, installedIn(project), configs[0]],
    [configs[1]],
    Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1)),
  ];
  const key = createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 24);
  return { server: name, plan, key, folder: new PackageFolder(cache, key), command, cwd, env };
}

/** The folder for which npm is run: the nearest one with a package.json or with packages. */
function projectOf(cwd: string): string | undefined {
  for (let folder = cwd; ; folder = dirname(folder)) {
    if (isThere(join(folder, 'package.json')) || isThere(join(folder, 'node_modules'))) return folder;
    if (folder === dirname(folder)) return undefined;
  }
}

/** Another value after each change of the packages of a project: a package that is installed there comes first. */
function installedIn(project: string | undefined): number {
  return project === undefined ? 0 : timeOf(join(project, 'node_modules', '.package-lock.json'));
}

function nodeOf(asked: Asked): string | undefined {
  try {
    return resolveCommand({ ...asked, command: 'node' });
  } catch {
    return undefined;
  }
}

/** Another value after each upgrade: what was compiled for one version of node may not run with another. */
function versionOf(file: string | undefined): [string, number] {
  try {
    const path = realpathSync(file ?? '');
    return [path, timeOf(path)];
  } catch {
    return [file ?? '', 0];
  }
}

function timeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function isThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
