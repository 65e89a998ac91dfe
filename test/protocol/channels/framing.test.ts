import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MessageReader } from '../../../src/protocol/channels/framing.js';
import type { JsonRpcMessage } from '../../../src/protocol/json-rpc.js';
import { split } from '../../helpers/split.js';

const PLENTY = 1_048_576;

/** All that comes out of `chunks`, in order. */
function read(chunks: readonly Buffer[], limit = PLENTY): unknown[] {
  const out: unknown[] = [];
  const reader = new MessageReader(limit, {
    onMessage: (message) => out.push(message),
    onSkipped: (line) => out.push(`skipped ${line}`),
    onTooLarge: () => out.push('too large'),
  });
  for (const chunk of chunks) reader.push(chunk);
  return out;
}

const text = fc.string({
  unit: fc.constantFrom('a', '"', '\\', '\n', '\r', '\0', 'é', '€', '😀', '\u2028', '{'),
  maxLength: 12,
});
const message: fc.Arbitrary<JsonRpcMessage> = fc.oneof(
  fc.record({
    jsonrpc: fc.constant('2.0' as const),
    id: fc.oneof(fc.nat(), text),
    method: text,
    params: fc.jsonValue(),
  }),
  fc.record({ jsonrpc: fc.constant('2.0' as const), method: text }),
  fc.record({ jsonrpc: fc.constant('2.0' as const), id: fc.nat(), result: fc.jsonValue() }),
  fc.record({
    jsonrpc: fc.constant('2.0' as const),
    id: fc.nat(),
    error: fc.record({ code: fc.integer(), message: text }),
  }),
);
const sizes = fc.infiniteStream(fc.integer({ min: 1, max: 9 }));
const ending = fc.constantFrom('\n', '\r\n');
/** Compares by what was written: JSON knows no -0. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown;

describe('MessageReader', () => {
  it('[FRAME-1] gives the same messages however the stream is cut', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), ending, sizes, (messages, end, cut) => {
        const stream = Buffer.from(messages.map((one) => JSON.stringify(one) + end).join(''));
        expect(read(split(stream, cut))).toEqual(plain(messages));
        expect(read([stream])).toEqual(plain(messages));
      }),
    );
  });

  it('[FRAME-1] puts characters together that were cut in the middle', () => {
    const sent = { jsonrpc: '2.0', id: 1, result: 'é€😀𝄞' };
    const stream = Buffer.from(`${JSON.stringify(sent)}\n`);
    for (let at = 1; at < stream.length; at++)
      expect(read([stream.subarray(0, at), stream.subarray(at)])).toEqual([sent]);
    expect(read([...stream].map((byte) => Buffer.from([byte])))).toEqual([sent]);
  });

  it('[FRAME-1] [FRAME-3] finds the same limit however the stream is cut, in bytes', () => {
    const line = fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀'), maxLength: 20 });
    fc.assert(
      fc.property(
        fc.array(line, { minLength: 1, maxLength: 4 }),
        fc.integer({ min: 25, max: 80 }),
        sizes,
        (lines, limit, cut) => {
          const written = lines.map((result) => JSON.stringify({ jsonrpc: '2.0', id: 1, result }));
          const first = written.findIndex((one) => Buffer.byteLength(one) > limit);
          const fitting = first === -1 ? written : written.slice(0, first);
          const expected = [
            ...fitting.map((one) => JSON.parse(one) as unknown),
            ...(first === -1 ? [] : ['too large']),
          ];
          const stream = Buffer.from(`${written.join('\n')}\n`);
          expect(read([stream], limit)).toEqual(expected);
          expect(read(split(stream, cut), limit)).toEqual(expected);
        },
      ),
    );
  });

  it('[FRAME-3] takes a message of exactly the limit, and none of a byte more', () => {
    const line = JSON.stringify({ jsonrpc: '2.0', id: 1, result: 'x'.repeat(100) });
    const stream = Buffer.from(`${line}\n`);
    expect(read([stream], line.length)).toHaveLength(1);
    expect(read([stream], line.length)).not.toContain('too large');
    expect(read([stream], line.length - 1)).toEqual(['too large']);
  });

  it('[FRAME-3] stops at a line that has no end, before it is there, and says so once', () => {
    const chunk = Buffer.alloc(1_000, 'x');
    let pushed = 0;
    let tooLarge = 0;
    const reader = new MessageReader(10_000, {
      onMessage: () => expect.unreachable(),
      onSkipped: () => expect.unreachable(),
      onTooLarge: (bytes) => {
        expect(bytes).toBeLessThanOrEqual(11_000);
        tooLarge += 1;
      },
    });
    while (tooLarge === 0 && pushed < 100) {
      reader.push(chunk);
      pushed += 1;
    }
    expect(pushed).toBe(11);
    reader.push(Buffer.from('\n{"jsonrpc":"2.0","method":"later"}\n'));
    reader.push(chunk);
    expect(tooLarge).toBe(1);
  });

  it('[FRAME-2] skips what is no message, and goes on', () => {
    const good = '{"jsonrpc":"2.0","id":1,"result":{}}';
    const bad = [
      'Server listening on port 3000',
      '{"jsonrpc":"2.0"',
      '{"id":1,"result":{}}',
      '{"jsonrpc":"1.0","id":1,"result":{}}',
      '{"jsonrpc":"2.0"}',
      '{"jsonrpc":"2.0","id":1}',
      '{"jsonrpc":"2.0","result":{}}',
      '{"jsonrpc":"2.0","method":7}',
      '{"jsonrpc":"2.0","id":1,"method":null,"result":{}}',
      '{"jsonrpc":"2.0","id":true,"method":"ping"}',
      '{"jsonrpc":"2.0","id":{},"result":{}}',
      `{"jsonrpc":"2.0","id":${'['.repeat(20_000)}${']'.repeat(20_000)},"method":"ping"}`,
      'null',
      '[]',
      '"text"',
      '42',
      '\ufeff',
    ];
    const stream = Buffer.from(`${[good, ...bad.flatMap((line) => [line, good])].join('\n')}\n`);
    const expected = [JSON.parse(good), ...bad.flatMap((line) => [`skipped ${line}`, JSON.parse(good)])];
    expect(read([stream])).toEqual(expected);
    expect(read([...stream].map((byte) => Buffer.from([byte])))).toEqual(expected);
  });

  it('[ODD-1] takes a byte order mark before any line, and null beside an error or a result, for nothing', () => {
    const good = '{"jsonrpc":"2.0","id":1,"result":{}}';
    const bad = '{"jsonrpc":"2.0","id":1,"error":{}}';
    const lines = [`\ufeff${good}`, good, `\ufeff${good}`, '\ufeffhello', '\ufeff\ufeff\ufeff'];
    const odd = [
      '{"jsonrpc":"2.0","id":1,"result":{},"error":null}',
      '{"jsonrpc":"2.0","id":1,"result":null,"error":{}}',
    ];
    const rest = [
      '{"jsonrpc":"2.0","id":1,"result":null}',
      '{"jsonrpc":"2.0","error":{}}',
      '{"jsonrpc":"2.0","error":null}',
    ];
    const message = JSON.parse(good) as unknown;
    expect(read([Buffer.from(`${[...lines, ...odd, ...rest].join('\n')}\n`)])).toEqual([
      ...[message, message, message, 'skipped hello', 'skipped \ufeff\ufeff\ufeff'],
      ...[message, JSON.parse(bad)],
      ...[JSON.parse(rest[0] ?? ''), JSON.parse(rest[1] ?? ''), `skipped ${rest[2]}`],
    ]);
    expect(read([Buffer.from(`${'\ufeff'.repeat(100_000)}\n`)])).toHaveLength(1);
  });

  it('[FRAME-2] takes an empty line for nothing', () => {
    expect(read([Buffer.from('\n\r\n\n'), Buffer.from('\n')])).toEqual([]);
    expect(read([Buffer.alloc(0)])).toEqual([]);
  });

  it('[FRAME-1] holds back a line until its end is there', () => {
    expect(read([Buffer.from('{"jsonrpc":"2.0","id":1,"result":{}}')])).toEqual([]);
  });
});
