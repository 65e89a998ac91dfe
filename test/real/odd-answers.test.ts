import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import { MCPServerPool, type PooledTransport } from '../../src/index.js';
import { fixture } from '../helpers/fixture.js';
import { open, record } from '../helpers/real-pool.js';
import { endGlobalPoolAfterEach, params, Watched } from '../helpers/stdio.js';
import { rejection } from '../helpers/until.js';

const MODES = ['shared', 'exclusive', 'dedicated', 'drop-in'] as const;
type Mode = (typeof MODES)[number];
const CLIENTS = [
  ['1.32', ClientV1],
  ['2', ClientV2 as unknown as typeof ClientV1],
] as const;

endGlobalPoolAfterEach();

/** A client of such a server, its pool, and what the transport reports. */
async function connect(mode: Mode, args: string[], Client: typeof ClientV1 = ClientV1) {
  const client = new Client({ name: 'test', version: '1.0.0' });
  if (mode === 'drop-in') {
    const { transport, errors } = new Watched(params('odd-answers', ...args));
    const pool = MCPServerPool.global();
    const noise = record(pool, 'server:noise');
    await client.connect(transport as never);
    return { client, pool, noise, errors };
  }
  const pool = open({ odd: { ...fixture('odd-answers', ...args), sharing: mode, startTimeout: 20_000 } });
  const noise = record(pool, 'server:noise');
  const { transport } = await pool.getServer('odd');
  const errors: Error[] = [];
  (transport as PooledTransport).onerror = (error) => errors.push(error);
  await client.connect(transport as never);
  return { client, pool, noise, errors };
}

const instanceOf = (pool: MCPServerPool) => Object.values(pool.status().servers)[0]?.instances[0];
const echo = (client: ClientV1, text: string) => client.callTool({ name: 'echo', arguments: { text } });
const says = (text: string) => expect.objectContaining({ content: [{ type: 'text', text }] });

describe.each(MODES)('a server that answers in an unusual way: %s', (mode) => {
  it.each(CLIENTS)(
    '[ODD-1] with ids as strings: each request is answered, and none stays open (SDK %s)',
    async (_sdk, Client) => {
      const { client, pool } = await connect(mode, ['--ids=string'], Client);
      expect(await Promise.all(['a', 'b', 'c'].map((text) => echo(client, text)))).toEqual(['a', 'b', 'c'].map(says));
      expect(instanceOf(pool)).toMatchObject({ openRequests: 0, unmatchedAnswers: 0 });
      await client.close();
    },
  );

  it('[ODD-1] with a byte order mark, and with both an error and a result', async () => {
    const { client, pool, errors } = await connect(mode, ['--bom', '--both']);
    expect(await echo(client, 'a')).toEqual(says('a'));
    expect(String(await rejection(client.callTool({ name: 'fail', arguments: {} })))).toContain('failed on purpose');
    expect(instanceOf(pool)).toMatchObject({ openRequests: 0, skippedLines: 0, unmatchedAnswers: 0, dropped: [] });
    expect(errors).toEqual([]);
    await client.close();
  });

  it('[ODD-1] [ODD-2] with an error without an id: to the one open request, if no notification can be meant', async () => {
    const { client, pool } = await connect(mode, ['--ids=null']);
    expect(await echo(client, 'a')).toEqual(says('a'));
    expect(String(await rejection(client.callTool({ name: 'fail', arguments: {} })))).toContain('failed on purpose');
    expect(await echo(client, 'b')).toEqual(says('b'));
    // The answer to `notifications/initialized`.
    expect(instanceOf(pool)).toMatchObject({ openRequests: 0, unmatchedAnswers: 1 });
    expect(instanceOf(pool)?.dropped).toEqual([expect.stringContaining('no such method')]);
    await client.close();
  });

  it('[ODD-2] [NOISE-6] with what belongs to nothing: counted, kept and reported', async () => {
    const { client, pool, noise, errors } = await connect(mode, ['--banner', '--stray']);
    expect(await echo(client, 'a')).toEqual(says('a'));
    const lines = ['\\u001b[1mWelcome to odd 1.0\\u001b[0m', 'Listening on http://localhost:3000'];
    const stray = '{"jsonrpc":"2.0","id":4711,"result":{}}';
    expect(instanceOf(pool)).toMatchObject({ skippedLines: 2, unmatchedAnswers: 2, dropped: [...lines, stray, stray] });
    await client.close();
    await pool.shutdown({ mode: 'emergency' });
    expect(noise.reduce((sum, { unmatchedAnswers }) => sum + unmatchedAnswers, 0)).toBe(2);
    expect(noise.flatMap((one) => one.lines)).toEqual([...lines, stray, stray]);
    expect(noise.length).toBeLessThanOrEqual(2);
    const reported = errors.filter((error) => (error as { code?: string }).code === 'INVALID_MESSAGE').map(String);
    const reports = mode === 'dedicated' || mode === 'drop-in';
    expect(reported).toEqual(reports ? lines.map((line) => expect.stringContaining(line) as unknown) : []);
  });
});
