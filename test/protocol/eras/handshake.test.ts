import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { PoolError } from '../../../src/errors.js';
import { answerVersion, initialize, readInitializeResult } from '../../../src/protocol/eras/handshake.js';
import type { JsonRpcMessage } from '../../../src/protocol/json-rpc.js';

const result = { protocolVersion: '2025-06-18', capabilities: { tools: {} }, serverInfo: { name: 's', version: '1' } };
const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const data = { name: 'files', pid: 7, stderrTail: 'last words\n' };
const refused = (why: string) => new PoolError('HANDSHAKE_FAILED', `server 'files' ${why}`, data);
const read = (answer: object) =>
  readInitializeResult({ jsonrpc: '2.0', id: 1, ...answer } as JsonRpcMessage, ['2025-11-25'], refused);

function refusal(answer: object): PoolError {
  try {
    read(answer);
  } catch (error) {
    expect(error).toBeInstanceOf(PoolError);
    return error as PoolError;
  }
  throw new Error('expected a PoolError');
}

describe('initialize', () => {
  it('[ROUTE-5] [OPT-6] offers the newest legacy version, and the capabilities of the definition', () => {
    const sent: unknown[] = [];
    const options = {
      protocolVersion: '2025-11-25',
      clientCapabilities: { roots: {} },
      clientInfo: undefined,
    } as const;
    initialize(
      (_method, params) => sent.push(params),
      options,
      () => {},
    );
    expect(sent).toEqual([
      {
        protocolVersion: '2025-11-25',
        capabilities: { roots: {} },
        clientInfo: { name: 'mcp-server-pool', version: manifest.version },
      },
    ]);
  });
});

describe('readInitializeResult', () => {
  it('takes a result as it is, with what it does not know', () => {
    const full = { ...result, instructions: 'be kind', _meta: { a: 1 } };
    expect(read({ result: full })).toEqual(full);
  });

  it.each(['2024-10-07', '2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25'])(
    'takes version %s',
    (protocolVersion) => {
      expect(read({ result: { ...result, protocolVersion } })).toMatchObject({ protocolVersion });
    },
  );

  it('[START-2] refuses an error, and says which', () => {
    const error = refusal({ error: { code: -32050, message: 'no licence' } });
    expect(error).toMatchObject({ code: 'HANDSHAKE_FAILED', data });
    expect(error.message).toContain('no licence');
    expect(error.message).toContain('-32050');
  });

  it.each([
    [{ result: null }],
    [{ result: 'hello' }],
    [{ result: {} }],
    [{ result: { ...result, protocolVersion: 7 } }],
    [{ result: { ...result, capabilities: null } }],
    [{ result: { ...result, protocolVersion: '1999-01-01' } }],
    [{ result: { ...result, protocolVersion: '2026-07-28' } }],
    [{ error: null }],
    [{ error: 'text' }],
    [{ error: {} }],
  ])('[START-2] refuses what is no result of initialize: %j', (answer) => {
    expect(refusal(answer)).toMatchObject({ code: 'HANDSHAKE_FAILED', data: { name: 'files' } });
  });
});

describe('answerVersion', () => {
  it.each([
    ['2024-11-05', '2025-11-25', '2024-11-05'],
    ['2025-06-18', '2025-11-25', '2025-06-18'],
    ['2025-11-25', '2025-11-25', '2025-11-25'],
    ['2025-11-25', '2025-06-18', '2025-06-18'],
    ['2099-01-01', '2025-06-18', '2025-06-18'],
    ['2000-01-01', '2025-06-18', '2025-06-18'],
    ['', '2025-06-18', '2025-06-18'],
    [undefined, '2025-06-18', '2025-06-18'],
    [20241105, '2025-06-18', '2025-06-18'],
  ])('[ROUTE-5] answers a client that asks for %s on an instance of %s with %s', (asked, instance, answered) => {
    expect(answerVersion(asked, instance)).toBe(answered);
  });
});
