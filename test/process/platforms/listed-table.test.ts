import { describe, expect, it } from 'vitest';
import { forgetSoon, type Listing, listedTable } from '../../../src/process/platforms/listed-table.js';
import { parsePs } from '../../../src/process/platforms/ps.js';
import { identify } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { flush } from '../../helpers/until.js';

const START = 'Sun Nov 22 03:30:10 2026';

/** A table over lines that the test changes, which counts the looks. */
function listed(keep = 60_000) {
  const state = { looks: 0, lines: ['7 1 7 S 900 host'], takes: 0 };
  const listing: Listing = { tool: '/bin/ps', args: [], env: {}, keep, parse: parsePs };
  const run = () => {
    state.looks += 1;
    const end = performance.now() + state.takes;
    while (performance.now() < end);
    return state.lines.map((line) => line.replace('900', START)).join('\n');
  };
  return { state, table: listedTable(listing, run, 7) };
}

describe('listedTable', () => {
  it('[PORT-3] looks once for all that ask in time', () => {
    const { table, state } = listed();
    expect(table.read(7)).toMatchObject({ pid: 7, command: 'host' });
    expect(table.read(8)).toBeUndefined();
    expect([...table.scan().keys()]).toEqual([7]);
    expect(state.looks).toBe(1);
    table.forget();
    table.scan();
    expect(state.looks).toBe(2);
    const impatient = listed(0);
    impatient.table.scan();
    impatient.table.scan();
    expect(impatient.state.looks).toBe(2);
  });

  it('[PORT-3] looks anew in a later turn when the look itself took long: it may not show what was started meanwhile', async () => {
    const { table, state } = listed(50);
    state.takes = 100;
    table.scan();
    table.scan();
    expect(state.looks).toBe(1);
    await flush(1);
    table.scan();
    expect(state.looks).toBe(2);
  });

  it('[PORT-3] looks anew for a process that was just started', () => {
    const { table, state } = listed();
    table.scan();
    state.lines.push('8 7 8 S 900 server');
    expect(table.read(8)).toBeUndefined();
    expect(identify(table, 8)).toBe(Date.UTC(2026, 10, 22, 3, 30, 10) / 1_000);
  });

  it('[PORT-3] looks anew at the exit of a leader, so that its orphans are found', () => {
    const { table, state } = listed();
    state.lines.push('8 7 8 S 900 server');
    const tree = new ProcessTree(table, { pid: 8, startTime: identify(table, 8) as number });
    state.lines.pop();
    state.lines.push('9 1 8 S 900 helper');
    expect(tree.leaderExited()).toMatchObject([{ pid: 9 }]);
  });

  it('[PORT-3] after a signal looks anew, but not for others in the same tick', async () => {
    const { table, state } = listed();
    table.scan();
    forgetSoon(table);
    table.scan();
    expect(state.looks).toBe(1);
    await Promise.resolve();
    table.scan();
    expect(state.looks).toBe(2);
  });

  it('[PORT-1] [PROOF-3] believes no answer in which the process that asks is missing', () => {
    const { table, state } = listed();
    state.lines = ['1 0 1 Ss 900 init'];
    expect(() => table.scan()).toThrow('/bin/ps does not show the process that asks');
    state.lines = [];
    expect(() => table.read(1)).toThrow('does not show');
  });

  it('[PROOF-3] keeps nothing of a look that failed', () => {
    const { table, state } = listed(0);
    table.scan();
    state.lines = ['7 1 7 S never host'];
    expect(() => table.read(7)).toThrow('no process');
    state.lines = ['7 1 7 S 900 host'];
    expect(table.read(7)).toBeDefined();
  });
});
