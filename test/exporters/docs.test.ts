import { readFileSync } from 'node:fs';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { POOL_EVENTS } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';

const page = readFileSync(new URL('../../docs/observability.md', import.meta.url), 'utf8');

describe('docs/observability.md', () => {
  const [, example = ''] = /```js\n(import \{ pino \}.*?)```/s.exec(page) ?? [];

  it('[EVENT-11] has an example that writes one line of JSON for each event, by its level', async () => {
    const { pool, launcher } = setUp({ servers: { a: { command: 'fake' } } });
    const lines: { level: string; line: string; message: string }[] = [];
    const at = (level: string) => (fields: object, message: string) =>
      void lines.push({ level, line: JSON.stringify(fields), message });
    const pino = () => ({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') });
    const script = example.replace(/^import .*$/m, '');
    expect(script).not.toBe(example);
    runInNewContext(script, { pino, pool });
    await pool.getServer('a');
    pool.once('server:exited', () => {
      throw new Error('boom');
    });
    launcher.last.exit({ exitCode: 1 });
    await pool.shutdown();
    const levelOf = (event: string) => lines.filter(({ message }) => message === event).map(({ level }) => level);
    expect([...levelOf('lease:acquired'), ...levelOf('server:ready')]).toEqual(['debug', 'info']);
    expect([...levelOf('server:exited'), ...levelOf('listener:error')]).toEqual(['warn', 'error']);
    const [error] = lines.filter(({ message }) => message === 'listener:error');
    expect(JSON.parse(error?.line ?? '')).toMatchObject({
      event: 'listener:error',
      payload: { event: 'server:exited', error: { message: 'boom' } },
    });
  });

  it('[EVENT-10] names events that exist', () => {
    const named = [...example.matchAll(/'(\w+:[\w-]+)'/g)].map(([, event]) => event);
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((event) => !(POOL_EVENTS as readonly unknown[]).includes(event))).toEqual([]);
  });
});
