import { readlinkSync } from 'node:fs';
import { PoolError } from '../../errors.js';
import type { Platform } from '../platform.js';
import { missingInit } from './init.js';
import { linux } from './linux.js';
import { linuxProcessTable } from './linux-table.js';
import { psPlatform } from './ps.js';
import { windowsPlatform } from './windows.js';

/** Kept, because making a platform may probe its tool, which costs a child process. */
const made = new Map<string, Platform>();

/**
 * The platform of this host.
 * @throws PoolError `NOT_SUPPORTED` that names what is missing: /proc or `ps`, `ps` on macOS, PowerShell on Windows
 */
export function currentPlatform(name: NodeJS.Platform = process.platform): Platform {
  const known = made.get(name) ?? make(name);
  made.set(name, known);
  return known;
}

/** If this process has another pid namespace than its /proc, each pid there belongs to another process. */
function assertOwnProc(): void {
  let self: string;
  try {
    self = readlinkSync('/proc/self');
  } catch {
    return;
  }
  if (self === String(process.pid)) return;
  throw new PoolError(
    'NOT_SUPPORTED',
    `/proc shows the processes of another pid namespace, in which this one is ${self} and not ${process.pid}; mount its own (unshare --mount-proc)`,
  );
}

function make(name: NodeJS.Platform): Platform {
  if (name === 'linux') assertOwnProc();
  if (name === 'linux' && linuxProcessTable.read(process.pid) !== undefined) {
    return missingInit(linuxProcessTable) ? { ...linux, withoutInit: true } : linux;
  }
  if (name === 'win32') return windowsPlatform();
  if (name === 'darwin' || name === 'linux') return psPlatform();
  throw new PoolError(
    'NOT_SUPPORTED',
    `mcp-server-pool knows how processes end on Linux, macOS and Windows, not on '${name}'`,
  );
}
