import { Client as ClientV2 } from '@modelcontextprotocol/client';
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js';
import { describe, expect, it } from 'vitest';
import { MCPServerPool, type PoolEvents, type ServerDefinition } from '../../src/index.js';
import type { StdioClientTransport } from '../../src/stdio.js';
import { open, record } from '../helpers/real-pool.js';
import { endGlobalPoolAfterEach, program, Watched } from '../helpers/stdio.js';
import { rejection } from '../helpers/until.js';

const info = { name: 'test', version: '1.0.0' };
/** Runs of the first; of the others a quarter. */
const RUNS = 40;
/** No breaker, and hardly a delay. */
const restart = { maxRestarts: 1_000, minDelay: 1, maxDelay: 1 };
/** Each way to end at once: what is seen first, a closed pipe or the exit, differs from run to run. */
const WAYS: [what: string, ServerDefinition & { args: string[] }, exitCode: number][] = [
  ['a shell', { command: 'sh', args: ['-c', 'echo boom >&2; exit 3'] }, 3],
  ['one that closes its stdin first', { command: 'sh', args: ['-c', 'exec <&-; echo boom >&2; exit 4'] }, 4],
  ['one that closes its stdout first', { command: 'sh', args: ['-c', 'exec >&-; echo boom >&2; exit 0'] }, 0],
  ['one below another shell', { command: 'sh', args: ['-c', 'sh -c "echo boom >&2; exit 5"; exit $?'] }, 5],
];

type Exited = PoolEvents['server:exited'];
const expected = (exitCode: number) => ({ exitCode, signal: null, unexpected: true, stderrTail: 'boom\n' });
const partOf = ({ exitCode, signal, unexpected, stderrTail }: Exited) => ({ exitCode, signal, unexpected, stderrTail });
const messages = (errors: readonly unknown[]) => errors.map(String);

describe.each(WAYS)('a server that ends at once: %s', (what, definition, exitCode) => {
  const runs = what === 'a shell' ? RUNS : RUNS / 4;
  const says = new RegExp(`exited with code ${exitCode}.*: boom`);

  it.each(['shared', 'exclusive'] as const)(
    '[EXIT-1] is a failed start with its code and stderr: %s',
    async (sharing) => {
      const pool = open({ dead: { ...definition, sharing, restart } });
      const exits = record(pool, 'server:exited');
      for (let run = 0; run < runs; run++) {
        const error = await rejection(pool.getServer('dead'));
        expect(error).toMatchObject({ code: 'SERVER_EXITED', data: { exitCode, stderrTail: 'boom\n' } });
        expect(String(error)).toMatch(says);
      }
      expect(exits.map(partOf)).toEqual(Array(runs).fill(expected(exitCode)));
    },
  );

  it('[EXIT-1] is a crash with its code and stderr: dedicated', async () => {
    const pool = open({ dead: { ...definition, sharing: 'dedicated', restart } });
    const exits = record(pool, 'server:exited');
    const errors: unknown[] = [];
    for (let run = 0; run < runs; run++) {
      const client = new ClientV1(info);
      const lease = await pool.getServer('dead');
      errors.push(await rejection((async () => client.connect(lease.transport))()));
      await lease.ended;
    }
    expect(messages(errors).filter((message) => !says.test(message))).toEqual([]);
    expect(errors.map((error) => (error as { data?: object }).data)).toEqual(
      Array(runs).fill(expect.objectContaining({ exitCode, stderrTail: 'boom\n' })),
    );
    expect(exits.map(partOf)).toEqual(Array(runs).fill(expected(exitCode)));
  });
});

describe('the drop-in', () => {
  endGlobalPoolAfterEach();

  it.each([
    ['1.32', ClientV1],
    ['2', ClientV2],
  ])('[EXIT-1] reports how a server ended that died at once, to a client of SDK %s', async (_sdk, Client) => {
    const exits = record(MCPServerPool.global(), 'server:exited');
    const errors: unknown[] = [];
    for (let run = 0; run < RUNS; run++) {
      const watched = new Watched(program('sh', '-c', 'echo boom >&2; exit 3'));
      const client = new Client(info);
      errors.push(await rejection(client.connect(watched.transport as unknown as StdioClientTransport)));
      await watched.transport.close();
      errors.push(...watched.errors);
      expect(watched.closes).toBe(1);
    }
    expect(errors.length).toBe(2 * RUNS);
    expect(messages(errors).filter((message) => !/exited with code 3.*: boom/.test(message))).toEqual([]);
    expect(exits.map(partOf)).toEqual(Array(RUNS).fill(expected(3)));
  });
});
