import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { StderrTail } from '../../src/process/start/stderr-tail.js';
import { MessageReader } from '../../src/protocol/channels/framing.js';
import { ByteList } from '../../src/runtime/byte-list.js';
import { forwardStderr, stderrPipe, stderrSink } from '../../src/stdio/stderr.js';
import { memoryOf } from '../helpers/heap.js';

// A chunk costs about 110 bytes beside its own. So a server that writes single bytes can make a host keep a hundred times
// what it has written, if only bytes are bounded.

const MB = 1_048_576;
const x = (length: number) => Buffer.alloc(length, 'x');
/** Each chunk is an allocation of its own, as those of a pipe are. */
const chunk = (length: number) => Buffer.from(new Uint8Array(length).fill(120).buffer);

/** Ways to cut a stream of a megabyte. */
const CUTS: Readonly<Record<string, () => Iterable<Buffer>>> = {
  'single bytes': () => repeated([1], MB),
  'three bytes': () => repeated([3], MB / 3),
  'a large chunk after each single byte': () => repeated([1, 4_096], MB / 4_097),
  'chunks just below what is kept as it came': () => repeated([4_095], MB / 4_095),
  'a chunk that fills a block, and single bytes': () => repeated([4_000, ...Array<number>(99).fill(1)], MB / 4_099),
};

function* repeated(lengths: readonly number[], times: number): Iterable<Buffer> {
  for (let round = 0; round < times; round++) for (const length of lengths) yield chunk(length);
}

describe.each(Object.keys(CUTS))('a megabyte in %s', (cut) => {
  const chunks = () => (CUTS[cut] as () => Iterable<Buffer>)();

  it('[MEM-2] of a line without an end takes memory for its bytes, not for its chunks', () => {
    const reader = new MessageReader(64 * MB, { onMessage() {}, onSkipped() {}, onTooLarge() {} });
    const memory = memoryOf(() => {
      for (const each of chunks()) reader.push(each);
      return reader;
    });
    expect(memory).toBeGreaterThan(0.5 * MB);
    expect(memory).toBeLessThan(2.5 * MB);
  });

  it.each(['with', 'without'])('[MEM-2] on stderr %s a listener takes no more than the tail', (listener) => {
    const tail = new StderrTail(65_536);
    let emitted = 0;
    const onLine = (line: string) => {
      emitted += line.length;
    };
    const memory = memoryOf(() => {
      for (const each of chunks()) tail.push(each, listener === 'with' ? onLine : undefined);
      return tail;
    });
    expect(memory).toBeLessThan(0.75 * MB);
    expect(tail.toString()).toBe('x'.repeat(65_536));
    if (listener === 'with') expect(emitted).toBeGreaterThan(MB - 3 * 8_192);
  });

  it('[MEM-2] on the stderr of a drop-in that no reader reads is kept in its own size, and read as it came', async () => {
    const pipe = stderrPipe('pipe')!;
    const source = new Readable({ read() {} });
    forwardStderr(source, stderrSink('pipe', pipe)!);
    const listener = source.listeners('data')[0] as (chunk: Buffer) => void;
    let sent = 0;
    const memory = memoryOf(() => {
      for (const each of chunks()) {
        listener(each);
        sent += each.length;
      }
      return pipe;
    });
    expect(memory).toBeLessThan(2.5 * MB);
    source.push(null);
    source.resume();
    let read = 0;
    for await (const each of pipe) {
      read += (each as Buffer).length;
      expect((each as Buffer).every((byte) => byte === 120)).toBe(true);
    }
    expect(read).toBeLessThanOrEqual(MB);
    expect(read).toBeGreaterThan(Math.min(sent, MB) - 4_097);
  });

  it('[MEM-2] comes out of a list of bytes as it went in', () => {
    const list = new ByteList();
    const expected: Buffer[] = [];
    for (const each of chunks()) {
      list.push(each);
      expected.push(each);
    }
    const { size } = list;
    const all = list.take();
    expect([all.length, all.equals(Buffer.concat(expected)), list.size]).toEqual([size, true, 0]);
    list.push(x(3));
    expect(list.take().toString()).toBe('xxx');
  });
});
