import { describe, expect, it } from 'vitest';
import { type AddedTree, resolveAddedTree } from '../../src/config/added-tree.js';
import {
  type PlanMode,
  type PlanOptions,
  resolveAcquireOptions,
  resolvePlanOptions,
} from '../../src/config/call-options.js';
import type { PoolOptions } from '../../src/config/options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { PoolError } from '../../src/errors.js';
import { resolveCommand } from '../../src/process/start/command.js';

function errorOf(run: () => unknown): PoolError {
  try {
    run();
  } catch (error) {
    return error as PoolError;
  }
  throw new Error('expected a PoolError, but nothing was thrown');
}

/** As another program would replace it. */
const variable = (name: string) => `\${${name}}`;

const problemsOf = (options: unknown) => errorOf(() => resolvePoolOptions(options as PoolOptions)).data.problems;
const inServer = (definition: object) => problemsOf({ servers: { a: { command: 'node', ...definition } } });

/** The start of a command: the message of its error. */
const started = (command: string, cwd?: string) =>
  errorOf(() => resolveCommand({ name: 'a', command, cwd, resolvedEnv: { PATH: '/bin' } })).message;

describe('a mistake in a definition gets the hint that helps', () => {
  it.each([
    ['url', 'https://example.com/mcp', /^servers\.a\.url is not a known option; a remote server cannot be pooled/],
    ['serverUrl', 'https://example.com/mcp', /remote server cannot be pooled/],
    ['headers', {}, /remote server cannot be pooled/],
    ['type', 'http', /^servers\.a\.type must be one of 'stdio', got 'http'; a remote server cannot be pooled/],
    ['type', 'sse', /got 'sse'; a remote server/],
    ['disabled', true, /leave the server out of servers/],
    ['enabled', false, /leave the server out of servers/],
    ['isActive', false, /leave the server out of servers/],
    ['disabled', false, /^servers\.a\.disabled is not a known option; .*leave this key out$/],
    ['enabled', true, /^servers\.a\.enabled is not a known option; .*leave this key out$/],
    ['isActive', true, /^servers\.a\.isActive is not a known option; .*leave this key out$/],
    ['enabled', 'no', /leave this key out.*; to switch the server off, leave it out of servers$/],
    ['autoApprove', [], /leave it out/],
    ['alwaysAllow', [], /leave it out/],
    ['timeout', 60, /acquireTimeout or startTimeout/],
    ['envFile', '.env', /pass its values as env/],
    ['arguments', [], /did you mean 'args'/],
    ['cmd', 'node', /did you mean 'command'/],
    ['shared', true, /did you mean sharing: 'shared'/],
    ['dedicated', true, /did you mean sharing: 'dedicated'/],
    ['exclusive', true, /did you mean sharing: 'exclusive'/],
    ['environment', {}, /did you mean 'env'/],
    ['workingDirectory', '/', /did you mean 'cwd'/],
    ['maxProcesses', 3, /did you mean 'maxInstances'/],
    ['maxRestarts', 3, /did you mean 'restart\.maxRestarts'/],
    ['memoryMB', 3, /did you mean 'cgroupLimits\.memoryMB'/],
    ['maxMemoryMB', 3, /did you mean 'memoryLimitMB'/],
    ['cpuLimit', 3, /did you mean 'cpuLimitPercent'/],
    ['restartOnLeak', true, /did you mean 'restartOnMemoryLeak'/],
    ['openFiles', 3, /did you mean 'rlimits\.openFiles'/],
    ['acquireTimeout', 3, /it is an option of the pool, not of a server/],
    ['maxWaiting', 3, /it is an option of the pool, not of a server/],
  ])('[HINT-1] a key that belongs elsewhere: %s: %j', (key, value, hint) => {
    expect(inServer({ [key]: value })).toEqual([expect.stringMatching(hint)]);
  });

  it.each(['url', 'serverUrl', 'httpUrl'])('[HINT-1] a remote server is one problem: %s', (key) => {
    expect(problemsOf({ servers: { a: { [key]: 'https://example.com' } } })).toEqual([
      expect.stringContaining('a remote server cannot be pooled'),
    ]);
    expect(problemsOf({ servers: { a: { type: 'http' } } })).toHaveLength(1);
    expect(problemsOf({ servers: { a: {} } })).toEqual(['servers.a.command must be a string, got undefined']);
  });

  it.each([
    [process.env, /not process\.env.*inheritEnv/],
    [{ TOKEN: undefined }, /entry 'TOKEN' is not .*not set at all: leave it out/],
    [{ TOKEN: null }, /entry 'TOKEN' is not .*not set at all/],
    [{ PORT: 3000 }, /entry 'PORT' is not .*but a number: write it as a string/],
    [{ DEBUG: true }, /entry 'DEBUG' is not .*but a boolean: write it as a string/],
    [['TOKEN=swordfish'], /\{ NAME: 'value' \}.*got an array/],
    [new Map([['TOKEN', 'swordfish']]), /\{ NAME: 'value' \}/],
    [{ TOKEN: variable('TOKEN') }, /env\.TOKEN must not have a placeholder .*inheritEnv/],
    [{ TOKEN: variable('env:TOKEN') }, /env\.TOKEN must not have a placeholder/],
    [{ TOKEN: variable('input:token') }, /env\.TOKEN must not have a placeholder/],
  ])('[HINT-1] env: %#', (env, hint) => {
    const problems = inServer({ env });
    expect(problems).toEqual([expect.stringMatching(hint)]);
    expect(JSON.stringify(problems)).not.toMatch(/swordfish|3000|\btrue\b/);
  });

  it('[HINT-1] a placeholder in args, and how to pass it as it is', () => {
    const args = ['--root', variable('workspaceFolder')];
    expect(inServer({ args })).toEqual([
      expect.stringMatching(/args\[1\] must not have a placeholder.*placeholders: 'literal'/),
    ]);
    const literal = { command: 'node', args, env: { A: variable('A') }, placeholders: 'literal' as const };
    expect(resolvePoolOptions({ servers: { a: literal } }).servers.get('a')).toMatchObject({ args });
  });

  it.each([
    ['exclusive', { maxSessions: 5 }, /^servers\.a\.maxSessions must not be set where sharing is 'exclusive'/],
    ['dedicated', { maxSessions: 5 }, /^servers\.a\.maxSessions must not be set where sharing is 'dedicated'/],
    ['auto', { maxSessions: 5 }, /maxSessions must not be set where sharing is 'exclusive'/],
    ['dedicated', { maxInFlight: 1 }, /^servers\.a\.maxInFlight must not be set where sharing is 'dedicated'/],
    ['dedicated', { retryTools: 'annotated' }, /^servers\.a\.retryTools must be 'never' where sharing is 'dedicated'/],
  ])('[HINT-1] what would be ignored is refused: %s, %j', (sharing, policy, hint) => {
    expect(inServer({ sharing, ...policy })).toEqual([expect.stringMatching(hint)]);
    expect(problemsOf({ command: 'node', sharing, ...policy })).toHaveLength(1);
  });

  it('[HINT-1] args as one string', () => {
    expect(inServer({ args: '-y foo' })).toEqual([expect.stringMatching(/got a string; write one item for each/)]);
  });
});

describe('a mistake in other options gets the hint that helps', () => {
  it.each([
    [{ maxProcesses: 3 }, /^maxProcesses is not a known option; did you mean 'limits\.maxProcesses'\?$/],
    [{ idleTimeout: 3 }, /^idleTimeout is not a known option; set it as defaults\.idleTimeout/],
    [{ maxInstances: 3 }, /set it as defaults\.maxInstances/],
    [{ concurrency: 3 }, /did you mean 'cleanup\.concurrency'/],
    [{ maxRestarts: 3 }, /did you mean 'defaults\.restart\.maxRestarts'/],
    [{ reaper: '/x' }, /did you mean 'guardian\.reaper'/],
    [{ interval: 3 }, /did you mean 'monitoring\.interval'/],
    [{ monitor: {} }, /^monitor is not a known option; did you mean 'monitoring'\?$/],
    [{ maxMemoryMB: 3 }, /^maxMemoryMB .*did you mean 'limits\.memoryLimitMB'\?$/],
    [{ cpuLimit: 3 }, /^cpuLimit .*did you mean 'limits\.cpuLimitPercent'\?$/],
    [{ monitoring: { enforce: true } }, /^monitoring\.enforce .*did you mean 'levels\.enforce'\?$/],
    [{ monitoring: { long: 3 } }, /^monitoring\.long .*did you mean 'windows\.long'\?$/],
    [{ monitoring: { leak: { minSlope: 3 } } }, /^monitoring\.leak\.minSlope .*did you mean 'minSlopeMBPerHour'\?$/],
    [{ limits: { memoryMB: 3 } }, /^limits\.memoryMB .*did you mean 'memoryLimitMB'\?$/],
    [{ limits: { maxMemoryMB: 3 } }, /^limits\.maxMemoryMB .*did you mean 'memoryLimitMB'\?$/],
    [{ audit: { file: '/x', path: '/x' } }, /^audit\.file .*did you mean 'path'\?$/],
    [{ defaults: { restartOnLeak: true } }, /^defaults\.restartOnLeak .*did you mean 'restartOnMemoryLeak'\?$/],
    [
      { monitoring: { folders: [{ path: '/x', limitMB: 1, maxMB: 1 }] } },
      /^monitoring\.folders\[0\]\.maxMB .*did you mean 'limitMB'\?$/,
    ],
    [{ audit: '/x.jsonl' }, /^audit must be an object, got a string; write \{ path: /],
    [{ monitoring: false }, /^monitoring must be an object, got false; write \{ enabled: false \} to switch it off/],
    [{ monitoring: true }, /^monitoring must be an object, got true; .*or leave it out$/],
    [{ memoryLimitMB: 3 }, /did you mean 'limits\.memoryLimitMB'/],
    [{ priority: 'normal' }, /set it as defaults\.priority/],
    [{ limits: { warningPercent: 3 } }, /^limits\.warningPercent .*did you mean 'monitoring\.warningPercent'/],
    [{ limits: { maxTreeProcesses: 3 } }, /in its definition, or for all in defaults/],
    [{ defaults: { dryRun: true } }, /it is an option of the pool: monitoring\.dryRun/],
    [{ args: [] }, /belongs to the definition of a server/],
    [{ mcpServers: {} }, /did you mean 'servers'/],
    [{ limits: { maxInstances: 3 } }, /^limits\.maxInstances .*in its definition, or for all in defaults/],
    [{ limits: { acquireTimeout: 3 } }, /^limits\.acquireTimeout .*option of the pool itself/],
    [{ defaults: { env: {} } }, /^defaults\.env .*set for each server/],
    [{ defaults: { maxProcesses: 3 } }, /^defaults\.maxProcesses .*did you mean 'maxInstances'/],
    [{ command: 'node', maxProcesses: 3 }, /^maxProcesses .*did you mean 'limits\.maxProcesses'/],
    [{ command: 'node', url: 'x' }, /^url .*remote server cannot be pooled/],
  ])('[HINT-1] %j', (options, hint) => {
    expect(problemsOf(options)).toEqual([expect.stringMatching(hint)]);
  });

  it.each([
    [{ memoryLimitMB: 5 }, "memoryLimitMB is not a known option; did you mean 'limits.memoryLimitMB'?"],
    [{ maxMemoryMB: 5 }, "maxMemoryMB is not a known option; did you mean 'limits.memoryLimitMB'?"],
    [{ limits: { memoryMB: 5 } }, "limits.memoryMB is not a known option; did you mean 'memoryLimitMB'?"],
    [{ limits: { maxProcesses: 5 } }, "limits.maxProcesses is not a known option; did you mean 'maxTreeProcesses'?"],
    [
      { limits: { cpuWindow: 5_000 } },
      'limits.cpuWindow must not be set without cpuLimitPercent: it has no effect alone',
    ],
    [{ limits: null }, 'limits must be an object, got null'],
  ])('[HINT-1] options of monitor.add(): %j', (more, problem) => {
    const tree = { id: 'a', name: 'a', pid: 1, ...more } as AddedTree;
    expect(errorOf(() => resolveAddedTree(tree)).data.problems).toEqual([problem]);
  });

  it('[HINT-1] arguments of plan()', () => {
    const planned = (mode: unknown, options: unknown) =>
      errorOf(() => resolvePlanOptions(mode as PlanMode, options as PlanOptions)).data.problems;
    expect(planned('level', 'critical')).toEqual(['the options must be an object, got a string']);
    expect(planned('shutdown', { level: 'critical' })).toEqual([
      "level must not be set for another mode than 'level', where it has no effect",
    ]);
    expect(planned('levels', { level: 'high' })).toEqual([
      expect.stringMatching(/^level must be one of/),
      expect.stringMatching(/^mode must be one of .*got 'levels'$/),
    ]);
    expect(resolvePlanOptions('level', {})).toEqual({ mode: 'level', level: 'critical' });
  });

  it('[HINT-1] options of a call', () => {
    const error = errorOf(() => resolveAcquireOptions({ timout: 3 } as object));
    expect(error.data.problems).toEqual(["timout is not a known option; did you mean 'timeout'?"]);
  });
});

describe('a command that is not found gets the hint that helps, and shows no argument', () => {
  it.each([
    [
      'npx -y foo --token swordfish',
      /'npx …' is in none .*put the program alone into command \('npx'\), and the rest into args/,
    ],
    ['/usr/bin/node server.js swordfish', /put the program alone into command/],
    ['npx\tfoo', /put the program alone/],
    ['"npx"', /leave the quotes out/],
    ['TOKEN=swordfish npx foo', /put variables into env/],
    ['cd /x && npx swordfish', /not read by a shell/],
    [' npx', /begins or ends with a blank/],
    ['~/bin/server', /'~' is not replaced/],
    ['$HOME/bin/server', /variables are not replaced/],
    [`${variable('HOME')}/bin/server`, /variables are not replaced/],
    ['%APPDATA%/server', /variables are not replaced/],
    ['file:///bin/server', /it is a URL/],
    ['no-such-command', /install it/],
  ])('[HINT-2] %s', (command, hint) => {
    const message = started(command);
    expect(message).toMatch(hint);
    expect(message).not.toContain('swordfish');
  });

  it.each([
    ['~/x', /'~' is not replaced/],
    ['~', /'~' is not replaced/],
    ['$HOME/x', /variables are not replaced/],
    [variable('workspaceFolder'), /variables are not replaced/],
    ['file:///x', /it is a URL/],
    ['/no/such/folder', /create it, or correct cwd/],
  ])('[HINT-2] cwd %s', (cwd, hint) => {
    expect(started('sh', cwd)).toMatch(hint);
  });
});
