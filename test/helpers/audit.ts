import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { errnoOf } from '../../src/errors.js';
import type { AuditDoor } from '../../src/monitor/audit/audit-door.js';
import type { AuditPlace } from '../../src/monitor/audit/audit-file.js';
import { type AuditFailure, AuditTrail } from '../../src/monitor/audit/audit-trail.js';
import { ManualClock } from './clock.js';

/** A new folder, removed when the test is over. */
export function auditFolder(): string {
  const path = mkdtempSync(join(tmpdir(), 'mcp-pool-audit-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** A trail whose time a test advances. It is closed when the test is over. */
export function openTrail(place: Partial<AuditPlace> & { path: string }, door?: AuditDoor, clock = new ManualClock()) {
  const failures: AuditFailure[] = [];
  const options = { maxMB: 10, keep: 5, ...place };
  const trail = new AuditTrail(options, (failure) => failures.push(failure), { clock, ...(door ? { door } : {}) });
  onTestFinished(() => trail.close());
  return { trail, failures, clock, path: options.path };
}

/** The lines of a file, as they are; an error when one is no JSON. */
export function linesOf(path: string): Record<string, unknown>[] {
  return parsed(readFileSync(path, 'utf8'));
}

/**
 * For a test that waits while a trail writes: the lines that are whole. A large write may be seen half done, and while files are
 * rotated there is none.
 */
export function linesNow(path: string): Record<string, unknown>[] {
  try {
    const text = readFileSync(path, 'utf8');
    return parsed(text.slice(0, text.lastIndexOf('\n') + 1));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

function parsed(text: string): Record<string, unknown>[] {
  const lines = text.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** The lines of all files of a trail, oldest file first. */
export function allLinesOf(folder: string): Record<string, unknown>[] {
  const number = (file: string) => Number(/\.(\d+)$/.exec(file)?.[1] ?? 0);
  return readdirSync(folder)
    .sort((a, b) => number(b) - number(a))
    .flatMap((file) => linesOf(join(folder, file)));
}
