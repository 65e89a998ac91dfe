import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  resolveAcquireOptions,
  resolveCleanupOptions,
  resolveShutdownOptions,
  resolveWarmOptions,
} from '../../src/config/call-options.js';
import type { PoolOptions, ServerDefinition, SingleServerOptions } from '../../src/config/options.js';
import { processKey } from '../../src/config/process-key.js';
import { resolveDefinition, resolvePoolOptions } from '../../src/config/resolve-options.js';
import { PoolError } from '../../src/errors.js';
import { define } from '../helpers/definition.js';

/** What a host without types may pass. */
const resolve = (given: unknown) => resolvePoolOptions(given as PoolOptions);
const server = (given: unknown) => resolve({ servers: { files: given } });

function refusal(run: () => unknown): PoolError {
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(PoolError);
    return error as PoolError;
  }
  throw new Error('expected a PoolError, but nothing was thrown');
}

const problemsOf = (given: unknown) => refusal(() => resolve(given)).data.problems;

describe('wrong options', () => {
  it('[OPT-1] [OPT-3] are one error that lists all of them', () => {
    const error = refusal(() =>
      resolve({
        servers: {
          files: { command: '', args: 'x', maxInstances: 16, idleTimeot: 5 },
          memory: { command: 'node', eofGrace: -1, maxUses: 1.5, sharing: 'both', env: { A: 1 }, cwd: 7 },
        },
        limits: { maxProcesses: 15, maxProces: 1 },
        cleanup: { concurrency: 0 },
        acquireTimeout: '30s',
        maxWaitng: 3,
      }),
    );
    expect(error.code).toBe('INVALID_OPTIONS');
    const expected = [
      /^maxWaitng is not a known option; did you mean 'maxWaiting'\?$/,
      /^acquireTimeout must be a finite number of milliseconds above 0, got a string; write \S+$/,
      /^limits\.maxProces is not a known option; did you mean 'maxProcesses'\?$/,
      /^cleanup\.concurrency must be a whole number, 1 or more, got 0$/,
      /^servers\.files\.idleTimeot is not a known option; did you mean 'idleTimeout'\?$/,
      /^servers\.files\.command must be a string that is not empty$/,
      /^servers\.files\.args must be an array of strings without NUL characters, got a string;/,
      /^servers\.files\.maxInstances must not be above 15/,
      /^servers\.memory\.sharing must be one of .*, got 'both'$/,
      /^servers\.memory\.eofGrace must be a number of milliseconds, 0 or more, got -1$/,
      /^servers\.memory\.maxUses must be a whole number, 1 or more, or Infinity, got 1\.5$/,
      /^servers\.memory\.env must be an object of strings; the entry 'A' /,
      /^servers\.memory\.cwd must be a string, got 7$/,
    ];
    for (const pattern of expected) {
      expect(
        error.data.problems?.filter((problem) => pattern.test(problem)),
        String(pattern),
      ).toHaveLength(1);
    }
    expect(error.data.problems).toHaveLength(expected.length);
    for (const problem of error.data.problems ?? []) expect(error.message).toContain(problem);
    expect(error.message).toMatch(/^13 problems in the options of MCPServerPool:/);
  });

  it('[OPT-1] has one problem for one mistake, without follow-up problems', () => {
    expect(problemsOf({ servers: { files: { command: 'node' } }, limits: { maxProcesses: -5 } })).toEqual([
      "limits.maxProcesses must be a whole number, 1 or more, Infinity or 'auto', got -5",
    ]);
    expect(problemsOf({ servers: { files: { command: 'node' } }, defaults: { idleTimeout: -1 } })).toEqual([
      'defaults.idleTimeout must be a number of milliseconds, 0 or more, got -1',
    ]);
    expect(problemsOf({ servers: { files: { command: 'node', maxInstances: -1 } } })).toEqual([
      'servers.files.maxInstances must be a whole number, 1 or more, or Infinity, got -1',
    ]);
  });

  it('[OPT-1] are found whatever they are', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (options, definition) => {
        for (const given of [options, { servers: { a: definition } }, { servers: options, limits: definition }]) {
          try {
            resolve(given);
          } catch (error) {
            expect(error).toBeInstanceOf(PoolError);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['an array', []],
    ['a string', 'node server.js'],
    ['a Map: its entries would be overlooked', new Map([['command', 'node']])],
  ])('[OPT-3] are refused where an object is due: %s', (_what, value) => {
    expect(refusal(() => resolve(value)).code).toBe('INVALID_OPTIONS');
    expect(refusal(() => resolve({ servers: { files: value } })).code).toBe('INVALID_OPTIONS');
    if (value !== undefined) expect(refusal(() => resolve({ servers: value })).code).toBe('INVALID_OPTIONS');
    if (value !== undefined) expect(refusal(() => resolve({ limits: value })).code).toBe('INVALID_OPTIONS');
  });

  it.each([
    [{ command: 'node', maxInstances: 0 }, 'maxInstances'],
    [{ command: 'node', maxInstances: 2.5 }, 'maxInstances'],
    [{ command: 'node', maxInstances: Number.NaN }, 'maxInstances'],
    [{ command: 'node', idleTimeout: -1 }, 'idleTimeout'],
    [{ command: 'node', idleTimeout: Number.NaN }, 'idleTimeout'],
    [{ command: 'node', idleTimeout: '5m' }, 'idleTimeout'],
    [{ command: 'node', startTimeout: 0 }, 'startTimeout'],
    [{ command: 'node', startTimeout: Infinity }, 'startTimeout'],
    [{ command: 'node', minIdle: 4 }, 'minIdle'],
    [{ command: 'node', maxMessageMB: 0 }, 'maxMessageMB'],
    [{ command: '   ' }, 'command'],
    [{ command: 'no\0de' }, 'command'],
    [{}, 'command'],
    [{ command: 'node', args: ['a', 1] }, 'args'],
    [{ command: 'node', args: ['a\0b'] }, 'args'],
    [{ command: 'node', env: { 'A=B': 'x' } }, 'env'],
    [{ command: 'node', env: { A: 'x\0y' } }, 'env'],
    [{ command: 'node', cwd: '' }, 'cwd'],
    [{ command: 'node', type: 'http' }, 'type'],
    [{ command: 'node', reuse: true }, 'reuse'],
    [{ command: 'node', clientCapabilities: [] }, 'clientCapabilities'],
  ])('[OPT-3] are refused by name: %j', (definition, option) => {
    const error = refusal(() => server(definition));
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.data.problems).toEqual([expect.stringMatching(new RegExp(`^servers\\.files\\.${option} `))]);
  });

  it('[OPT-3] are refused when a cap contradicts another', () => {
    const one = { command: 'node', maxInstances: 3 };
    expect(problemsOf({ servers: { one }, limits: { maxProcesses: 2 } })).toEqual([
      expect.stringMatching(
        /^servers\.one\.maxInstances must not be above 2, which limits\.maxProcesses allows, got 3;/,
      ),
    ]);
    expect(problemsOf({ servers: { one }, limits: { maxProcessesPerServer: 2 } })).toEqual([
      expect.stringMatching(/limits\.maxProcessesPerServer allows, got 3;/),
    ]);
    expect(problemsOf({ limits: { maxProcesses: 2, maxProcessesPerServer: 3 } })).toHaveLength(1);
    const minimum = { command: 'node', maxInstances: 2, minIdle: 2 };
    expect(problemsOf({ servers: { a: minimum, b: minimum }, limits: { maxProcesses: 3 } })).toEqual([
      expect.stringMatching(/minIdle of all servers \(4\)/),
    ]);
  });

  it.each([
    ['idleTimeOut', 'idleTimeout'],
    ['max_instances', 'maxInstances'],
    ['comand', 'command'],
    ['inheritENV', 'inheritEnv'],
  ])('[OPT-2] name the nearest option: %s → %s', (wrong, right) => {
    expect(problemsOf({ servers: { files: { command: 'node', [wrong]: 1 } } })).toContain(
      `servers.files.${wrong} is not a known option; did you mean '${right}'?`,
    );
  });

  it.each([
    [{ sharing: 'shared', reuse: 'never' }, 'reuse'],
    [{ sharing: 'dedicated', onCrash: 'restart' }, 'onCrash'],
    [{ sharing: 'exclusive', sharedMemoryCache: true }, 'sharedMemoryCache'],
    [{ sharedMemoryCache: 'yes' }, 'sharedMemoryCache'],
    [{ restart: { minDelay: 10, maxDelay: 5 } }, 'restart.minDelay'],
    [{ restart: { maxRestarts: -1 } }, 'restart.maxRestarts'],
    [{ restart: { maxDelay: Infinity } }, 'restart.maxDelay'],
    [{ restart: { cooldwn: 1 } }, 'restart.cooldwn'],
    [{ restart: 5 }, 'restart'],
    [{ maxInFlight: 0 }, 'maxInFlight'],
    [{ clientCapabilities: { roots: () => {} } }, 'clientCapabilities'],
    [{ maxSessions: 1.5 }, 'maxSessions'],
  ])('[OPT-3] are refused where they cannot stand together, or are no numbers: %j', (policy, name) => {
    expect(problemsOf({ servers: { files: { command: 'node', ...policy } } })).toEqual([
      expect.stringContaining(`servers.files.${name}`),
    ]);
  });

  it('[OPT-2] suggest nothing for a key that is like none', () => {
    expect(problemsOf({ servers: { files: { command: 'node', quux: 1 } } })).toEqual([
      'servers.files.quux is not a known option',
    ]);
  });

  it('[OPT-2] suggest options of the definition in the shorthand', () => {
    expect(problemsOf({ command: 'node', arg: [] })).toEqual(["arg is not a known option; did you mean 'args'?"]);
  });

  it('[OPT-4] are refused when they would be overlooked: servers beside a command', () => {
    expect(refusal(() => resolve({ command: 'node', servers: { files: { command: 'node' } } })).code).toBe(
      'INVALID_OPTIONS',
    );
  });

  it('[SECRET-1] show no value of env', () => {
    const envs: unknown[] = [
      { PIN: 90210777 },
      { PIN: true, TOKEN: { deep: 'swordfish-1' } },
      { TOKEN: 'swordfish-2\0' },
      { 'A=swordfish-3': 'swordfish-3' },
      ['swordfish-4'],
      'swordfish-5',
    ];
    for (const env of envs) {
      const error = refusal(() => server({ command: 'node', env, args: 3 }));
      expect(`${inspect(error, { depth: 10 })}`).not.toMatch(/swordfish|90210777|is true/);
    }
  });
});

describe('options of later versions', () => {
  it.each([[{ era: 'modern' }], [{ era: 'auto' }]])('[OPT-4] are NOT_SUPPORTED in a definition: %j', (option) => {
    const error = refusal(() => server({ command: 'node', ...option }));
    expect(error.code).toBe('NOT_SUPPORTED');
    expect(error.data.problems).toEqual([expect.stringContaining('servers.files.era')]);
  });

  it('[OPT-4] are NOT_SUPPORTED in the options of a pool', () => {
    const options = { defaults: { era: 'modern' }, servers: { files: { command: 'node' } } };
    expect(refusal(() => resolve(options)).code).toBe('NOT_SUPPORTED');
  });

  it('[OPT-4] do not hide that others are wrong', () => {
    const error = refusal(() => server({ command: '', era: 'modern' }));
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.data.problems).toHaveLength(2);
  });

  it('[OPT-4] may be undefined, as every option may', () => {
    const options: PoolOptions = {
      servers: {
        files: { command: 'node', memoryLimitMB: undefined, idleTimeout: undefined, maxInstances: undefined },
      },
      limits: undefined,
      containment: undefined,
    };
    expect(resolvePoolOptions(options).servers.get('files')).toMatchObject({ idleTimeout: 300_000, maxInstances: 3 });
  });
});

describe('no cap', () => {
  it('[GLOBAL-3] is Infinity, for the pool and for a server', () => {
    const pool = resolvePoolOptions({ command: 'node', maxInstances: Infinity, limits: { maxProcesses: Infinity } });
    expect(pool.limits.maxProcesses).toBe(Infinity);
    expect(pool.servers.get('default')?.maxInstances).toBe(Infinity);
    expect(
      resolvePoolOptions({ command: 'node', limits: { maxProcesses: Infinity } }).servers.get('default'),
    ).toMatchObject({ maxInstances: 3 });
    expect(resolvePoolOptions({ command: 'node', maxInstances: Infinity }).limits.maxProcesses).toBe(15);
  });
});

describe('defaults', () => {
  it('[OPT-5] are the documented ones', () => {
    const pool = resolvePoolOptions({ servers: { files: { command: 'node' } } });
    expect(pool).toMatchObject({
      limits: { maxProcesses: 15, maxProcessesPerServer: Infinity },
      cleanup: { concurrency: 5, timeout: 10_000, retries: 3 },
      maxWaiting: 1_000,
      acquireTimeout: 30_000,
      leakDetection: 0,
      maxBufferedMB: 256,
    });
    expect(pool.servers.get('files')).toMatchObject({
      name: 'files',
      sharing: 'exclusive',
      reuse: 'owner',
      era: 'legacy',
      clientCapabilities: {},
      maxInstances: 3,
      minIdle: 0,
      idleTimeout: 300_000,
      leaseIdleTimeout: 1_800_000,
      maxUses: Infinity,
      maxLifetime: Infinity,
      startTimeout: 60_000,
      eofGrace: 2_000,
      termGrace: 5_000,
      maxMessageMB: 64,
      maxSessions: 1_000,
      maxInFlight: Infinity,
      onCrash: 'close',
      retryTools: 'never',
      restart: {
        maxRestarts: 5,
        window: 60_000,
        minDelay: 100,
        maxDelay: 30_000,
        stableAfter: 10_000,
        cooldown: 30_000,
      },
      inheritEnv: [],
      args: [],
      cwd: undefined,
    });
    expect(resolveShutdownOptions({})).toMatchObject({ mode: 'graceful', timeout: undefined });
    expect(resolve({}).shutdownTimeout).toBe(30_000);
    expect(resolveWarmOptions({})).toMatchObject({ count: 1, tenant: undefined });
    expect(resolveCleanupOptions({ retries: 1 })).toEqual({ concurrency: 5, timeout: 10_000, retries: 1 });
  });

  it('[OPT-5] [TENANT-4] of reuse follow sharing: owners use a shared server together', () => {
    const of = (policy: Partial<ServerDefinition>) => define({ command: 'node', ...policy }).reuse;
    expect(of({ sharing: 'shared' })).toBe('tenant');
    expect(of({ sharedMemoryCache: true })).toBe('tenant');
    expect(of({ sharing: 'shared', reuse: 'owner' })).toBe('owner');
    expect(of({ sharing: 'exclusive' })).toBe('owner');
    expect(of({ sharing: 'dedicated' })).toBe('owner');
  });

  it('[OPT-5] of onCrash follow sharing: leases of shared servers stay', () => {
    const of = (policy: Partial<ServerDefinition>) => define({ command: 'node', ...policy }).onCrash;
    expect(of({ sharing: 'shared' })).toBe('restart');
    expect(of({ sharing: 'shared', onCrash: 'close' })).toBe('close');
    expect(of({ sharing: 'exclusive' })).toBe('close');
    expect(of({ sharing: 'exclusive', onCrash: 'restart' })).toBe('restart');
    expect(of({ sharing: 'dedicated' })).toBe('close');
  });

  it('[OPT-5] of the host for restart are merged with those of the server', () => {
    const { servers } = resolvePoolOptions({
      servers: { a: { command: 'node', restart: { window: 7, cooldown: undefined } } },
      defaults: { restart: { window: 5, cooldown: 6 } },
    });
    expect(servers.get('a')?.restart).toMatchObject({ window: 7, cooldown: 6, maxRestarts: 5 });
  });

  it('[OPT-5] of sharedMemoryCache: true is an alias of shared', () => {
    expect(define({ command: 'node', sharedMemoryCache: true }).sharing).toBe('shared');
    expect(define({ command: 'node', sharing: 'shared', sharedMemoryCache: true }).sharing).toBe('shared');
  });

  it('[OPT-5] contradict no cap that the host set', () => {
    const of = (limits: object) =>
      resolve({ servers: { a: { command: 'node' } }, limits }).servers.get('a')?.maxInstances;
    expect(of({ maxProcesses: 2 })).toBe(2);
    expect(of({ maxProcessesPerServer: 1 })).toBe(1);
    expect(of({ maxProcesses: 100 })).toBe(3);
  });

  it('[OPT-5] of the host apply to every server that sets nothing else', () => {
    const { servers } = resolvePoolOptions({
      servers: { a: { command: 'node' }, b: { command: 'node', idleTimeout: 7, eofGrace: undefined } },
      defaults: { idleTimeout: 5, eofGrace: 6, sharing: 'dedicated' },
    });
    expect(servers.get('a')).toMatchObject({ idleTimeout: 5, eofGrace: 6, sharing: 'dedicated' });
    expect(servers.get('b')).toMatchObject({ idleTimeout: 7, eofGrace: 6 });
  });

  it('[OPT-5] of the shorthand are the same, under the name of `default`', () => {
    const options: SingleServerOptions = {
      command: 'node',
      args: ['a.js'],
      maxInstances: 3,
      limits: { maxProcesses: 4 },
    };
    const { servers, limits } = resolvePoolOptions(options);
    expect([...servers.keys()]).toEqual(['default']);
    expect(servers.get('default')).toMatchObject({
      command: 'node',
      args: ['a.js'],
      maxInstances: 3,
      idleTimeout: 300_000,
    });
    expect(limits.maxProcesses).toBe(4);
  });
});

describe('the key of a definition', () => {
  it('[TENANT-3] is the same only for definitions of which a process could see no difference', () => {
    const text = fc.constantFrom('x', 'y', 'x y', '["x"]');
    const definition = fc.record({
      command: fc.constantFrom('node', 'deno'),
      args: fc.array(text, { maxLength: 2 }),
      cwd: fc.option(fc.constantFrom('/', '/tmp'), { nil: undefined }),
      env: fc.dictionary(fc.constantFrom('A', 'B'), text),
      clientCapabilities: fc.constantFrom({}, { roots: {} }, { sampling: {} }),
      sharing: fc.constantFrom<'shared' | 'exclusive'>('shared', 'exclusive'),
    });
    // What the process gets, whatever the order in which it was written.
    const seen = ({ env, ...rest }: { env: Record<string, string> }) =>
      JSON.stringify([rest, Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))]);
    fc.assert(
      fc.property(definition, definition, (one, two) => {
        expect(processKey(define(one)) === processKey(define(two))).toBe(seen(one) === seen(two));
        expect(processKey(define(one, 'a'))).not.toBe(processKey(define(one, 'b')));
      }),
      { numRuns: 2_000 },
    );
  });

  const base = { command: 'node', args: ['a'], env: { A: '1', B: '2' } };

  it('[TENANT-3] is another for everything that the process can see', () => {
    const key = processKey(define(base));
    const others = [
      define(base, 'other'),
      define({ ...base, command: 'deno' }),
      define({ ...base, args: ['a', 'b'] }),
      define({ ...base, args: [] }),
      define({ ...base, env: { A: '1', B: '3' } }),
      define({ ...base, env: { A: '1' } }),
      define({ ...base, cwd: '/' }),
      define({ ...base, clientCapabilities: { roots: {} } }),
      define({ ...base, inheritEnv: ['MCP_POOL_TEST'] }),
      define({ ...base, sharing: 'dedicated' }),
    ].map((definition) => processKey(definition));
    expect(new Set([key, ...others]).size).toBe(others.length + 1);
  });

  it('[TENANT-3] is the same whatever the order of env, and whatever the policy', () => {
    const key = processKey(define(base));
    expect(processKey(define({ ...base, env: { B: '2', A: '1' } }))).toBe(key);
    expect(processKey(define({ ...base, idleTimeout: 1, maxInstances: 2 }))).toBe(key);
  });
});

describe('options of calls', () => {
  it('[OPT-1] are checked in the same manner', () => {
    expect(refusal(() => resolveAcquireOptions({ timeout: 0 })).code).toBe('INVALID_OPTIONS');
    expect(refusal(() => resolveAcquireOptions({ tenant: '' })).code).toBe('INVALID_OPTIONS');
    expect(refusal(() => resolveAcquireOptions({ tenat: 'a' } as object)).data.problems).toEqual([
      "tenat is not a known option; did you mean 'tenant'?",
    ]);
    const notASignal = { signal: {} } as unknown as { signal: AbortSignal };
    expect(refusal(() => resolveAcquireOptions(notASignal)).code).toBe('INVALID_OPTIONS');
    expect(refusal(() => resolveWarmOptions({ count: 0 })).code).toBe('INVALID_OPTIONS');
    expect(refusal(() => define({ command: 'node', maxInstances: 16 })).data.problems).toEqual([
      'test.maxInstances must not be above 15, which limits.maxProcesses allows, got 16; Infinity means no cap of its own',
    ]);
    const { signal } = new AbortController();
    expect(resolveAcquireOptions({ signal, tenant: 'a' })).toEqual({
      signal,
      tenant: 'a',
      owner: undefined,
      timeout: undefined,
      reuseLease: false,
    });
  });

  it('[OPT-3] refuse a server without a name', () => {
    expect(refusal(() => resolve({ servers: { ' ': { command: 'node' } } })).data.problems).toEqual([
      'the name of a server must be a string that is not empty, without NUL characters',
    ]);
    const pool = resolvePoolOptions({});
    expect(refusal(() => resolveDefinition('', { command: 'node' }, pool)).code).toBe('INVALID_OPTIONS');
  });
});
