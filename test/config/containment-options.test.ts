import { describe, expect, it } from 'vitest';
import type { PoolOptions, ServerDefinition } from '../../src/config/options.js';
import { processKey } from '../../src/config/process-key.js';
import { resolvePoolOptions } from '../../src/config/resolve-options.js';
import type { PoolError } from '../../src/errors.js';
import { define } from '../helpers/definition.js';

function problemsOf(given: ServerDefinition): readonly string[] {
  try {
    define(given);
    return [];
  } catch (error) {
    expect((error as PoolError).code).toBe('INVALID_OPTIONS');
    return (error as PoolError).data.problems ?? [];
  }
}

function resolved(options: PoolOptions, server: Partial<ServerDefinition> = {}) {
  const { servers } = resolvePoolOptions({ servers: { files: { command: 'node', ...server } }, ...options });
  return servers.get('files')!;
}

describe('containment', () => {
  it('[CONTAIN-1] is all that can be had, with both markers and no limits', () => {
    expect(define({ command: 'node' })).toMatchObject({
      containment: 'auto',
      markers: { environment: true, rlimit: true },
      rlimits: {},
      noNewPrivileges: false,
      cgroupLimits: {},
    });
  });

  it('[CONTAIN-1] is that of the definition, else of defaults, else of the pool', () => {
    const pool = { containment: 'group' } as const;
    const both = { ...pool, defaults: { containment: 'markers' } } as const;
    expect(resolved(pool).containment).toBe('group');
    expect(resolved(pool, { containment: 'auto' }).containment).toBe('auto');
    expect(resolved(both).containment).toBe('markers');
    expect(resolved(both, { containment: 'cgroup' }).containment).toBe('cgroup');
    const single = resolvePoolOptions({ command: 'node', containment: 'group' });
    expect(single.servers.get('default')?.containment).toBe('group');
    expect(resolved({ containment: 'group', defaults: { containment: undefined } }).containment).toBe('group');
  });

  it('[CONTAIN-1] has fields that fall back to those of defaults one by one', () => {
    const defaults = {
      markers: { rlimit: false },
      rlimits: { openFiles: 100, core: false },
      cgroupLimits: { memoryMB: 64 },
    };
    expect(
      resolved({ defaults }, { markers: { environment: false }, rlimits: { core: true }, cgroupLimits: { swapMB: 0 } }),
    ).toMatchObject({
      markers: { environment: false, rlimit: false },
      rlimits: { openFiles: 100, core: true },
      cgroupLimits: { memoryMB: 64, swapMB: 0 },
    });
  });

  it.each<[ServerDefinition, RegExp]>([
    [{ command: 'x', containment: 'all' as 'auto' }, /containment must be one of 'auto', 'group', 'markers', 'cgroup'/],
    [{ command: 'x', markers: { rlimits: true } as object }, /markers\.rlimits .*did you mean 'rlimit'/],
    [{ command: 'x', markers: { rlimit: 1 } as object }, /markers\.rlimit must be true or false/],
    [{ command: 'x', rlimits: { openFiles: 3 } }, /rlimits\.openFiles must be a whole number, 16 or more/],
    [{ command: 'x', rlimits: { processes: Infinity } }, /rlimits\.processes must be a whole number, 1 or more/],
    [
      { command: 'x', rlimits: { addressSpaceMB: 0 } },
      /rlimits\.addressSpaceMB must be a finite number of megabytes above 0/,
    ],
    [{ command: 'x', rlimits: { core: 0 } as object }, /rlimits\.core must be true or false/],
    [{ command: 'x', rlimits: [] as object }, /rlimits must be an object/],
    [
      { command: 'x', cgroupLimits: { swapMB: -1 } },
      /cgroupLimits\.swapMB must be a finite number of megabytes, 0 or more/,
    ],
    [
      { command: 'x', cgroupLimits: { cpuPercent: 0.5 } },
      /cgroupLimits\.cpuPercent must be a finite number of percent, 1 or/,
    ],
    [
      { command: 'x', containment: 'group', cgroupLimits: { memoryMB: 5 } },
      /cgroupLimits\.memoryMB must not be set where containment is 'group'.* use 'auto' or 'cgroup', or .* rlimits/,
    ],
    [{ command: 'x', containment: 'markers', cgroupLimits: { swapMB: 0 } }, /cgroupLimits\.swapMB must not be set/],
    [
      { command: 'x', containment: 'markers', markers: { environment: false, rlimit: false } },
      /markers must leave environment or rlimit on .* use 'auto'/,
    ],
  ])('[CONTAIN-1] refuses %j', (given, problem) => {
    expect(problemsOf(given)).toEqual([expect.stringMatching(problem)]);
  });

  it.each<PoolOptions>([{ cgroupParent: 'relative' }, { cgroupParent: '' }, { containment: 'x' as 'auto' }])(
    '[CONTAIN-1] refuses %j of a pool',
    (options) => {
      expect(() => resolvePoolOptions(options)).toThrowError(expect.objectContaining({ code: 'INVALID_OPTIONS' }));
    },
  );

  it('[CONTAIN-1] [TENANT-3] makes another server of it: each difference that a process can see', () => {
    const variants: Partial<ServerDefinition>[] = [
      {},
      { containment: 'group' },
      { markers: { environment: false } },
      { markers: { rlimit: false } },
      { rlimits: { openFiles: 100 } },
      { rlimits: { processes: 100 } },
      { noNewPrivileges: true },
      { cgroupLimits: { memoryMB: 100 } },
      { cgroupLimits: { processes: 100 } },
    ];
    const keys = variants.map((variant) => processKey(define({ command: 'node', ...variant })));
    expect(new Set(keys).size).toBe(variants.length);
    expect(processKey(define({ command: 'node', rlimits: {}, markers: { rlimit: true } }))).toBe(keys[0]);
  });
});
