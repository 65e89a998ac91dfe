import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadMcpConfig, type McpConfigInput } from '../../src/config.js';
import { loadFixture, messagesOf, placesOf } from '../helpers/config-files.js';

describe('VS Code', () => {
  it('[CONFIG-6] asks for each input once, with what its file says of it', async () => {
    const asked: McpConfigInput[] = [];
    const input = async (one: McpConfigInput) => {
      asked.push(one);
      return one.id === 'region' ? undefined : 'the key';
    };
    const config = await loadFixture('vscode-inputs.json', '.vscode/mcp.json', { input });
    expect(asked).toEqual([
      {
        ...{ id: 'region', type: 'pickString', description: 'Region', password: false },
        ...{ default: 'eu', options: ['eu', 'us'] },
      },
      {
        ...{ id: 'perplexity-key', type: 'promptString', description: 'Perplexity API Key', password: true },
        ...{ default: undefined, options: [] },
      },
    ]);
    expect(config.problems).toEqual([]);
    expect(config.servers).toEqual({
      perplexity: {
        command: 'npx',
        args: ['-y', 'server-perplexity-ask', '--region=eu'],
        // Numbers are texts, null is left out, what is not set is empty: as VS Code has it.
        env: { PERPLEXITY_API_KEY: 'the key', PORT: '8080', UNSET: '[]' },
        cwd: join(config.folder, 'tools'),
      },
    });
    expect(config.remote).toMatchObject({ github: { type: 'http' } });
    expect(config.extra).toEqual({ perplexity: { dev: { watch: 'src/**/*.ts' } } });
  });

  it('[CONFIG-6] inputs may be given by id; one without a value is a problem', async () => {
    const given = await loadFixture('vscode-inputs.json', '.vscode/mcp.json', { input: { 'perplexity-key': 'k' } });
    expect(given.servers.perplexity?.env).toMatchObject({ PERPLEXITY_API_KEY: 'k' });
    const missing = await loadFixture('vscode-inputs.json', '.vscode/mcp.json');
    expect(messagesOf(missing)).toEqual([
      "server 'perplexity' cannot be used: the input perplexity-key has no value: pass the option input",
    ]);
    const throws = () => Promise.reject(new Error('the secret was abc'));
    const thrown = await loadFixture('vscode-inputs.json', '.vscode/mcp.json', { input: throws });
    expect(messagesOf(thrown)[0]).toMatch(/has thrown an error$|has thrown an error;/);
    expect(messagesOf(thrown)[0]).not.toContain('abc');
  });

  it('[CONFIG-2] a variable of env replaces that of envFile', async () => {
    const config = await loadFixture('vscode-env-file.json', '.vscode/mcp.json', {}, ['cursor.env']);
    expect(config.servers.py?.env).toEqual({ API_KEY: 'from the file', REGION: 'mine', EMPTY: '' });
  });

  it('[CONFIG-1] reads the settings of a user', async () => {
    const config = await loadFixture('vscode-settings.json', 'Code/User/settings.json');
    expect(config.servers).toEqual({ fetch: { command: 'uvx', args: ['mcp-server-fetch'] } });
  });

  it('[CONFIG-4] names inputs that are not there, and placeholders that only VS Code can fill', async () => {
    const config = await loadFixture('vscode-missing-input.json', '.vscode/mcp.json');
    expect(messagesOf(config)[0]).toMatch(/the input nobody-defined-it is not in the inputs of the file/);
    expect(messagesOf(config)[1]).toMatch(/args\[0\] has a placeholder that would stay as it is, since VS Code/);
  });
});

describe('Codex', () => {
  const env = { LOCAL_TOKEN: 'l', FIGMA_OAUTH_TOKEN: 'f', FIGMA_TEAM: 'team' };

  it('[CONFIG-2] passes variables on by name, and builds headers from them', async () => {
    const config = await loadFixture('codex-config.toml', '.codex/config.toml', { env, workspaceFolder: '/work' });
    expect(config.problems).toEqual([]);
    expect(config.servers).toEqual({
      context7: {
        command: 'npx',
        args: ['-y', '@upstash/context7-mcp'],
        env: { LOCAL_TOKEN: 'l', MY_ENV_VAR: 'MY_ENV_VALUE' },
        cwd: '/work',
      },
    });
    const headers = { 'X-Figma-Region': 'us-east-1', 'X-Team': 'team', Authorization: 'Bearer f' };
    expect(config.remote).toEqual({ figma: { type: 'http', url: 'https://mcp.figma.com/mcp', headers } });
    expect(config.disabled).toEqual(['chrome_devtools']);
    expect(config.extra).toEqual({ context7: { startup_timeout_sec: 20 } });
    const unset = await loadFixture('codex-config.toml', 'codex.toml');
    expect(placesOf(unset)).toEqual([['server', 'mcp_servers.figma.bearer_token_env_var', 14]]);
  });

  it('[CONFIG-4] refuses what Codex refuses, with the line, and no token', async () => {
    const config = await loadFixture('codex-wrong.toml', 'config.toml');
    expect(Object.keys(config.servers)).toEqual(['fine']);
    expect(placesOf(config)).toEqual([
      ['server', 'mcp_servers.both.url', 3],
      ['server', 'mcp_servers.token.bearer_token', 7],
      ['server', 'mcp_servers.number.env', 12],
    ]);
    expect(messagesOf(config)[2]).toMatch(/the entry 'PORT' is not a string.*write it as a string/);
    expect(JSON.stringify(config.problems)).not.toContain('abcdefghijklmnop');
  });

  it('[CONFIG-4] tells where TOML is wrong, and quotes nothing of it', async () => {
    const config = await loadFixture('codex-syntax.toml', 'config.toml');
    expect(config.problems).toMatchObject([{ kind: 'file', line: 4 }]);
    expect(messagesOf(config)[0]).toMatch(/^the file is no valid TOML: /);
    expect(messagesOf(config)[0]).not.toContain('ghp_');
  });
});

describe('the key pool and policy', () => {
  it('[CONFIG-7] entries may hold options of a definition, and pool those of a pool', async () => {
    const config = await loadFixture('pool-policy.json');
    expect(config.problems).toEqual([]);
    expect(config.pool).toEqual({
      limits: { maxProcesses: 20, memoryLimitMB: 4_096 },
      defaults: { idleTimeout: 60_000 },
    });
    expect(config.servers).toMatchObject({
      memory: { sharing: 'shared', maxInFlight: 1 },
      files: { maxInstances: 5, memoryLimitMB: 512, label: 'Files' },
    });
  });

  it('[CONFIG-7] wrong options are problems with their places; a misspelt one is a warning', async () => {
    const config = await loadFixture('pool-policy-wrong.json');
    expect(config.pool).toBeUndefined();
    expect(Object.keys(config.servers)).toEqual(['b', 'c']);
    expect(placesOf(config)).toEqual([
      ['pool', 'pool.limits.maxProcesses', 2],
      ['server', 'mcpServers.a.maxInstances', 4],
      ['warning', 'mcpServers.b.idleTimeot', 5],
    ]);
    expect(messagesOf(config)[1]).toMatch(/maxInstances must be .*; idleTimeout must be .*write 300000/);
    expect(messagesOf(config)[2]).toMatch(/did you mean 'idleTimeout'\?/);
  });

  it('[CONFIG-7] servers do not belong into pool', async () => {
    const config = await loadFixture('pool-with-servers.json');
    expect(placesOf(config)).toEqual([['pool', 'pool.servers', 2]]);
    expect(Object.keys(config.servers)).toEqual(['c']);
  });

  it.each([
    ['handleSignals', { handleSignals: true }],
    ['guardian.executable', { guardian: { enabled: true, executable: '/usr/bin/node' } }],
  ])('[CONFIG-7] neither does %s, which only the program of the host can know', async (path, pool) => {
    const config = await loadMcpConfig({ mcpServers: { a: { command: 'node' } }, pool });
    expect(config.pool).toBeUndefined();
    expect(config.problems).toEqual([expect.objectContaining({ kind: 'pool', key: `pool.${path}` })]);
    expect(messagesOf(config)[0]).toMatch(/must not be in pool.*set it there/);
    expect(Object.keys(config.servers)).toEqual(['a']);
  });
});

describe('files that are wrong', () => {
  it.each([
    ['half-written.json', /string that does not end/],
    ['empty.json', /^the file is empty/],
    ['utf-16.json', /not encoded as UTF-8/],
    ['array.json', /mcpServers must be an object of servers by name, got an array/],
    ['zed-settings.json', /has no servers: they are in mcpServers \(most hosts\), servers \(VS Code\)/],
  ])('[CONFIG-4] %s is refused as a whole', async (fixture, message) => {
    const config = await loadFixture(fixture);
    expect(config).toMatchObject({ servers: {}, remote: {}, disabled: [], problems: [{ kind: 'file' }] });
    expect(messagesOf(config)).toEqual([expect.stringMatching(message)]);
  });

  it('[CONFIG-1] a byte order mark is none of the content', async () => {
    expect(Object.keys((await loadFixture('bom.json')).servers)).toEqual(['time']);
  });

  it('[CONFIG-4] each wrong entry is one problem, and the others can be used', async () => {
    const config = await loadFixture('wrong-entries.json');
    expect(Object.keys(config.servers)).toEqual(['fine', '__proto__']);
    expect(config.servers.fine).toEqual({ command: 'finer' });
    expect(({} as { command?: string }).command).toBeUndefined();
    expect(placesOf(config)).toEqual([
      ['server', 'mcpServers.string', 3],
      ['server', 'mcpServers.null', 4],
      ['server', 'mcpServers.nothing.command', 5],
      ['server', 'mcpServers.args.args', 6],
      ['server', 'mcpServers.env.env', 7],
      ['server', 'mcpServers.type.type', 8],
      ['server', 'mcpServers.address.url', 9],
      ['warning', 'mcpServers.fine', 11],
    ]);
    expect(messagesOf(config)).toMatchObject(
      [
        /must be an object, got a string/,
        /must be an object, got null/,
        /command must be a string, got undefined/,
        /args must be an array of strings/,
        /write it as a string/,
        /type is none that can be read/,
        /begins with http:\/\/ or https:\/\//,
        /fine is written twice: the last one counts/,
      ].map((message) => expect.stringMatching(message)),
    );
  });
});
