import { closeSync, openSync, readdirSync, readFileSync, readSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isExecutable } from '../process/start/command.js';
import type { PackageRecord } from './package-record.js';
import { type ProgramKind, programKind } from './program-start.js';
import type { ShellReport } from './resolve-shell.js';

type Found = Pick<PackageRecord, 'program' | 'kind' | 'name' | 'version' | 'folders'>;

/** Where npm had a shell look for the program, and what it is. Undefined for what belongs to no package. */
export function programIn({ program, folders }: ShellReport, cwd: string): Found | undefined {
  const path = folders.map((folder) => join(folder, program)).find(isProgram);
  const owner = path === undefined ? undefined : packageOf(realpathSync(path));
  if (path === undefined || owner === undefined) return undefined;
  const { name, version } = owner;
  // What comes before the folders of the project is what npm has added.
  const first = folders.indexOf(join(realpathSync(cwd), 'node_modules', '.bin'));
  return { program: path, kind: kindOf(path), name, version, folders: first > 0 ? folders.slice(0, first) : [] };
}

function isProgram(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() === true && isExecutable(file);
}

/** The package to which a file belongs. */
function packageOf(file: string): { readonly name: string; readonly version: string } | undefined {
  for (let folder = dirname(file); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
        string,
        unknown
      >;
      // `{ "type": "module" }` in a folder of its own is no package.
      if (typeof name === 'string' && typeof version === 'string') return { name, version };
    } catch {
      // There is none here.
    }
  }
  return undefined;
}

function kindOf(path: string): ProgramKind {
  const descriptor = openSync(path, 'r');
  try {
    const head = Buffer.alloc(256);
    return programKind(head.toString('utf8', 0, readSync(descriptor, head, 0, head.length, 0)));
  } finally {
    closeSync(descriptor);
  }
}

/** Whether a package was installed for npx in this version, in the folder that it took for its cache. */
export function hasInstalled(cache: string, name: string, version: string): boolean {
  const trees = join(cache, '_npx');
  try {
    return readdirSync(trees).some((tree) => {
      const path = join(trees, tree, 'node_modules', name, 'package.json');
      return (JSON.parse(readFileSync(path, 'utf8')) as { version?: unknown }).version === version;
    });
  } catch {
    return false;
  }
}
