import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadFixture, messagesOf, placesOf } from '../helpers/config-files.js';

const DESKTOP = 'claude_desktop_config.json';

// Each file is written here in the format that its host documents: test/fixtures/configs/README.md names the sources.
describe('Claude Desktop', () => {
  it('[CONFIG-1] reads servers as they are', async () => {
    const { servers, format, problems } = await loadFixture('claude-desktop-filesystem.json', DESKTOP);
    expect({ format, problems }).toEqual({ format: 'claude-desktop', problems: [] });
    const folders = ['/Users/ada/Desktop', '/Users/ada/Downloads'];
    expect(servers).toEqual({
      filesystem: { command: 'npx', args: ['-y', '@modelcontextprotocol/server-filesystem', ...folders] },
      memory: {
        command: 'npx',
        args: ['-y', '@modelcontextprotocol/server-memory'],
        env: { MEMORY_FILE_PATH: '/Users/ada/memory.json' },
      },
    });
  });

  it('[CONFIG-1] reads paths of Windows, and ignores other settings', async () => {
    const { servers, problems } = await loadFixture('claude-desktop-windows.json', DESKTOP);
    const args = ['--directory', 'C:\\data', 'run', 'mcp-server-sqlite'];
    expect(servers).toEqual({ sqlite: { command: 'C:\\Users\\ada\\uv.exe', args } });
    expect(problems).toEqual([]);
  });

  it('[CONFIG-1] reads a file without servers, as it is after the installation', async () => {
    expect(await loadFixture('claude-desktop-empty.json', DESKTOP)).toMatchObject({ servers: {}, problems: [] });
  });

  it.each([
    ['claude-desktop-backslash.json', 5, /backslash in a string that begins no escape: write \\\\ for one/],
    ['claude-desktop-comment.json', 2, /has a comment, and Claude Desktop reads none: remove it/],
    ['claude-desktop-trailing-comma.json', 3, /comma before a closing bracket, and Claude Desktop reads none/],
  ])('[CONFIG-4] refuses %s with its line and what to write', async (fixture, line, message) => {
    const config = await loadFixture(fixture, DESKTOP);
    expect(config.servers).toEqual({});
    expect(placesOf(config)).toEqual([['file', '', line]]);
    expect(config.problems[0]?.message).toMatch(message);
  });

  it('[CONFIG-2] replaces no placeholder: the entry is a problem, since the server would get its text', async () => {
    const config = await loadFixture('claude-desktop-placeholder.json', DESKTOP, { env: { GITHUB_TOKEN: 'g' } });
    expect(Object.keys(config.servers)).toEqual(['time']);
    expect(placesOf(config)).toEqual([['server', 'mcpServers.github.env.GITHUB_TOKEN', 6]]);
    expect(messagesOf(config)[0]).toMatch(/since Claude Desktop replaces no placeholders: write the value/);
  });
});

describe('Claude Code', () => {
  const env = { AIRTABLE_API_KEY: 'a', SENTRY_TOKEN: 's', BASE: 'prod' };

  it(`[CONFIG-2] replaces \${NAME} and \${NAME:-default} in command, args, env, url and headers`, async () => {
    const config = await loadFixture('claude-code-project.json', '.mcp.json', { env });
    expect(config.servers).toEqual({
      airtable: {
        command: 'npx',
        args: ['-y', 'airtable-mcp-server', '--base=prod'],
        env: { AIRTABLE_API_KEY: 'a', MODE: '' },
        cwd: config.folder,
      },
    });
    expect(config.remote).toEqual({
      sentry: { type: 'http', url: 'https://mcp.sentry.dev/mcp', headers: { Authorization: 'Bearer s' } },
      events: { type: 'sse', url: 'https://mcp.asana.com/sse', headers: {} },
    });
    expect(config.extra).toEqual({ airtable: { timeout: 600_000 } });
    expect(config.problems).toEqual([]);
  });

  it('[CONFIG-2] a variable that is not set is a problem of its entry alone', async () => {
    const config = await loadFixture('claude-code-unset.json', '.mcp.json');
    expect(Object.keys(config.servers)).toEqual(['time']);
    expect(config.problems).toEqual([
      {
        ...{ kind: 'server', file: config.path, line: 6, column: 16 },
        ...{ key: 'mcpServers.notion.env.NOTION_TOKEN', server: 'notion' },
        message: "server 'notion' cannot be used: the variable NOTION_TOKEN is not set",
      },
    ]);
  });

  it('[CONFIG-3] takes a url without a type for a command, so it is refused where the file is surely of it', async () => {
    const config = await loadFixture('claude-code-url-without-type.json', '.mcp.json');
    expect(messagesOf(config)[0]).toMatch(/add "type": "http"/);
    const other = await loadFixture('claude-code-url-without-type.json', 'servers.json');
    expect(other.remote).toEqual({ example: { type: 'http', url: 'https://mcp.example.com/mcp', headers: {} } });
  });

  it(`[CONFIG-2] reads \${env:X} as a variable of that name, as it does itself`, async () => {
    const config = await loadFixture('claude-code-env-prefix.json', '.mcp.json', { env: { ADS_TOKEN: 'x' } });
    expect(messagesOf(config)[0]).toMatch(/the variable env:ADS_TOKEN is not set/);
  });

  it('[CONFIG-1] reads the flat file of a plugin', async () => {
    const config = await loadFixture('claude-code-plugin.json', '.mcp.json', { env: { HOME: '/home/ada' } });
    expect(config.servers).toMatchObject({ database: { command: '/opt/plugin/db-server' } });
    expect(config.servers.api?.env).toEqual({ HOME_DIR: '/home/ada' });
  });

  it('[CONFIG-2] leaves code for a shell what is its own', async () => {
    const { servers } = await loadFixture('claude-code-shell.json', '.mcp.json');
    expect(servers.wrapped?.args).toEqual(['-c', `set -a; . .env; exec node \${SCRIPT} $1`]);
  });

  it('[CONFIG-1] reads the file of a user, and of no project in it', async () => {
    expect(Object.keys((await loadFixture('claude-code-user.json', '.claude.json')).servers)).toEqual(['everything']);
  });
});

describe('Cursor', () => {
  it(`[CONFIG-2] replaces \${env:NAME} and places, and reads envFile below env`, async () => {
    const env = { API_KEY: 'given', MY_SERVICE_TOKEN: 't' };
    const config = await loadFixture('cursor-project.json', '.cursor/mcp.json', { env }, ['cursor.env']);
    expect(config.problems).toEqual([]);
    expect(config.servers).toEqual({
      local: {
        command: 'python',
        args: [join(config.folder, 'tools/mcp-server.py'), `--home=${homedir()}`],
        env: { API_KEY: 'given', REGION: 'eu-west-1', EMPTY: '' },
        cwd: config.folder,
      },
    });
    expect(config.remote.remote?.headers).toEqual({ Authorization: 'Bearer t' });
    expect(config.extra).toEqual({ remote: { auth: { CLIENT_ID: 'abc' } } });
  });

  it.each([
    ['cursor-env-file-missing.json', 'mcpServers.local.envFile', /envFile does not exist/],
    ['cursor-unset.json', 'mcpServers.local.args[0]', /the variable SERVER_PATH is not set/],
  ])('[CONFIG-4] %s', async (fixture, key, message) => {
    const config = await loadFixture(fixture, '.cursor/mcp.json');
    expect(placesOf(config)).toEqual([['server', key, 3]]);
    expect(messagesOf(config)[0]).toMatch(message);
  });
});

describe('Windsurf', () => {
  const AS = '.codeium/windsurf/mcp_config.json';

  it('[CONFIG-3] has its own key of an address', async () => {
    const config = await loadFixture('windsurf-all.json', AS, { env: { GH_TOKEN: 'g', AUTH_TOKEN: 'a' } });
    expect(config.servers['github-mcp-server']?.env).toEqual({ GITHUB_PERSONAL_ACCESS_TOKEN: 'g' });
    expect(config.remote).toEqual({
      'remote-http-mcp': { type: 'http', url: 'https://mcp.example.com/mcp', headers: { API_KEY: 'Bearer a' } },
    });
    expect(config.disabled).toEqual(['off']);
    expect(config.extra['github-mcp-server']).toEqual({ disabledTools: ['delete_repository'] });
  });

  it(`[CONFIG-5] reads \${file:…} only when that is allowed`, async () => {
    const refused = await loadFixture('windsurf-file.json', 'mcp_config.json', {}, ['secret.txt']);
    expect(refused.format).toBe('windsurf');
    expect(messagesOf(refused)[0]).toMatch(/allow it by the option allowFileReferences/);
    const options = { allowFileReferences: true };
    const allowed = await loadFixture('windsurf-file.json', 'mcp_config.json', options, ['secret.txt']);
    expect(allowed.servers.db?.env).toEqual({ PASSWORD: 'correct horse' });
  });
});

describe('Cline', () => {
  it('[CONFIG-3] reads its types, also the old ones; a url alone is sse', async () => {
    const config = await loadFixture('cline-settings.json', 'cline_mcp_settings.json');
    expect(config.problems).toEqual([]);
    expect(Object.keys(config.servers)).toEqual(['local-server', 'legacy']);
    expect(Object.entries(config.remote).map(([name, { type }]) => [name, type])).toEqual([
      ['remote-server', 'sse'],
      ['streamable', 'http'],
    ]);
    expect(config.disabled).toEqual(['asleep']);
    expect(config.extra['local-server']).toEqual({ alwaysAllow: ['tool1', 'tool2'], timeout: 60 });
  });

  it('[CONFIG-4] a switch that is a string is refused', async () => {
    const config = await loadFixture('cline-wrong-switch.json', 'cline_mcp_settings.json');
    expect(placesOf(config)).toEqual([['server', 'mcpServers.local.disabled', 3]]);
    expect(messagesOf(config)[0]).toMatch(/disabled must be true or false, got a string/);
  });
});

describe('Gemini CLI', () => {
  const env = { DB_CONNECTION_STRING: 'db', EXTERNAL_API_KEY: 'key', PROFILE: 'p' };

  it(`[CONFIG-2] replaces $NAME, \${NAME}, a default and %NAME%, and leaves $1`, async () => {
    const config = await loadFixture('gemini-settings.json', '.gemini/settings.json', { env });
    expect(config.problems).toEqual([]);
    expect(config.servers).toEqual({
      pythonTools: {
        command: 'python',
        args: ['-m', 'my_mcp_server', '--port', '8080', '--price=$1'],
        cwd: join(config.folder, 'mcp-servers/python'),
        env: { DATABASE_URL: 'db', API_KEY: 'key', REGION: 'eu', P: 'p' },
      },
    });
    expect(config.remote).toMatchObject({ httpServer: { type: 'http' }, sseServer: { type: 'sse' } });
    expect(config.disabled).toEqual(['experimental']);
    expect(config.extra.pythonTools).toEqual({ timeout: 15_000, trust: true });
  });

  it('[CONFIG-2] a variable that is not set is a problem, since it passes its text on', async () => {
    const config = await loadFixture('gemini-unset.json', '.gemini/settings.json');
    expect(messagesOf(config)[0]).toMatch(/the variable NOT_SET_ANYWHERE is not set/);
  });

  it('[CONFIG-1] settings without servers are complete', async () => {
    const config = await loadFixture('gemini-no-servers.json', '.gemini/settings.json');
    expect(config).toMatchObject({ format: 'gemini-cli', servers: {}, problems: [] });
  });
});

describe('MetaMCP', () => {
  it('[CONFIG-2] replaces a whole value of env alone', async () => {
    const config = await loadFixture('metamcp-import.json', 'import.json', { env: { EXA_API_KEY: 'e' } });
    expect(config.format).toBe('metamcp');
    expect(config.problems).toEqual([]);
    expect(config.servers.exa?.env).toEqual({ EXA_API_KEY: 'e' });
    expect(config.remote).toMatchObject({
      stream: { type: 'http', headers: { 'x-key': 'k' } },
      events: { type: 'sse' },
    });
    const part = await loadFixture('metamcp-part.json', 'import.json', { env: { DB_HOST: 'h' } });
    expect(messagesOf(part)[0]).toMatch(/MetaMCP replaces \$\{NAME\} as the whole value of a variable alone/);
  });
});

it('[CONFIG-1] the corpus has at least 30 files, each with its source, and each is read by a test', () => {
  const folder = new URL('../fixtures/configs/', import.meta.url);
  const files = readdirSync(folder).filter((name) => /\.(?:json|toml)$/.test(name));
  expect(files.length).toBeGreaterThanOrEqual(30);
  const sources = readFileSync(new URL('README.md', folder), 'utf8');
  expect(files.filter((name) => !sources.includes(`\`${name}\``))).toEqual([]);
  const tests = ['corpus.test.ts', 'corpus-files.test.ts'].map((name) =>
    readFileSync(new URL(name, import.meta.url), 'utf8'),
  );
  expect(files.filter((name) => !tests.some((text) => text.includes(name)))).toEqual([]);
});
