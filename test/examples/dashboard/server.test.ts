import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { EventLog } from '../../../examples/dashboard/server/event-log.js';
import { History } from '../../../examples/dashboard/server/history.js';
import { Viewers } from '../../../examples/dashboard/server/viewers.js';
import { PoolError } from '../../../src/errors.js';
import { dashboardModule, MARKUP, OWNER, SECRET, startDashboard } from '../../helpers/dashboard.js';
import { exampleProgram } from '../../helpers/example.js';
import { startHost, startProgram } from '../../helpers/host.js';
import { until } from '../../helpers/until.js';

/** A response that nobody reads. */
class Unread extends EventEmitter {
  texts: string[] = [];
  writableLength = 0;
  isDestroyed = false;
  writeHead() {}
  write(text: string) {
    this.texts.push(text);
    this.writableLength += text.length;
  }
  destroy() {
    this.isDestroyed = true;
    this.emit('close');
  }
}

/** What a page is told, until `condition` holds for it. */
async function readEvents(url: string, condition: (text: string) => boolean): Promise<string> {
  const stop = new AbortController();
  const response = await fetch(`${url}events`, { signal: stop.signal });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  await until('the condition', async () => {
    text += (await reader.read()).value ?? '';
    return condition(text);
  });
  stop.abort();
  await reader.cancel().catch(() => {});
  return text;
}

describe('the log of events', () => {
  it('[DASHBOARD-8] keeps the last 500, in order, with the numbers by which a page asks for the next', () => {
    const log = new EventLog();
    for (let at = 1; at <= 5_000; at++) log.add('lease:acquired', { name: 'a', waited: at }, at);
    expect(log.latest).toBe(5_000);
    const all = log.after(0);
    expect(all.map(({ seq }) => seq)).toEqual(Array.from({ length: 500 }, (_, index) => 4_501 + index));
    expect(log.after(4_998).map(({ text }) => text)).toEqual(['waited 4999 ms', 'waited 5000 ms']);
    expect(log.after(5_000)).toEqual([]);
    // Of an earlier run of a host with the same token.
    expect(log.after(90_000)).toHaveLength(500);
  });

  it('[DASHBOARD-3] shows named fields only, and of an error its code', () => {
    const log = new EventLog();
    const error = new PoolError('SERVER_EXITED', `it wrote ${SECRET}`, { stderrTail: SECRET });
    log.add('server:failed', { name: 'a', error, pid: 7, env: { KEY: SECRET }, stderrTail: SECRET, owner: OWNER }, 1);
    log.add('server:stderr', { name: 'a', line: SECRET }, 2);
    log.add('server:exited', { name: 'a', exitCode: null, signal: 'SIGKILL', unexpected: true }, 3);
    expect(log.after(0)).toEqual([
      { seq: 1, at: 1, event: 'server:failed', tone: 'bad', name: 'a', text: 'error SERVER_EXITED, pid 7' },
      { seq: 2, at: 3, event: 'server:exited', tone: 'bad', name: 'a', text: 'signal SIGKILL, unexpected true' },
    ]);
  });
});

describe('the history', () => {
  const snapshot = (at: number, ...names: string[]) => ({
    at,
    totals: { memoryMB: at, leases: 1 },
    servers: names.map((name) => ({ name, totals: { memoryMB: 2 * at, leases: 0 } })),
  });

  it('[DASHBOARD-8] keeps the last 600 points, gaps as null, and forgets servers that are gone', () => {
    const history = new History();
    history.add(snapshot(1, 'a', 'b'));
    history.add(snapshot(2, 'b'));
    expect(history.of('a')).toBeUndefined();
    expect(history.of('b')?.toJSON()).toMatchObject({ at: [1, 2], memoryMB: [2, 4], cpuPercent: [null, null] });
    for (let at = 3; at <= 2_000; at++) history.add(snapshot(at, 'b'));
    const { at } = history.of(undefined)?.toJSON() ?? {};
    expect([at?.length, at?.[0], at?.at(-1)]).toEqual([600, 1_401, 2_000]);
  });
});

describe('the pages that listen', () => {
  it('[DASHBOARD-8] are at most 20, and one that does not read is cut off', () => {
    const viewers = new Viewers();
    const responses = Array.from({ length: 20 }, () => new Unread());
    for (const response of responses) viewers.open(response as unknown as ServerResponse);
    expect(viewers.hasRoom).toBe(false);
    const [slow, ...others] = responses;
    for (let count = 0; count < 10; count++) {
      viewers.send('state', 'x'.repeat(1_000_000));
      for (const response of others) response.writableLength = 0;
    }
    expect(slow?.isDestroyed).toBe(true);
    expect(viewers.size).toBe(19);
    expect(viewers.hasRoom).toBe(true);
  });

  it('[DASHBOARD-8] are told in one line each, whatever is in it', () => {
    const viewers = new Viewers();
    const response = new Unread();
    viewers.open(response as unknown as ServerResponse);
    viewers.send('log', { text: 'a\n\nevent: state\r\ndata: {}\u2028' }, 7);
    const lines = response.texts.at(-1)?.split('\n') ?? [];
    expect(lines).toHaveLength(5);
    expect(lines.slice(0, 2)).toEqual(['id: 7', 'event: log']);
  });
});

describe('what a page is told', () => {
  it('[DASHBOARD-3] has no values of env, no output of servers, and no whole owner', async () => {
    const { url } = await startDashboard();
    const text = await readEvents(url, (seen) => seen.includes('alert:raised') && seen.includes('"tenant":"north"'));
    for (const word of ['alpha', 'beta', 'gamma', 'SERVER_EXITED', 'session-…']) expect(text).toContain(word);
    expect(text).toContain(JSON.stringify(MARKUP).slice(1, -1));
    for (const word of [SECRET, OWNER, 'API_KEY', '"env"', '"command"']) expect(text).not.toContain(word);
  });

  it('[DASHBOARD-9] begins where the page was, after a lost connection', async () => {
    const { url } = await startDashboard();
    const text = await readEvents(url, (seen) => /^id: \d+$/m.test(seen));
    const latest = /^id: (\d+)$/m.exec(text)?.[1] ?? '';
    const stop = new AbortController();
    const again = await fetch(`${url}events?after=1`, { signal: stop.signal, headers: { 'last-event-id': latest } });
    const reader = again.body!.pipeThrough(new TextDecoderStream()).getReader();
    let seen = '';
    await until('news', async () => {
      seen += (await reader.read()).value ?? '';
      return /event: log\ndata: \[\{.*\n/.test(seen);
    });
    const [first] = JSON.parse(/event: log\ndata: (\[\{.*)\n/.exec(seen)?.[1] ?? '[]') as { seq: number }[];
    expect(first?.seq).toBe(Number(latest) + 1);
    stop.abort();
    await reader.cancel().catch(() => {});
  });
});

describe('the program', () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '[DASHBOARD-2] says its address, and ends by %s with its servers, also while a page is open',
    async (signal, expected) => {
      const { child, result, stdout } = startProgram(process.execPath, [exampleProgram('dashboard/index.js')]);
      const url = await until('the address', () => /http:\S+/.exec(stdout())?.[0]);
      const stop = new AbortController();
      const page = await fetch(`${url}events`, { signal: stop.signal });
      const reader = page.body!.getReader();
      await reader.read();
      child.kill(signal);
      const { code, stderr } = await result;
      expect({ code, stderr, stdout: stdout() }).toEqual({
        code: expected,
        stderr: '',
        stdout: expect.stringMatching(/\d+ servers ended, 0 left\n$/),
      });
      stop.abort();
      await reader.cancel().catch(() => {});
    },
  );

  it('[DASHBOARD-2] refuses what is no port, and says when one is taken', async () => {
    const program = exampleProgram('dashboard/index.js');
    const wrong = await startProgram(process.execPath, [program, '70000']).result;
    expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('[port]') });
    const { url } = await startDashboard();
    const taken = await startProgram(process.execPath, [program, new URL(url).port]).result;
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('EADDRINUSE') });
  });

  it('[DASHBOARD-2] close() ends the page, not the pool; a page outlives its pool', async () => {
    const { result } = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const { serveDashboard } = await import(${JSON.stringify(dashboardModule())});
      const pool = new MCPServerPool({ servers: { a: { command: process.execPath } } });
      const { url, close } = await serveDashboard(pool);
      const page = await fetch(url + 'events');
      await close();
      await page.text().catch(() => {});
      console.log(await fetch(url).catch(({ cause }) => cause.code), pool.status().state);

      const second = await serveDashboard(pool);
      await pool.shutdown();
      let text = '';
      for await (const part of (await fetch(second.url + 'events')).body.pipeThrough(new TextDecoderStream())) {
        text += part;
        // The last is of a picture that was taken after the end.
        if (text.split('"state":"closed"').length > 2) break;
      }
      const headers = { 'content-type': 'application/json' };
      const body = JSON.stringify({ name: 'a' });
      console.log((await fetch(second.url + 'actions/restart', { method: 'POST', headers, body })).status);
      await second.close();
    `);
    expect(await result).toMatchObject({ code: 0, stdout: 'ECONNREFUSED open\n400\n', stderr: '' });
  });
});
