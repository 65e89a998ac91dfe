import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable, Writable } from 'node:stream';
import { describe, expect, it, onTestFinished } from 'vitest';
import { forwardStderr, stderrPipe, stderrSink } from '../../src/stdio/stderr.js';
import { RawClient } from '../helpers/client.js';
import { runHost } from '../helpers/host.js';
import { endGlobalPoolAfterEach, params, program, Watched } from '../helpers/stdio.js';
import { flush, until } from '../helpers/until.js';

const MB = 1_048_576;
/** No whole lines, no whole characters: 0xc3 begins one that never ends. */
const BYTES = Buffer.from([0x61, 0x0d, 0x62, 0xc3, 0x00, 0x0a, 0x63]);
const writesBytes = () => program('sh', '-c', String.raw`printf 'a\rb\303\000\nc' >&2; cat >/dev/null`);

endGlobalPoolAfterEach();

/** What came, once nothing more comes. */
function collect(stream: unknown): { readonly bytes: Buffer; readonly ended: Promise<void> } {
  const chunks: Buffer[] = [];
  const readable = stream as Readable;
  readable.on('data', (chunk: Buffer) => chunks.push(chunk));
  const ended = new Promise<void>((resolve) => readable.once('end', resolve));
  return {
    ended,
    get bytes() {
      return Buffer.concat(chunks);
    },
  };
}

describe('stderr', () => {
  it.each(['pipe', 'overlapped'] as const)(
    '[STDIO-9] %s is a stream before the start, and has every byte',
    async (stderr) => {
      const { transport } = new Watched({ ...writesBytes(), stderr });
      const read = collect(transport.stderr);
      await transport.start();
      await until('it came', () => read.bytes.length >= BYTES.length);
      await transport.close();
      await read.ended;
      expect(read.bytes).toEqual(BYTES);
    },
  );

  it('[STDIO-9] pipe keeps what came before anything reads it, and is a new one after another start', async () => {
    const { transport } = new Watched({ ...program('sh', '-c', 'echo early >&2'), stderr: 'pipe' });
    for (let round = 0; round < 2; round++) {
      const closed = new Promise<void>((resolve) => {
        transport.onclose = resolve;
      });
      await transport.start();
      await closed;
      const read = collect(transport.stderr);
      await read.ended;
      expect(read.bytes.toString()).toBe('early\n');
      await transport.close();
    }
  });

  it('[STDIO-9] pipe ends also when the start fails', async () => {
    const { transport } = new Watched({ command: 'no-such-command', stderr: 'pipe' });
    const read = collect(transport.stderr);
    await transport.start().catch(() => {});
    await read.ended;
  });

  it('[STDIO-9] ignore gives nothing, and a stream or a descriptor gets the bytes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mcp-stderr-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'log');
    const fd = openSync(file, 'a');
    const stream = new PassThrough();
    const read = collect(stream);
    for (const stderr of ['ignore', stream, fd] as const) {
      const { transport } = new Watched({ ...writesBytes(), stderr });
      expect(transport.stderr).toBe(null);
      await transport.start();
      if (stderr === stream) await until('it came', () => read.bytes.length >= BYTES.length);
      if (stderr === fd) await until('it came', () => readFileSync(file).length >= BYTES.length);
      await transport.close();
    }
    expect(stream.writableEnded).toBe(false);
    expect(read.bytes).toEqual(BYTES);
    expect(readFileSync(file)).toEqual(BYTES);
    // Still open, and not ours.
    closeSync(fd);
  });

  it('[STDIO-9] is inherited by default: the host writes the bytes as they are', async () => {
    const { code, stderr } = await runHost(`
      const { StdioClientTransport } = await import(SRC + '/stdio.js');
      const args = ['-c', "printf 'one\\\\rtwo' >&2"];
      for (const stderr of [undefined, 'inherit', 2, 'ignore']) {
        const transport = new StdioClientTransport({ command: 'sh', args, stderr });
        const closed = new Promise((resolve) => { transport.onclose = resolve; });
        await transport.start();
        await closed;
        await transport.close();
      }`);
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'one\rtwo'.repeat(3) });
  });

  it.each(['pipe', 'ignore'] as const)('[STDIO-10] %s that nothing reads does not block the server', async (stderr) => {
    const { transport } = new Watched({ ...params('noisy-stderr', '--mb=4'), stderr });
    const client = await RawClient.connect(transport);
    expect(await client.callTool('noise', { mb: 4 })).toBe('4 MB');
    await transport.close();
  });

  it('[STDIO-10] a reader that is slow gets every byte', async () => {
    const { transport } = new Watched({ ...params('noisy-stderr', '--mb=0'), stderr: 'pipe' });
    let size = 0;
    let pauses = 0;
    const slow = new Writable({
      highWaterMark: 1,
      write(chunk: Buffer, _encoding, done) {
        size += chunk.length;
        pauses += 1;
        setImmediate(done);
      },
    });
    (transport.stderr as Readable).pipe(slow);
    const client = await RawClient.connect(transport);
    await client.callTool('noise', { mb: 6, last: '' });
    await until('all came', () => size >= 6 * MB + 1);
    expect(pauses).toBeGreaterThan(10);
    await transport.close();
  });
});

describe('forwarding', () => {
  const source = () => new Readable({ read() {} });

  it('[STDIO-10] keeps a bounded part of what nothing reads', async () => {
    const pipe = stderrPipe('pipe')!;
    const from = source();
    forwardStderr(from, stderrSink('pipe', pipe)!);
    for (let sent = 0; sent < 64; sent++) {
      from.push(Buffer.alloc(MB / 8));
      await flush(1);
    }
    expect(from.isPaused()).toBe(false);
    from.destroy();
    const read = collect(pipe);
    await read.ended;
    expect(read.bytes.length).toBeGreaterThanOrEqual(MB);
    expect(read.bytes.length).toBeLessThan(2 * MB);
  });

  it('[STDIO-10] holds the server back while a reader is slow, and not for ever when it breaks', async () => {
    const from = source();
    let done: (error?: Error) => void = () => {};
    const to = new Writable({
      highWaterMark: 1,
      write(_chunk, _encoding, written) {
        done = written;
      },
    });
    forwardStderr(from, stderrSink(to, null)!);
    from.push(Buffer.alloc(100));
    await flush();
    expect(from.isPaused()).toBe(true);
    done();
    await flush();
    expect(from.isPaused()).toBe(false);
    from.push(Buffer.alloc(100));
    await flush();
    // Nothing listens to the errors of the stream: the host does not die of it.
    done(new Error('EPIPE'));
    await flush();
    expect(from.isPaused()).toBe(false);
    from.push(Buffer.alloc(100));
    await flush();
    expect(to.listenerCount('error')).toBe(0);
    from.destroy();
  });
});
