import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import { errnoOf } from '../../errors.js';

/**
 * What the secret of a host is computed from. The origin gives the secret, but no second origin with the same secret can be
 * found. So a ledger cannot name another process as the host that made a mark.
 */
export interface HostOrigin extends PidScope {
  /** 32 random hexadecimal digits. */
  readonly seed: string;
  readonly pid: number;
  /** Ticks since boot. */
  readonly startTime: number;
}

/** Where pids and start times can be compared. */
export interface PidScope {
  readonly bootId: string;
  /** The pid and time namespaces. Another container may see the same folder, but has other namespaces. */
  readonly namespaces: string;
}

const DIGITS = 32;
/** Enough to distinguish two scopes: it is no secret. */
const SHORT = 16;

/** A new origin for this process. Undefined where there is no /proc: then there are no ledgers. */
export function newOrigin(): HostOrigin | undefined {
  try {
    const line = readFileSync('/proc/self/stat', 'latin1');
    // The 22nd field; the name before the third may contain anything.
    const startTime = Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[19]);
    return { seed: randomBytes(DIGITS / 2).toString('hex'), pid: process.pid, startTime, ...pidScope() };
  } catch {
    return undefined;
  }
}

/** The secret of the host with that origin. */
export function secretOf({ seed, pid, startTime, bootId, namespaces }: HostOrigin): string {
  const text = JSON.stringify([seed, pid, startTime, bootId, namespaces]);
  return createHash('sha256').update(`mcp-server-pool origin ${text}`).digest('hex').slice(0, DIGITS);
}

/** The scope of this process. Throws without /proc. */
export function pidScope(): PidScope {
  return {
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim(),
    namespaces: ['pid', 'time'].map(namespaceOf).join(' '),
  };
}

let name: string | undefined;

/** A short name of the scope of this process, the same as long as it is the same. Empty where the system does not show it. */
export function scopeName(): string {
  try {
    name ??= createHash('sha256').update(JSON.stringify(pidScope())).digest('hex').slice(0, SHORT);
    return name;
  } catch {
    return '';
  }
}

/** Kernels before 5.6 have no time namespaces. */
function namespaceOf(kind: string): string {
  try {
    return readlinkSync(`/proc/self/ns/${kind}`);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return `${kind}:none`;
    throw error;
  }
}
