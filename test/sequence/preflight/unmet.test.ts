import { describe, expect, it } from 'vitest';
import { type ResolvedRequirements, readRequirements } from '../../../src/config/requirement-options.js';
import {
  describeUnmet,
  type Headroom,
  isAsked,
  requirementsUnmet,
  unmetIn,
} from '../../../src/sequence/preflight/unmet.js';

const NOTHING: ResolvedRequirements = {
  freeMemoryMB: undefined,
  maxLoad: undefined,
  freeProcesses: undefined,
  freeDiskMB: {},
};
const ALL: ResolvedRequirements = {
  freeMemoryMB: 4_096,
  maxLoad: 8,
  freeProcesses: 20,
  freeDiskMB: { '/tmp': 100, '/data': 1 },
};
const EXACT: Headroom = { freeMemoryMB: 4_096, load: 8, freeProcesses: 20, freeDiskMB: { '/tmp': 100, '/data': 1 } };

describe('what a host lacks', () => {
  it('[REQ-1] is nothing where nothing is required, or where each number is reached', () => {
    expect([isAsked(NOTHING), isAsked(ALL), isAsked({ ...NOTHING, freeDiskMB: { '/': 1 } })]).toEqual([
      ...[false, true, true],
    ]);
    expect(unmetIn(NOTHING, {})).toEqual([]);
    expect(unmetIn(ALL, EXACT)).toEqual([]);
  });

  it('[REQ-1] is each number that is not reached, by however little', () => {
    expect(unmetIn(ALL, { ...EXACT, freeMemoryMB: 4_095.9 })).toEqual([
      { requirement: 'freeMemoryMB', required: 4_096, measured: 4_095.9 },
    ]);
    expect(unmetIn(ALL, { ...EXACT, load: 8.01, freeProcesses: 19 })).toEqual([
      { requirement: 'maxLoad', required: 8, measured: 8.01 },
      { requirement: 'freeProcesses', required: 20, measured: 19 },
    ]);
    expect(unmetIn(ALL, { ...EXACT, freeDiskMB: { '/tmp': 100, '/data': 0 } })).toEqual([
      { requirement: 'freeDiskMB', path: '/data', required: 1, measured: 0 },
    ]);
  });

  it('[REQ-1] is what cannot be read, and nothing that is not required', () => {
    expect(unmetIn(ALL, {}).map(({ measured }) => measured)).toEqual(Array(5).fill(undefined));
    expect(unmetIn({ ...NOTHING, maxLoad: 1 }, { load: 0 })).toEqual([]);
  });

  it('[REQ-1] is told with each number and its requirement', () => {
    const error = requirementsUnmet(
      { name: 'pytest', kind: 'command' },
      unmetIn(ALL, { ...EXACT, freeMemoryMB: 1_024.5, load: 17.25, freeDiskMB: { '/tmp': 3 } }),
    );
    expect(error).toMatchObject({ code: 'REQUIREMENTS_UNMET', data: { name: 'pytest' } });
    expect(error.data.unmet).toHaveLength(4);
    expect(error.message).toContain("command 'pytest' was not started");
    expect(error.message).toContain('1,024.5 MB of memory are free, 4,096 MB are required (freeMemoryMB)');
    expect(error.message).toContain('the load is 17.25, at most 8 is allowed (maxLoad)');
    expect(error.message).toContain('3 MB are free at /tmp, 100 MB are required (freeDiskMB)');
    expect(error.message).toContain('an unknown number of MB are free at /data, 1 MB are required (freeDiskMB)');
    expect(describeUnmet(unmetIn(ALL, { ...EXACT, freeProcesses: 0, load: undefined }))).toBe(
      'the load is unknown, at most 8 is allowed (maxLoad); 0 more processes can be started, 20 are required (freeProcesses)',
    );
  });
});

describe('requirements', () => {
  const problemsOf = (given: unknown, system = 'linux') => {
    const problems = { wrong: [] as string[], unsupported: [] as string[] };
    const read = readRequirements(given, 'requires', problems, system);
    return { ...problems, read };
  };

  it('[REQ-4] are nothing by default', () => {
    expect(problemsOf({})).toEqual({ wrong: [], unsupported: [], read: NOTHING });
    expect(problemsOf(ALL)).toEqual({ wrong: [], unsupported: [], read: ALL });
  });

  it('[REQ-4] that are wrong are all told', () => {
    const { wrong } = problemsOf({
      freeMemoryMB: -1,
      maxLoad: '8',
      freeProcesses: 1.5,
      freeDiskMB: { 'a/b': 1, '/ok': -5, '/bytes': 10_737_418_240 },
      freeRAM: 1,
    });
    expect(wrong).toEqual([
      expect.stringMatching(/^requires\.freeMemoryMB must be .* megabytes above 0.*got -1/),
      expect.stringMatching(/^requires\.maxLoad must be .* above 0, got a string/),
      expect.stringMatching(/^requires\.freeProcesses must be a whole number, 1 or more, got 1\.5/),
      expect.stringMatching(/^requires\.freeRAM is not a known option/),
      expect.stringMatching(/^requires\.freeDiskMB\["a\/b"\] must be named by an absolute path/),
      expect.stringMatching(/^requires\.freeDiskMB\["\/ok"\] must be .*got -5/),
      expect.stringMatching(/^requires\.freeDiskMB\["\/bytes"\] must be .*if these are bytes, write 10_240/),
    ]);
    for (const given of [
      { freeMemoryMB: Infinity },
      { maxLoad: Number.NaN },
      { maxLoad: 0 },
      { freeDiskMB: 5 },
      5,
      null,
    ])
      expect(problemsOf(given).wrong, JSON.stringify(given)).toHaveLength(1);
    const many = Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`/${index}`, 1]));
    expect(problemsOf({ freeDiskMB: many }).wrong).toEqual([expect.stringContaining('at most 16 paths, got 17')]);
  });

  it('[REQ-4] that a system cannot measure are refused there', () => {
    const load = 'requires.maxLoad cannot be measured on win32';
    const processes = 'requires.freeProcesses cannot be measured on ';
    expect(problemsOf(ALL, 'darwin').unsupported).toEqual([`${processes}darwin`]);
    expect(problemsOf(ALL, 'win32').unsupported.sort()).toEqual([`${processes}win32`, load].sort());
    expect(problemsOf({ freeMemoryMB: 1 }, 'win32').unsupported).toEqual([]);
  });
});
