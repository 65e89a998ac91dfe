import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VARIABLES } from '../../src/config/environment-options.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import { PoolError } from '../../src/errors.js';
import { optionsFromEnvironment } from '../../src/index.js';

/** A value for each variable, and what it means. */
const ALL = {
  LIFECYCLE_ENABLED: 'true',
  MAX_PROCESSES: '15',
  MEMORY_LIMIT_MB: '4096',
  HEALTH_CHECK_INTERVAL: '20000',
  RESOURCE_MONITORING: 'true',
  ALERT_ENABLED: 'false',
  CLEANUP_TIMEOUT: '5000',
  CLEANUP_RETRIES: '2',
  GRACEFUL_SHUTDOWN_TIMEOUT: '10000',
};

const withPrefix = (prefix: string, variables: Readonly<Record<string, string>> = ALL) =>
  Object.fromEntries(Object.entries(variables).map(([name, value]) => [prefix + name, value]));

function problemsOf(env: unknown): readonly string[] {
  try {
    optionsFromEnvironment(env as NodeJS.ProcessEnv);
  } catch (error) {
    expect(error).toBeInstanceOf(PoolError);
    expect((error as PoolError).code).toBe('INVALID_OPTIONS');
    return (error as PoolError).data.problems ?? [];
  }
  throw new Error('it was accepted');
}

describe('optionsFromEnvironment()', () => {
  it.each(['METAMCP_', 'MCP_POOL_'])('[ENVIRONMENT-1] reads each variable with the prefix %s', (prefix) => {
    const { enabled, options } = optionsFromEnvironment(withPrefix(prefix));
    expect(enabled).toBe(true);
    expect(options).toEqual({
      limits: { maxProcesses: 15, memoryLimitMB: 4_096 },
      defaults: { health: { interval: 20_000 } },
      monitoring: { enabled: true },
      alerts: { enabled: false },
      cleanup: { timeout: 5_000, retries: 2 },
      shutdownTimeout: 10_000,
    });
    const resolved = resolvePoolOptions({ ...options, servers: { files: { command: 'node' } } });
    expect(resolved.servers.get('files')?.health.interval).toBe(20_000);
    expect(resolved.shutdownTimeout).toBe(10_000);
  });

  it('[ENVIRONMENT-1] sets nothing that no variable sets, and an empty one sets nothing', () => {
    const nothing = { enabled: true, options: {} };
    expect(optionsFromEnvironment({})).toEqual(nothing);
    expect(optionsFromEnvironment({ PATH: '/bin', MAX_PROCESSES: '3', METAMCP_PORT: 'x' })).toEqual(nothing);
    expect(optionsFromEnvironment(withPrefix('METAMCP_', { MAX_PROCESSES: '', CLEANUP_RETRIES: ' ' }))).toEqual(
      nothing,
    );
    expect(optionsFromEnvironment({ MCP_POOL_MAX_PROCESSES: '', METAMCP_MAX_PROCESSES: '7' }).options).toEqual({
      limits: { maxProcesses: 7 },
    });
  });

  it('[ENVIRONMENT-1] reads process.env when it gets nothing', () => {
    process.env.MCP_POOL_MAX_PROCESSES = '4';
    try {
      expect(optionsFromEnvironment().options).toEqual({ limits: { maxProcesses: 4 } });
    } finally {
      delete process.env.MCP_POOL_MAX_PROCESSES;
    }
  });

  it.each([
    ['TRUE', true],
    ['1', true],
    ['yes', true],
    ['On', true],
    [' false ', false],
    ['0', false],
    ['no', false],
    ['off', false],
  ])('[ENVIRONMENT-1] reads %j as %s', (text, value) => {
    expect(optionsFromEnvironment({ METAMCP_LIFECYCLE_ENABLED: text }).enabled).toBe(value);
  });

  it.each([
    ['auto', 'auto'],
    ['AUTO', 'auto'],
    ['Infinity', Infinity],
    [' 12 ', 12],
  ])('[ENVIRONMENT-1] reads %j as a number of processes: %s', (text, value) => {
    expect(optionsFromEnvironment({ METAMCP_MAX_PROCESSES: text }).options.limits?.maxProcesses).toBe(value);
  });

  it('[ENVIRONMENT-2] with both prefixes MCP_POOL_ wins, in whatever order they stand', () => {
    const own = { MCP_POOL_MAX_PROCESSES: '8', MCP_POOL_LIFECYCLE_ENABLED: 'no' };
    const ofHost = withPrefix('METAMCP_');
    for (const env of [
      { ...own, ...ofHost },
      { ...ofHost, ...own },
    ]) {
      const { enabled, options } = optionsFromEnvironment(env);
      expect(enabled).toBe(false);
      expect(options.limits).toEqual({ maxProcesses: 8, memoryLimitMB: 4_096 });
    }
  });

  it('[ENVIRONMENT-3] wrong values are one error that lists all of them, also those that lose', () => {
    const problems = problemsOf({
      METAMCP_LIFECYCLE_ENABLED: 'maybe',
      METAMCP_MAX_PROCESSES: '0',
      MCP_POOL_MAX_PROCESSES: '10',
      METAMCP_MEMORY_LIMIT_MB: '4GB',
      METAMCP_HEALTH_CHECK_INTERVAL: '30',
      METAMCP_CLEANUP_TIMEOUT: '10s',
      METAMCP_CLEANUP_RETRIES: '1.5',
      METAMCP_GRACEFUL_SHUTDOWN_TIMEOUT: 'Infinity',
      MCP_POOL_ALERT_ENABLD: 'true',
    });
    expect(problems).toEqual([
      "MCP_POOL_ALERT_ENABLD is not a known variable; did you mean 'MCP_POOL_ALERT_ENABLED'?",
      'METAMCP_LIFECYCLE_ENABLED must be true or false, got other text',
      "METAMCP_MAX_PROCESSES must be a whole number, 1 or more, Infinity or 'auto', got 0",
      'METAMCP_MEMORY_LIMIT_MB must be a number of megabytes above 0, at most 10,000,000, or Infinity, got other text; write 4096',
      'METAMCP_HEALTH_CHECK_INTERVAL must be a finite number of milliseconds, 100 or more, got 30; if these are seconds, write 30000',
      'METAMCP_CLEANUP_TIMEOUT must be a finite number of milliseconds above 0, got other text; write 10000',
      'METAMCP_CLEANUP_RETRIES must be a whole number, 0 or more, got 1.5',
      'METAMCP_GRACEFUL_SHUTDOWN_TIMEOUT must be a finite number of milliseconds above 0, got Infinity',
    ]);
  });

  it('[ENVIRONMENT-3] what is written instead is accepted', () => {
    for (const problem of problemsOf({ METAMCP_CLEANUP_TIMEOUT: '1.5h', METAMCP_MEMORY_LIMIT_MB: '2 GiB' })) {
      const [, variable = '', value = ''] = /^(\w+) .*write (\S+)$/.exec(problem) ?? [];
      expect(optionsFromEnvironment({ [variable]: value }).options).not.toEqual({});
    }
  });

  it('[ENVIRONMENT-3] a limit that nothing would measure is refused by the names of its variables', () => {
    const env = { METAMCP_MEMORY_LIMIT_MB: '512', MCP_POOL_RESOURCE_MONITORING: 'off' };
    expect(problemsOf(env)).toEqual([
      'METAMCP_MEMORY_LIMIT_MB must not be set where MCP_POOL_RESOURCE_MONITORING is false: nothing would be measured',
    ]);
  });

  it('[ENVIRONMENT-3] what is no environment is refused', () => {
    for (const env of [null, 'METAMCP_MAX_PROCESSES=3', ['METAMCP_MAX_PROCESSES=3']])
      expect(problemsOf(env)).toEqual([expect.stringMatching(/^env must be an object of strings/)]);
    const getter = Object.defineProperty({}, 'MCP_POOL_MAX_PROCESSES', {
      enumerable: true,
      get: () => {
        throw new Error('secret');
      },
    });
    expect(problemsOf(getter)).toEqual([expect.stringMatching(/^the environment variables cannot be read/)]);
  });

  it('[ENVIRONMENT-4] no value that is not a number is in an error', () => {
    const text = fc.stringMatching(/^[A-Za-z]{12,30}$/);
    fc.assert(
      fc.property(fc.constantFrom(...Object.keys(ALL)), text, (name, secret) => {
        for (const problem of problemsOf({ [`MCP_POOL_${name}`]: secret })) expect(problem).not.toContain(secret);
      }),
    );
  });

  it('[ENVIRONMENT-4] whatever stands in the variables, the pool accepts the result, or all is refused', () => {
    const value = fc.oneof(
      fc.string(),
      fc.double().map(String),
      fc.integer().map(String),
      fc.constantFrom('true', 'no', 'auto', '30s'),
    );
    const names = ['METAMCP_', 'MCP_POOL_'].flatMap((prefix) => Object.keys(ALL).map((name) => prefix + name));
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (env) => {
        let read: ReturnType<typeof optionsFromEnvironment>;
        try {
          read = optionsFromEnvironment(env);
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_OPTIONS' });
          return;
        }
        resolvePoolOptions({ ...read.options, servers: { files: { command: 'node' } } });
      }),
    );
  });

  it('[ENVIRONMENT-5] docs/operations.md has each variable with its option', () => {
    const page = readFileSync(new URL('../../docs/operations.md', import.meta.url), 'utf8');
    const rows = [...page.matchAll(/^\| `…([A-Z_]+)` +\| `([\w.]+)` +\|/gm)];
    const documented = Object.fromEntries(rows.map(([, name = '', option = '']) => [name, option]));
    const actual = Object.entries(VARIABLES).map(([name, { path }]) => [
      name,
      path[0] === 'options' ? path.slice(1).join('.') : path.join('.'),
    ]);
    expect(documented).toEqual(Object.fromEntries(actual));
  });
});
