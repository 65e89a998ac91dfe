import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LEGACY_VERSIONS } from '../../../src/config/handshake-options.js';
import { initialize, olderVersion } from '../../../src/protocol/eras/handshake.js';
import type { Answer, JsonRpcError } from '../../../src/protocol/json-rpc.js';

const NEWEST = '2025-11-25';
const error = (message: string, data?: unknown): JsonRpcError => ({ code: -32_602, message, data });

describe('olderVersion', () => {
  it.each([
    // As the specification writes it, and as servers do.
    [error('Unsupported protocol version', { supported: ['2024-11-05'], requested: NEWEST }), '2024-11-05'],
    [error('Unsupported protocol version', { supported: ['2024-11-05', '2025-06-18', '2025-03-26'] }), '2025-06-18'],
    [error('Protocol version mismatch: server 2025-03-26, client 2025-11-25'), '2025-03-26'],
    [error('bad', 'expected one of "2024-11-05", "2025-03-26"'), '2025-03-26'],
    // Only the refused one is named, or none: the next older one.
    [error('Unsupported protocol version: 2025-11-25'), '2025-06-18'],
    [error('unknown protocolVersion'), '2025-06-18'],
    // Another reason, or versions that are no help.
    [error('no licence'), undefined],
    [error('Unsupported protocol version', { supported: ['2026-07-28'], requested: NEWEST }), undefined],
    [error('Unsupported version; use 2023-01-01'), undefined],
    ['not an object', undefined],
    [undefined, undefined],
  ])('[HANDSHAKE-1] %j: %s', (refusal, expected) => {
    expect(olderVersion(refusal, NEWEST)).toBe(expected);
  });

  it('[HANDSHAKE-1] is found beside parts that cannot be read', () => {
    let deep: unknown = 'version 2025-06-18';
    for (let depth = 0; depth < 20_000; depth++) deep = [deep];
    for (const part of [deep, { toString: 1 }, null, [], 7]) {
      expect(olderVersion({ code: 1, message: part, data: '2024-11-05' }, NEWEST)).toBe('2024-11-05');
      expect(olderVersion({ code: 1, message: 'use 2024-11-05', data: part }, NEWEST)).toBe('2024-11-05');
    }
  });

  it('[HANDSHAKE-1] is always older, whatever a server says', () => {
    fc.assert(
      fc.property(fc.anything(), fc.string(), fc.constantFrom(...LEGACY_VERSIONS), (data, message, offered) => {
        let json: unknown;
        try {
          json = JSON.parse(JSON.stringify(data) ?? 'null');
        } catch {
          return;
        }
        const older = olderVersion({ code: 1, message: `version ${message}`, data: json }, offered);
        if (older !== undefined) expect(older < offered && LEGACY_VERSIONS.includes(older as never)).toBe(true);
      }),
    );
  });
});

describe('initialize', () => {
  /** A server that knows some versions. */
  function handshake(known: readonly string[], words: (version: string) => JsonRpcError) {
    const asked: string[] = [];
    let done: [Answer, readonly string[]] | undefined;
    const request = (_method: string, params: object, onAnswer: (answer: Answer | undefined) => void) => {
      const { protocolVersion } = params as { protocolVersion: string };
      asked.push(protocolVersion);
      onAnswer(known.includes(protocolVersion) ? { result: { protocolVersion } } : { error: words(protocolVersion) });
    };
    const options = { protocolVersion: NEWEST, clientCapabilities: {}, clientInfo: undefined } as const;
    initialize(request, options, (answer, offered) => {
      expect(done).toBeUndefined();
      done = [answer, offered];
    });
    return { asked, done };
  }

  it('[HANDSHAKE-1] offers what the refusal names, once', () => {
    const { asked, done } = handshake(['2024-11-05'], () => error('no', { supported: ['2024-11-05'] }));
    expect(asked).toEqual([NEWEST, '2024-11-05']);
    expect(done).toEqual([{ result: { protocolVersion: '2024-11-05' } }, asked]);
  });

  it('[HANDSHAKE-1] goes down version by version when the refusal names only the refused one', () => {
    const { asked, done } = handshake(['2025-03-26'], (version) => error(`unsupported version ${version}`));
    expect(asked).toEqual([NEWEST, '2025-06-18', '2025-03-26']);
    expect(done?.[0]).toEqual({ result: { protocolVersion: '2025-03-26' } });
  });

  it('[HANDSHAKE-1] ends with the last refusal, for a server that refuses everything, or for another reason', () => {
    const { asked, done } = handshake([], (version) => error(`unsupported version ${version}`));
    expect(asked).toEqual([...LEGACY_VERSIONS].reverse());
    expect(done?.[0].error?.message).toContain(LEGACY_VERSIONS[0]);
    expect(handshake([], () => error('no licence')).asked).toEqual([NEWEST]);
  });
});
