import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const SECRETS = ['swordfish-71830', 'tunafish-40412', 'goldfish-99517'];
const [VALUE, ARGUMENT, PASSWORD] = SECRETS;
const server = {
  command: 'fake',
  args: ['--api-key', `${ARGUMENT}`, `postgres://user:${PASSWORD}@host/db`],
  env: { TOKEN: `${VALUE}` },
};
const STDERR = `private line of another session\nlogin with ${SECRETS.join(' ')}\nError: ${SECRETS.join(' ')} was refused\n`;
const modes = ['shared', 'exclusive', 'dedicated'] as const;

async function crashed(sharing: (typeof modes)[number], onCrash: 'close' | 'restart', stderr = STDERR) {
  const all = setUp(
    { servers: { a: { ...server, sharing, ...(sharing !== 'dedicated' && { onCrash }) } } },
    { answer: false },
  );
  const client = await RawClient.connect((await all.pool.getServer('a')).transport);
  const call = rejection(client.callTool('x')) as Promise<PoolError>;
  await flush();
  all.launcher.last.stderrTail = stderr;
  all.launcher.last.exit({ exitCode: 1 });
  return { ...all, client, answer: await call };
}

const shown = (...values: unknown[]) => JSON.stringify(values);

describe('what a server wrote to stderr before it was lost', () => {
  it.each(modes.flatMap((mode) => [[mode, 'close'] as const, [mode, 'restart'] as const]))(
    '[SECRET-3] shows no secret in answers to clients, errors and events: %s, onCrash: %s',
    async (sharing, onCrash) => {
      const { answer, client, emitted } = await crashed(sharing, onCrash);
      expect(answer.message).toMatch(/; on stderr: Error: \[hidden\] \[hidden\] \[hidden\] was refused$/);
      const exit = emitted.find(({ event }) => event === 'server:exited');
      expect(shown(exit)).toContain('private line');
      for (const secret of SECRETS)
        expect(shown(answer.message, answer.data, client.errors, emitted)).not.toContain(secret);
    },
  );

  it.each(['close', 'restart'] as const)(
    '[SECRET-3] is in no answer of a shared server, since it may be about other sessions: onCrash: %s',
    async (onCrash) => {
      const { answer } = await crashed('shared', onCrash);
      expect(answer.data).toMatchObject({ reason: 'SERVER_EXITED', exitCode: 1 });
      expect(answer.data).not.toHaveProperty('stderrTail');
      expect(shown(answer.message, answer.data)).not.toContain('private line');
    },
  );

  it.each(['exclusive', 'dedicated'] as const)(
    '[SECRET-3] is in the answer of a server with one session, without its secrets: %s',
    async (sharing) => {
      const { answer } = await crashed(sharing, 'close');
      expect(answer.data.stderrTail).toBe(STDERR.replaceAll(/\w+fish-\d+/g, '[hidden]'));
      // A secret at the place where the tail is cut is hidden before that.
      const { answer: long } = await crashed(sharing, 'close', `${VALUE}${'x'.repeat(8_192 - 5)}`);
      expect(long.data.stderrTail).toBe(`dden]${'x'.repeat(8_192 - 5)}`);
    },
  );

  it.each([
    ['another owner, reuse tenant', { reuse: 'tenant' }, 'y', false],
    ['the same owner, reuse owner', { reuse: 'owner' }, 'x', true],
    ['the first lease, reuse tenant', { reuse: 'tenant' }, undefined, true],
    ["another owner, reuse tenant, onCrash 'restart'", { reuse: 'tenant', onCrash: 'restart' }, 'y', false],
  ] as const)(
    '[SECRET-3] is in the answer of an exclusive server only if it is of this owner: %s',
    async (_what, policy, next, isThere) => {
      const { pool, launcher } = setUp(
        { servers: { a: { ...server, ...policy, maxInstances: 1 } } },
        { answer: false },
      );
      const connect = async (owner: string) => {
        const lease = await pool.getServer('a', { owner });
        return { lease, client: await RawClient.connect(lease.transport) };
      };
      let { lease, client } = await connect('x');
      if (next) {
        lease.release();
        ({ lease, client } = await connect(next));
      }
      const call = rejection(client.callTool('x')) as Promise<PoolError>;
      await flush();
      launcher.last.stderrTail = STDERR;
      launcher.last.exit({ exitCode: 1 });
      expect(JSON.stringify((await call).data).includes('private line')).toBe(isThere);
      expect(launcher.servers[0]?.pid).toBeDefined();
    },
  );

  it.each(modes)('[SECRET-3] is in the error that the host gets, without secrets: %s', async (sharing) => {
    const { client } = await crashed(sharing, 'close');
    await client.closed;
    const [error] = client.errors as PoolError[];
    expect(error?.data.stderrTail).toBe(STDERR.replaceAll(/\w+fish-\d+/g, '[hidden]'));
  });

  it('[SECRET-3] shows no secret in BREAKER_OPEN and its cause, and is in no answer with it', async () => {
    const restart = { maxRestarts: 0 };
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing: 'shared', restart } } }, { answer: false });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    // Safe to repeat: it waits for the next process.
    const call = rejection(client.request('tools/list')) as Promise<PoolError>;
    await flush();
    launcher.last.stderrTail = STDERR;
    launcher.last.exit({ exitCode: 1 });
    const answer = await call;
    await client.closed;
    const refused = (await rejection(pool.getServer('a'))) as PoolError;
    expect([answer.data, refused]).toMatchObject([{ reason: 'BREAKER_OPEN' }, { code: 'BREAKER_OPEN' }]);
    expect(answer.data).not.toHaveProperty('stderrTail');
    expect(refused.data.stderrTail).toContain('private line');
    expect(refused.cause).toMatchObject({ code: 'SERVER_EXITED' });
    for (const secret of SECRETS)
      expect(shown(answer.message, answer.data, client.errors, refused)).not.toContain(secret);
  });

  it('[SECRET-3] a refusal of initialize that quotes a secret shows it to no caller', async () => {
    const { pool, launcher } = setUp({ servers: { a: server } }, { initialize: false });
    const call = rejection(pool.getServer('a')) as Promise<PoolError>;
    await flush();
    const error = { code: -32_000, message: `bad key ${ARGUMENT}` };
    launcher.last.say({ jsonrpc: '2.0', id: launcher.last.received[0]?.id, error });
    expect(await call).toMatchObject({
      code: 'HANDSHAKE_FAILED',
      message: expect.stringContaining('bad key [hidden]'),
    });
  });
});
