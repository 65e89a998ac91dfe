import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadMcpConfig } from '../../src/config.js';
import { PoolError } from '../../src/index.js';
import { messagesOf } from '../helpers/config-files.js';
import { newFolder } from '../helpers/folders.js';
import { rejection } from '../helpers/until.js';

const CONTENT = JSON.stringify({ mcpServers: { a: { command: 'a' } } });
const isRoot = process.getuid?.() === 0;

function written(text = CONTENT, name = 'x.json', mode = 0o600): string {
  const path = join(newFolder(), name);
  writeFileSync(path, text, { mode });
  chmodSync(path, mode);
  return path;
}

describe('a file that decides what is executed', () => {
  it.each([
    ['can be written by others', 0o602],
    ['can be written by a group', 0o660],
  ])('[CONFIG-5] is refused when it %s', async (_what, mode) => {
    const config = await loadMcpConfig(written(CONTENT, 'x.json', mode));
    expect(config.servers).toEqual({});
    expect(messagesOf(config)).toEqual([expect.stringMatching(/can be written by other users.*chmod go-w$/)]);
  });

  it('[CONFIG-5] is refused when others could replace it, or a folder above it; not in one such as /tmp', async () => {
    const folder = newFolder(0o777);
    const path = join(folder, 'x.json');
    writeFileSync(path, CONTENT);
    expect(messagesOf(await loadMcpConfig(path))[0]).toMatch(
      /another user can replace it, because .* is open to others/,
    );
    chmodSync(folder, 0o1777);
    expect(messagesOf(await loadMcpConfig(path))).toEqual([]);
    mkdirSync(join(folder, 'open'));
    chmodSync(join(folder, 'open'), 0o777);
    const link = join(newFolder(), 'link.json');
    writeFileSync(join(folder, 'open', 'x.json'), CONTENT);
    symlinkSync(join(folder, 'open', 'x.json'), link);
    expect(messagesOf(await loadMcpConfig(link))[0]).toMatch(/open is open to others/);
  });

  it('[CONFIG-5] is refused when one of several links on its way could be exchanged, whatever is behind that', async () => {
    const open = newFolder(0o777);
    const path = written();
    symlinkSync(path, join(open, 'second.json'));
    const first = join(newFolder(), 'first.json');
    symlinkSync(join(open, 'second.json'), first);
    expect(messagesOf(await loadMcpConfig(first))[0]).toMatch(
      /another user can replace it, because .* is open to others/,
    );
    // The same for links of folders, and relative ones.
    symlinkSync(join(path, '..'), join(open, 'folder'));
    const folder = newFolder();
    symlinkSync(join('..', basename(open), 'folder'), join(folder, 'way'));
    const [problem] = messagesOf(await loadMcpConfig(join(folder, 'way', 'x.json')));
    expect(problem).toMatch(/another user can replace it, because .* is open to others/);
    chmodSync(open, 0o755);
    expect((await loadMcpConfig(first)).problems).toEqual([]);
    expect((await loadMcpConfig(join(folder, 'way', 'x.json'))).problems).toEqual([]);
  });

  it.runIf(isRoot)('[CONFIG-5] is refused when it belongs to another user', async () => {
    const path = written();
    chownSync(path, 4_242, 4_242);
    expect(messagesOf(await loadMcpConfig(path))[0]).toMatch(/belongs to another user/);
  });

  it('[CONFIG-5] the same holds for what it names', async () => {
    const path = written(JSON.stringify({ mcpServers: { a: { command: 'a', envFile: 'open.env' } } }));
    writeFileSync(join(path, '..', 'open.env'), 'NODE_OPTIONS=--require=/tmp/x');
    chmodSync(join(path, '..', 'open.env'), 0o666);
    expect(messagesOf(await loadMcpConfig(path))[0]).toMatch(/envFile can be written by other users/);
  });

  it('[CONFIG-4] what is no file is a problem, and is not waited for', async () => {
    const folder = newFolder();
    const loop = join(folder, 'loop');
    symlinkSync('loop', loop);
    for (const [path, message] of [
      [join(folder, 'none.json'), /^the file does not exist$/],
      [folder, /^the file is a folder$/],
      [loop, /is a link that leads to itself/],
      [join(written(), 'x'), /a folder in its path is a file/],
      ['/dev/null', /is no regular file/],
    ] as const) {
      const { problems } = await loadMcpConfig(path);
      expect(problems).toMatchObject([{ kind: 'file', file: path, message: expect.stringMatching(message) }]);
    }
  });
});

describe('an object', () => {
  const servers = (entry: object) => ({ mcpServers: { a: entry } });

  it('[CONFIG-5] reads no variables and no files of the host unless they are given', async () => {
    const secret = servers({ command: 'a', env: { HOME: `\${HOME}` } });
    expect(messagesOf(await loadMcpConfig(secret))[0]).toMatch(/the variable HOME is not set/);
    expect((await loadMcpConfig(secret, { env: process.env })).servers.a?.env).toEqual({ HOME: process.env.HOME });
    const file = servers({ command: 'a', envFile: '/etc/hostname' });
    expect(messagesOf(await loadMcpConfig(file))[0]).toMatch(/allow it by the option allowFileReferences/);
    const codex = { mcp_servers: { a: { command: 'a', env_vars: ['HOME'] } } };
    expect((await loadMcpConfig(codex)).servers.a?.env).toEqual({});
  });

  it('[CONFIG-3] a file reads those of process.env; own ones alone', async () => {
    const text = JSON.stringify(servers({ command: 'a', args: [`\${HOME}`] }));
    expect((await loadMcpConfig(written(text))).servers.a?.args).toEqual([process.env.HOME]);
    const inherited = servers({ command: 'a', args: [`\${constructor}`] });
    expect(messagesOf(await loadMcpConfig(inherited, { env: {} }))[0]).toMatch(/constructor is not set/);
  });

  it('[CONFIG-3] is read once, and not changed', async () => {
    let reads = 0;
    const entry = {
      get command() {
        reads += 1;
        return 'a';
      },
    };
    const source = Object.freeze(servers(Object.freeze(entry)));
    expect((await loadMcpConfig(source)).servers).toEqual({ a: { command: 'a' } });
    expect(reads).toBe(1);
    const throwing = {
      get mcpServers(): never {
        throw new Error('secret');
      },
    };
    const error = (await rejection(loadMcpConfig(throwing))) as PoolError;
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.message).not.toContain('secret');
  });

  it('[CONFIG-3] resolves ~ in command and cwd, and a relative cwd by the file', async () => {
    const entry = { command: '~/bin/a', args: ['~/b'], cwd: 'sub' };
    const path = written(JSON.stringify(servers(entry)));
    expect((await loadMcpConfig(path)).servers.a).toEqual({
      ...{ command: join(homedir(), 'bin/a'), args: ['~/b'], cwd: join(path, '..', 'sub') },
    });
    expect((await loadMcpConfig(servers(entry), { workspaceFolder: '/w' })).servers.a?.cwd).toBe('/w/sub');
    expect((await loadMcpConfig(servers({ ...entry, cwd: '~' }))).servers.a?.cwd).toBe(homedir());
  });

  it('[CONFIG-2] what a variable holds is no placeholder, whatever it looks like', async () => {
    const env = { A: `\${B}`, B: 'b', C: '$A' };
    const source = servers({ command: 'a', env: { X: `\${A}`, Y: `x\${C}` } });
    const { servers: read } = await loadMcpConfig(source, { env, format: 'claude-code' });
    expect(read.a).toEqual({ command: 'a', env: { X: `\${B}`, Y: 'x$A' }, placeholders: 'literal' });
  });
});

describe('what servers depend on', () => {
  it('[CONFIG-7] a server that depends on one of the file that cannot be used is a problem, and what depends on that', async () => {
    const on = (...dependsOn: string[]) => ({ command: 'x', dependsOn });
    const mcpServers = {
      ...{ off: { command: 'x', disabled: true }, far: { type: 'http', url: 'https://x' }, bad: { command: 5 } },
      ...{ a: on('off'), b: on('far'), c: on('bad'), d: on('a'), e: on('f'), f: on('e'), g: on('g') },
      ...{ h: on('of the host'), i: on('h'), j: { command: 'x', dependsOn: { h: { condition: 'sometimes' } } } },
    };
    const config = await loadMcpConfig({ mcpServers });
    expect(Object.keys(config.servers)).toEqual(['h', 'i']);
    expect(config.problems.map(({ server, message }) => [server, message.split(': ')[1]])).toEqual([
      ['bad', 'command must be a string, got 5'],
      ['g', "dependsOn must not name 'g' itself"],
      ['j', expect.stringMatching(/^dependsOn\.h\.condition must be/)],
      ['a', "it depends on 'off', which is switched off"],
      ['b', "it depends on 'far', which is remote"],
      ['c', "it depends on 'bad', which cannot be used"],
      ['d', "it depends on 'a', which cannot be used"],
      ['e', 'dependsOn must not lead in a circle'],
      ['f', 'dependsOn must not lead in a circle'],
    ]);
  });
});

describe('what a problem shows', () => {
  it.each([
    ['a variable', { command: 'a', env: { X: `\${ghp_abcdefghijklmnopqrstuvwxyz012345}` } }],
    ['a key of env', { command: 'a', env: { 'sk-abcdefghijklmnopqrstuvwxyz': 5 } }],
    ['an option', { command: 'a', sharing: 'sk-abcdefghijklmnopqrstuvwxyz' }],
    ['a type', { type: 'sk-abcdefghijklmnopqrstuvwxyz', command: 'a' }],
    ['an address', { type: 'http', url: 'ftp://user:sk-abcdefghijklmnopqrstuvwxyz@x' }],
    ['a header', { type: 'http', url: 'https://x', headers: { Authorization: ['sk-abcdefghijklmnopqrstuvwxyz'] } }],
    ['an unknown key', { command: 'a', 'sk-abcdefghijklmnopqrstuvwxyz': 1, cmmand: 1 }],
  ])('[CONFIG-5] never a secret in the place of %s', async (_what, entry) => {
    const { problems } = await loadMcpConfig({ mcpServers: { a: entry } }, { format: 'claude-code' });
    expect(problems.length).toBeGreaterThan(0);
    expect(JSON.stringify(problems)).not.toMatch(/abcdefghijklm/);
  });

  it('[CONFIG-4] no control characters, and long names cut', async () => {
    const source = { mcpServers: { 'a\u001b[31m\n': { command: 1 }, ['x'.repeat(5_000)]: { command: 1 } } };
    const { problems } = await loadMcpConfig(source);
    expect(problems.map(({ key }) => key)).toEqual([
      'mcpServers."a?[31m?".command',
      `mcpServers."${'x'.repeat(80)}…".command`,
    ]);
    const named = { mcpServers: { a: { command: 'a', env: { 'K\u001b[2J\0': 'v' } } } };
    for (const message of messagesOf(await loadMcpConfig(named))) expect(message).not.toMatch(/\p{Cc}/u);
  });

  it('[CONFIG-4] what a whole section that is written twice loses is said', async () => {
    const path = written('{ "pool": {}, "mcpServers": { "a": { "command": "a" } },\n "pool": {},\n "mcpServers": {} }');
    const { problems } = await loadMcpConfig(path);
    expect(problems).toMatchObject([
      { kind: 'warning', key: 'pool', line: 2 },
      { kind: 'warning', key: 'mcpServers', line: 3 },
    ]);
  });

  it.each([
    [
      '.mcp.json',
      '{"servers":{"a":{"command":"a"}}}',
      /has servers, which Claude Code does not read: it reads mcpServers/,
    ],
    [
      '.mcp.json',
      '{"a":{"command":"a"},"b":{"args":[]}}',
      /has servers beside what is none: put these into mcpServers/,
    ],
    [
      'claude_desktop_config.json',
      '{"servers":{"a":{"command":"a"}}}',
      /has servers, which Claude Desktop does not read/,
    ],
    ['config.toml', '[mcpServers.a]\ncommand = "a"', /has mcpServers, which Codex does not read: it reads mcp_servers/],
  ])('[CONFIG-4] %s with servers where its host has none says so: %s', async (name, text, message) => {
    const config = await loadMcpConfig(written(text, name));
    expect(config.servers).toEqual({});
    expect(messagesOf(config)).toEqual([expect.stringMatching(message)]);
  });

  it('[CONFIG-4] finds the places of thousands of problems, without reading the file for each', async () => {
    const count = 20_000;
    const names = Array.from({ length: count }, (_, at) => `s${at}`);
    const toml = written(names.map((name) => `[mcp_servers.${name}]\nargs = []\ncommand = 1\n`).join(''), 'x.toml');
    const { problems } = await loadMcpConfig(toml);
    expect(problems.map(({ line }) => line)).toEqual(names.map((_, at) => at * 3 + 3));
    const json = written(`{"mcpServers":{\n${names.map((name) => `"${name}": 1`).join(',\n')}}}`);
    expect((await loadMcpConfig(json)).problems.map(({ line }) => line)).toEqual(names.map((_, at) => at + 2));
  });
});

describe('the call', () => {
  it('[CONFIG-14] takes a URL, and refuses what is no source and wrong options', async () => {
    expect(Object.keys((await loadMcpConfig(pathToFileURL(written()))).servers)).toEqual(['a']);
    const wrong = ['', ' ', 'a\0', new URL('https://x/y'), null, undefined, 5, [], new Map()];
    for (const source of wrong) expect(await rejection(loadMcpConfig(source as never))).toBeInstanceOf(PoolError);
    const options = { format: 'emacs', env: 5, input: 5, allowFileReferences: 1, workspaceFolder: 'x', formt: 1 };
    const error = (await rejection(loadMcpConfig({}, options as never))) as PoolError;
    expect(error.data.problems).toHaveLength(6);
  });

  it('[CONFIG-3] follows the format that is named', async () => {
    const source = { mcpServers: { a: { command: 'a', env: { ONE: '$TOKEN' } } } };
    const env = { TOKEN: 't' };
    expect((await loadMcpConfig(source, { format: 'gemini-cli', env })).servers.a?.env).toEqual({ ONE: 't' });
    expect((await loadMcpConfig(source, { format: 'claude-code', env })).servers).toEqual({});
  });
});
