import { describe, expect, it } from 'vitest';
import type { PoolError } from '../../src/errors.js';
import { RawClient } from '../helpers/client.js';
import { setUp } from '../helpers/fake-pool.js';
import { flush, rejection } from '../helpers/until.js';

const MODES = ['shared', 'exclusive', 'dedicated'] as const;
const server = { command: 'fake', startTimeout: 20_000 };

function noiseOf({ emitted }: ReturnType<typeof setUp>) {
  return emitted.flatMap(({ event, payload }) => (event === 'server:noise' ? [payload] : []));
}

describe.each(MODES)('what a server writes to stdout and is dropped: %s', (sharing) => {
  async function connected(more: object = {}) {
    const all = setUp({ servers: { a: { ...server, sharing, ...more } } });
    const client = await RawClient.connect((await all.pool.getServer('a')).transport);
    return { ...all, client, status: () => all.pool.status().servers.a?.instances[0] };
  }

  it('[NOISE-6] is reported at once, then every 10 s at most, with counts of all and samples of the first', async () => {
    const all = await connected();
    const { launcher, clock } = all;
    launcher.last.say('Welcome\nListening on http://localhost:3000\n');
    await flush();
    const [first] = noiseOf(all);
    expect(first).toMatchObject({ name: 'a', pid: launcher.last.pid, skippedLines: 2, unmatchedAnswers: 0 });
    expect(first?.lines).toEqual(['Welcome', 'Listening on http://localhost:3000']);
    for (let line = 0; line < 1_000; line++) launcher.last.say(`line ${line}\n`);
    await clock.advanceAndFlush(9_000);
    expect(noiseOf(all)).toHaveLength(1);
    await clock.advanceAndFlush(1_000);
    expect(noiseOf(all)).toHaveLength(2);
    expect(noiseOf(all)[1]).toMatchObject({
      skippedLines: 1_000,
      lines: ['line 0', 'line 1', 'line 2', 'line 3', 'line 4'],
    });
    await clock.advanceAndFlush(10_000);
    expect(noiseOf(all)).toHaveLength(2);
    launcher.last.say('again\n');
    await flush();
    expect(noiseOf(all)[2]).toMatchObject({ skippedLines: 1, lines: ['again'] });
  });

  it('[NOISE-6] is reported to its end', async () => {
    const all = await connected({ onCrash: 'close' });
    all.launcher.last.say('one\n');
    await flush();
    all.launcher.last.say('two\n');
    await flush();
    expect(noiseOf(all)).toHaveLength(1);
    all.launcher.last.exit({ exitCode: 1 });
    await all.client.closed;
    expect(noiseOf(all).map(({ lines }) => lines)).toEqual([['one'], ['two']]);
  });

  it('[NOISE-6] [SECRET-1] is bounded, with control characters as codes and secrets hidden', async () => {
    const all = await connected({ env: { TOKEN: 'swordfish' }, args: ['--key=hammerhead', '--port', '3000'] });
    const { launcher, status, client } = all;
    launcher.last.say(`\x1b[31mswordfish\x1b[0m hammerhead 3000\u202e\r\n${'x'.repeat(5_000)}\n`);
    await flush();
    const shown = ['\\u001b[31m[hidden]\\u001b[0m [hidden] 3000\\u202e\\u000d', `${'x'.repeat(200)}…`];
    expect(status()?.dropped).toEqual(shown);
    expect(noiseOf(all)[0]?.lines).toEqual(shown);
    const dropped = client.errors.map((error) => (error as PoolError).data.dropped);
    expect(dropped).toEqual(sharing === 'dedicated' ? shown.map((line) => [line]) : []);
    for (let line = 0; line < 20; line++) launcher.last.say('more\n');
    await flush();
    expect(status()).toMatchObject({ skippedLines: 22, dropped: [...shown, 'more', 'more', 'more'] });
    expect(client.errors).toHaveLength(sharing === 'dedicated' ? 22 : 0);
  });

  it('[ODD-2] an answer that belongs to nothing is; one to a request that was given up is not', async () => {
    const all = await connected();
    const { launcher, status, client } = all;
    launcher.last.onRequest = () => undefined;
    const sent = () => launcher.last.received.find(({ method }) => method === 'tools/call')?.id as number;
    void client.request('tools/call', { name: 'x' }, 17);
    await flush();
    await client.notify('notifications/cancelled', { requestId: 17 });
    await flush();
    launcher.last.answer(sent(), 'late');
    await flush();
    expect(status()).toMatchObject({ unmatchedAnswers: 0, dropped: [] });
    launcher.last.answer(sent(), 'again');
    launcher.last.answer('nothing', 'of that name');
    await flush();
    expect(status()).toMatchObject({ unmatchedAnswers: 2, openRequests: 0 });
    expect(status()?.dropped).toHaveLength(2);
    await all.clock.advanceAndFlush(10_000);
    expect(noiseOf(all).map(({ unmatchedAnswers }) => unmatchedAnswers)).toEqual([1, 1]);
  });

  it('[ODD-1] [ODD-2] an error without an id is the answer to the only request, and to none of two', async () => {
    const { launcher, status, client } = await connected();
    launcher.last.onRequest = () => undefined;
    const failure = (message: string, id?: null) =>
      launcher.last.say({ jsonrpc: '2.0', ...(id === null && { id }), error: { code: -32_600, message } });
    // The first request after `notifications/initialized` shows by its answer that this was read.
    const first = client.request('tools/call', { name: 'x' });
    await flush();
    failure('of the notification', null);
    await flush();
    expect(status()).toMatchObject({ unmatchedAnswers: 1, openRequests: 1 });
    launcher.last.answer(launcher.last.received.at(-1)?.id as number, 'done');
    expect(await first).toBe('done');
    for (const id of [null, undefined] as const) {
      const only = rejection(client.request('tools/call', { name: 'x' }));
      await flush();
      failure('of the request', id as null);
      expect(String(await only)).toContain('of the request');
    }
    void client.request('tools/call', { name: 'x' });
    void client.request('tools/call', { name: 'y' });
    await flush();
    failure('of which?', null);
    await flush();
    expect(status()).toMatchObject({ unmatchedAnswers: 2, openRequests: 2 });
  });
});

describe('an id in the other form', () => {
  it('[ODD-1] is given back as the client wrote it: dedicated', async () => {
    const { pool, launcher } = setUp({ servers: { a: { ...server, sharing: 'dedicated' } } });
    const client = await RawClient.connect((await pool.getServer('a')).transport);
    launcher.last.onRequest = ({ id }) =>
      void launcher.last.answer(typeof id === 'number' ? ` ${id}` : Number(id), 'done');
    expect(await client.request('x', {}, 0)).toBe('done');
    expect(await client.request('x', {}, '12')).toBe('done');
    expect(client.strays).toEqual([]);
    // Both are open: each form is meant as it is.
    launcher.last.onRequest = () => undefined;
    const both = [client.request('x', {}, 5), client.request('x', {}, '5')];
    await flush();
    launcher.last.answer('5', 'of "5"');
    launcher.last.answer(5, 'of 5');
    expect(await Promise.all(both)).toEqual(['of 5', 'of "5"']);
  });
});

describe('a start that fails', () => {
  const starting = async (sharing: 'shared' | 'exclusive', more: object = {}) => {
    const all = setUp({ servers: { a: { ...server, sharing, ...more } } }, { initialize: false });
    const failed = rejection(all.pool.getServer('a', { timeout: 10_000 })) as Promise<PoolError>;
    const later = rejection(all.pool.warm('a')) as Promise<PoolError>;
    await flush();
    return { ...all, failed, later };
  };

  it.each(['shared', 'exclusive'] as const)(
    '[NOISE-6] says what was written to stdout instead: %s',
    async (sharing) => {
      const { launcher, clock, failed, later } = await starting(sharing);
      launcher.last.say('Welcome to odd\nListening on http://localhost:3000\n');
      launcher.last.stderrTail = 'Error: no database, trying again\n';
      await clock.advanceAndFlush(10_000);
      expect(await failed).toMatchObject({
        code: 'ACQUIRE_TIMEOUT',
        message: expect.stringContaining('"Welcome to odd", "Listening on http://localhost:3000"'),
        data: { dropped: ['Welcome to odd', 'Listening on http://localhost:3000'] },
      });
      await clock.advanceAndFlush(10_000);
      const error = await later;
      expect(error.message).toMatch(
        /wrote 2 lines to stdout that are no messages \("Welcome to odd", "Listening on [^"]+"\)/,
      );
      expect(error.message).toContain('on stderr: Error: no database, trying again');
    },
  );

  it('[NOISE-6] says so when it exits', async () => {
    const { launcher, failed, later } = await starting('exclusive');
    launcher.last.say('usage: odd <token>\n');
    await flush();
    launcher.last.exit({ exitCode: 2 });
    expect((await failed).message).toMatch(/code 2 before it was ready.*\("usage: odd <token>"\)$/);
    await later;
  });

  it.each(['shared', 'exclusive'] as const)(
    '[ODD-1] with an error without an id has the words of it: %s',
    async (sharing) => {
      const { launcher, failed, later } = await starting(sharing);
      launcher.last.say('{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no token"}}\n');
      expect(await failed).toMatchObject({ code: 'HANDSHAKE_FAILED', message: expect.stringContaining('no token') });
      await later;
    },
  );
});
