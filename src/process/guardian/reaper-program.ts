import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { reaperUrl } from '../../reaper-url.js';
import { refusesToBeNode } from './electron-fuse.js';

/** How the reaper is started when the host is dead. */
export interface ReaperProgram {
  /** A program that runs JavaScript. */
  readonly executable: string;
  readonly file: string;
  /** The variables that make the executable behave like Node. */
  readonly env: Readonly<Record<string, string>>;
}

/** What the options of a pool may set. */
export interface ReaperChoice {
  readonly reaper?: string | undefined;
  readonly executable?: string | undefined;
}

/** The properties of this process that decide how a script can be run. */
export interface HostRuntime {
  readonly execPath: string;
  readonly versions: Readonly<Record<string, string | undefined>>;
  /** A single executable application, or one made by pkg: it contains its scripts, and would start itself again. */
  readonly isSelfContained: boolean;
  /** The default place of the reaper. */
  readonly reaperUrl: string | undefined;
}

interface Problem {
  /** What is wrong, and what to do about it. */
  readonly problem: string;
}

/** Finds the reaper and the executable that runs it, or what is wrong. */
export function findReaper(choice: ReaperChoice, runtime: HostRuntime = currentRuntime()): ReaperProgram | Problem {
  const runner = findRunner(choice.executable, runtime);
  if ('problem' in runner) return runner;
  const file = findFile(choice.reaper, runtime.reaperUrl, runner.env === ELECTRON);
  return typeof file === 'string' ? { ...runner, file } : file;
}

/** Without this variable Electron would open the application again. */
const ELECTRON = { ELECTRON_RUN_AS_NODE: '1' };
const OR_NONE = 'or say guardian: { enabled: false }';

function findRunner(
  chosen: string | undefined,
  { execPath, versions, isSelfContained }: HostRuntime,
): Omit<ReaperProgram, 'file'> | Problem {
  if (chosen !== undefined) {
    if (existsSync(chosen)) return { executable: chosen, env: {} };
    return { problem: `guardian.executable: there is no ${chosen}; it runs the reaper when the host is dead` };
  }
  const isElectron = versions.electron !== undefined;
  if (isSelfContained || versions.deno !== undefined || (isElectron && refusesToBeNode(execPath))) {
    return {
      problem: `guardian.executable has to name a Node that runs the reaper: ${execPath} would start this host again; ${OR_NONE}`,
    };
  }
  return { executable: execPath, env: isElectron ? ELECTRON : {} };
}

/** `readsAsar`: the executable can read files inside an archive of Electron. */
function findFile(chosen: string | undefined, url: string | undefined, readsAsar: boolean): string | Problem {
  const file = chosen ?? (url?.startsWith('file:') ? fileURLToPath(url) : undefined);
  // A path inside an archive is a file only for runtimes that read archives (yarn's Plug'n'Play, Electron).
  const isPacked = file !== undefined && (/\.zip\//.test(file) || (/\.asar\//.test(file) && !readsAsar));
  if (file !== undefined && existsSync(file) && !isPacked) return file;
  const what = 'the reaper of mcp-server-pool (dist/reaper.js of the package)';
  if (chosen !== undefined) return { problem: `guardian.reaper: ${what} is not at ${chosen}, as a file of its own` };
  const where =
    file === undefined ? 'beside the code of the package, which was bundled' : `at ${file}, as a file of its own`;
  return { problem: `${what} is not ${where}; ship it unpacked and name its path in guardian.reaper, ${OR_NONE}` };
}

function currentRuntime(): HostRuntime {
  const { execPath, versions } = process;
  return { execPath, versions, isSelfContained: isSelfContained(), reaperUrl: reaperUrl() };
}

function isSelfContained(): boolean {
  if ('pkg' in process) return true;
  // node:sea exists since Node 20.12.
  const sea = process.getBuiltinModule?.('node:sea') as { isSea?(): boolean } | undefined;
  return sea?.isSea?.() ?? false;
}
