import { dirname, join } from 'node:path';
import type { PackageRecord } from './package-record.js';
import type { PackageRequest } from './package-request.js';

/** How a server is started without npm. */
export interface PackageStart {
  /** `name@version` of the package. */
  readonly package: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Folders before those of PATH. */
  readonly folders: readonly string[];
  /** Variables that npx would add. */
  readonly variables: Readonly<Record<string, string>>;
  /** To be called when nothing of the server lives: until then its version is not removed. */
  release(): void;
}

/** Undefined when it is not there any more. */
export function startOf({ plan, folder, cwd }: PackageRequest, record: PackageRecord): PackageStart | undefined {
  const release = folder.use(record);
  if (release === false) return undefined;
  const { program, kind } = record;
  return {
    package: `${record.name}@${record.version}`,
    command: kind === 'node' ? 'node' : program,
    args: kind === 'node' ? [program, ...plan.args] : plan.args,
    folders: [...record.folders, ...foldersOf(cwd)],
    variables: { ...record.variables, INIT_CWD: cwd },
    release,
  };
}

/** As npx: programs of the packages of the project, and of the folders above it. */
function foldersOf(cwd: string): string[] {
  const folders: string[] = [];
  for (let folder = cwd; ; folder = dirname(folder)) {
    folders.push(join(folder, 'node_modules', '.bin'));
    if (folder === dirname(folder)) return folders;
  }
}
