import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';
import { fixturePath } from '../helpers/fixture.js';
import { livingByTag, newTags, type Tags } from './tags.js';
import type { User } from './users.js';

/**
 * Processes of no server that are easily mistaken for a server: whatever ends, they live on. Each host has
 * one more in its own group, and `recycled.test.ts` one with the number of a dead server.
 */
const CANARIES = ['same script', 'same script, own session', 'mark of another host'] as const;

const ECHO = fixturePath('echo.js');

/** Starts them as this user; returns by which tags they are found. */
export async function startCanaries({ ids }: User): Promise<Tags> {
  const tags = newTags(CANARIES);
  const start = (name: (typeof CANARIES)[number], detached: boolean, env: NodeJS.ProcessEnv = {}): ChildProcess => {
    const child = spawn(process.execPath, [ECHO, tags[name]], {
      detached,
      env: { ...process.env, ...env },
      // Held open: at the end of its stdin it would end by itself.
      stdio: ['pipe', 'ignore', 'ignore'],
      ...ids,
    });
    onTestFinished(() => {
      child.kill('SIGKILL');
      child.stdin?.destroy();
    });
    return child;
  };
  const started = [
    start('same script', false),
    start('same script, own session', true),
    start('mark of another host', true, { MCP_SERVER_POOL_MARK: `${randomBytes(16).toString('hex')}.1` }),
  ];
  await Promise.all(started.map((child) => once(child, 'spawn')));
  return tags;
}

/** The names of those that do not live any more. */
export function deadCanaries(tags: Tags): string[] {
  return Object.entries(livingByTag(tags))
    .filter(([, rows]) => rows.length === 0)
    .map(([name]) => name);
}
