import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { reaperUrl } from '../../reaper-url.js';

/** The reaper as a program of its own: what is started when the host is dead. */
export interface ReaperProgram {
  /** Runs JavaScript. */
  readonly executable: string;
  readonly file: string;
  /** What the executable needs to behave as Node. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a host may say of it. */
export interface ReaperChoice {
  readonly reaper?: string | undefined;
  readonly executable?: string | undefined;
}

/** This process, as far as it decides how a script is run. */
export interface HostRuntime {
  readonly execPath: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** A program with its scripts inside, which would start itself again: a single executable application, or one of pkg. */
  readonly isSelfContained: boolean;
  /** Where the reaper is if nobody has moved it. */
  readonly reaperUrl: string | undefined;
}

/** Where the reaper is, and who runs it; or what is wrong, as a sentence that says what to do. */
export function findReaper(
  { reaper, executable }: ReaperChoice,
  runtime: HostRuntime = currentRuntime(),
): ReaperProgram | { readonly problem: string } {
  const url = runtime.reaperUrl;
  const file = reaper ?? (url?.startsWith('file:') ? fileURLToPath(url) : undefined);
  if (file === undefined || !existsSync(file)) {
    const where = file === undefined ? 'beside its code, which was bundled' : `at ${file}`;
    return {
      problem: `${reaper === undefined ? '' : 'guardian.reaper: '}the reaper of mcp-server-pool is not ${where}; ${
        reaper === undefined
          ? 'a bundled host has to ship dist/reaper.js of the package as a file of its own and to name its path in guardian.reaper, or to say guardian: { enabled: false }'
          : 'it is dist/reaper.js of the package'
      }`,
    };
  }
  if (executable !== undefined) {
    if (existsSync(executable)) return { executable, file, env: {} };
    return { problem: `guardian.executable: there is no ${executable}; it runs the reaper when the host is dead` };
  }
  if (runtime.isSelfContained || runtime.versions.deno !== undefined) {
    return {
      problem: `guardian.executable has to name a Node that runs the reaper: ${runtime.execPath} would start this host again; or say guardian: { enabled: false }`,
    };
  }
  // Without it Electron would open the application once more.
  const env: Record<string, string> = runtime.versions.electron === undefined ? {} : { ELECTRON_RUN_AS_NODE: '1' };
  return { executable: runtime.execPath, file, env };
}

function currentRuntime(): HostRuntime {
  const { execPath, versions } = process;
  return { execPath, versions, isSelfContained: isSelfContained(), reaperUrl: reaperUrl() };
}

function isSelfContained(): boolean {
  if ('pkg' in process) return true;
  // Since Node 20.12, and only asked for where it exists.
  const sea = process.getBuiltinModule?.('node:sea') as { isSea?(): boolean } | undefined;
  return sea?.isSea?.() ?? false;
}
