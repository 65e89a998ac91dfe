import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { dashboardModule, startDashboard } from '../../helpers/dashboard.js';
import { startHost } from '../../helpers/host.js';

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

function ask(url: URL, path: string, { method = 'GET', headers = {}, body = '' }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: url.hostname, port: url.port, path, method, headers: { host: url.host, ...headers } };
    const asked = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
    });
    asked.on('error', reject).end(body);
  });
}

/** Sends bytes as they are. */
function send(url: URL, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(url.port), url.hostname, () => socket.write(text));
    socket.setEncoding('utf8').on('data', (part: string) => {
      answer += part;
    });
    socket.on('end', () => socket.end()).on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

const PATHS = ['', 'main.js', 'events', 'history', 'actions/restart'];
const JSON_POST: Asked = {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ name: 'alpha' }),
};

describe('requests to the dashboard', () => {
  it('[DASHBOARD-1] get nothing without the token, from another origin, or with a forged host', async () => {
    const url = new URL((await startDashboard()).url);
    const token = url.pathname.slice(1, -1);
    const wrong = `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`;
    const good = (path: string) => `/${token}/${path}`;
    const headers = (given: Record<string, string>): Asked => ({ headers: given });
    const port = url.port;
    const asked: [what: string, path: string, asked: Asked][] = [
      ...PATHS.flatMap((path): [string, string, Asked][] => [
        ['no token', `/${path}`, {}],
        ['a wrong token', `/${wrong}/${path}`, {}],
        ['a part of the token', `/${token.slice(0, 20)}/${path}`, {}],
        ['an empty token', `//${path}`, {}],
        ['the token as a parameter', `/${path}?token=${token}`, {}],
        ['another origin', good(path), headers({ origin: 'http://evil.example' })],
        ['another port of this machine', good(path), headers({ origin: `http://127.0.0.1:${Number(port) + 1}` })],
        ['the origin of a sandbox', good(path), headers({ origin: 'null' })],
        ['another scheme', good(path), headers({ origin: `https://127.0.0.1:${port}` })],
        ['a link on another site', good(path), headers({ 'sec-fetch-site': 'cross-site' })],
        ['a page on another port', good(path), headers({ 'sec-fetch-site': 'same-site' })],
        ['a name that leads here', good(path), headers({ host: `evil.example:${port}` })],
        ['… that begins like ours', good(path), headers({ host: `127.0.0.1.evil.example:${port}` })],
        ['another port', good(path), headers({ host: '127.0.0.1' })],
        ['a forwarded host', good(path), headers({ host: 'evil.example', 'x-forwarded-host': url.host })],
      ]),
      ['a POST without the token', '/actions/restart', JSON_POST],
      [
        'a POST of another origin',
        good('actions/restart'),
        { ...JSON_POST, headers: { ...JSON_POST.headers, origin: 'http://evil.example' } },
      ],
      ['a preflight of it', good('actions/restart'), { method: 'OPTIONS', headers: { origin: 'http://evil.example' } }],
    ];
    for (const [what, path, how] of asked) {
      const answer = await ask(url, path, how);
      const names = Object.keys(answer.headers).sort();
      expect({ what, path, ...answer, headers: names }).toEqual({
        what,
        path,
        status: 403,
        headers: ['connection', 'content-length', 'date'],
        body: '',
      });
    }
    for (const head of [
      `GET ${good('')} HTTP/1.0\r\n\r\n`,
      `GET ${good('')} HTTP/1.1\r\nHost: ${url.host}\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`,
      `GET http://evil.example${good('')} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: close\r\n\r\n`,
      `GET ${good('')} HTTP/1.1\r\nConnection: close\r\n\r\n`,
      `POST /actions/restart HTTP/1.1\r\nHost: ${url.host}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
      `GET / HTTP/1.1\r\nHost: ${url.host}\r\nExpect: tea\r\nConnection: close\r\n\r\n`,
      `GET ${good('')} HTTP/1.1\r\nHost: evil.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n`,
    ]) {
      const answer = await send(url, head);
      expect(answer, head).toMatch(/^HTTP\/1\.1 403 /);
      expect(answer.split('\r\n\r\n')[1], head).toBe('');
    }
  });

  it('[DASHBOARD-1] with the token from here get the page, by each name of this machine', async () => {
    const url = new URL((await startDashboard()).url);
    for (const headers of [
      {},
      { host: `localhost:${url.port}` },
      { host: `LocalHost:${url.port}` },
      { host: `[::1]:${url.port}` },
      { origin: url.origin },
      { 'sec-fetch-site': 'none' },
      { 'sec-fetch-site': 'same-origin' },
    ])
      expect(await ask(url, url.pathname, { headers })).toMatchObject({
        status: 200,
        body: expect.stringContaining('<h1>'),
      });
  });

  it('[DASHBOARD-1] by a proxy only under the names that the host allows', async () => {
    const url = new URL((await startDashboard("{ allowedHosts: ['Pool.example'] }")).url);
    const status = async (headers: Record<string, string>) => (await ask(url, url.pathname, { headers })).status;
    expect(await status({ host: 'pool.example', origin: 'https://pool.example' })).toBe(200);
    expect(await status({ host: 'pool.example:81' })).toBe(403);
    expect(await status({ host: 'other.example' })).toBe(403);
  });

  it('[DASHBOARD-2] listens on the loopback interface, with a token of 256 bits that is new at each start', async () => {
    const [one, two] = await Promise.all([startDashboard(), startDashboard()]);
    for (const { url } of [one, two]) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/[\w-]{43}\/$/);
    expect(new URL(one.url).pathname).not.toBe(new URL(two.url).pathname);
  });

  it('[DASHBOARD-2] refuses a token that can be guessed, and leaves no server behind', async () => {
    const { result } = startHost(`
      const { MCPServerPool } = await import(SRC + '/index.js');
      const { serveDashboard } = await import(${JSON.stringify(dashboardModule())});
      await serveDashboard(new MCPServerPool(), { token: 'short' }).catch(({ message }) => console.log(message));
    `);
    expect(await result).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('at least 32 characters'),
    });
  });

  it('[DASHBOARD-1] answers what it does not know, and what is too long or no JSON, with a reason', async () => {
    const url = new URL((await startDashboard()).url);
    const post = (path: string, body: string, type = 'application/json') =>
      ask(url, url.pathname + path, { method: 'POST', headers: { 'content-type': type }, body });
    const statuses = await Promise.all([
      ask(url, `${url.pathname}../package.json`),
      ask(url, `${url.pathname}..%2f..%2fpackage.json`),
      ask(url, `${url.pathname}server/guard.js`),
      ask(url, url.pathname, { method: 'DELETE' }),
      post('actions/shutdown', '{}'),
      post('actions/toString', '{}'),
      post('actions/restart', '{}', 'text/plain'),
      post('actions/restart', 'nothing'),
      post('actions/restart', `{"name":"${'x'.repeat(5_000)}"}`),
      post('actions/restart', '{"name":"nowhere"}'),
      post('actions/restart', '{"name":"alpha","timeout":-1}'),
      post('actions/acknowledge', '{"id":"alert-1","by":"Ada"}'),
      post('actions/plan', '{"mode":"all"}'),
      ask(url, `${url.pathname}history?server=nowhere`),
    ]);
    expect(statuses.map(({ status }) => status)).toEqual([
      404, 404, 404, 405, 404, 404, 415, 400, 413, 404, 400, 404, 400, 404,
    ]);
    for (const { body } of statuses) expect(JSON.parse(body)).toEqual({ error: expect.any(String) });
  });
});
