import { describe, expect, it } from 'vitest';
import type { ConfigApplied, PoolError, ServerDefinition } from '../../src/index.js';
import { scopeOf, setUp } from '../helpers/fake-pool.js';
import { flush } from '../helpers/until.js';

const a = { command: 'fake' };
const NOTHING = { added: [], updated: [], removed: [], unchanged: [], skipped: [] };

function errorOf(call: () => unknown): PoolError {
  try {
    call();
  } catch (error) {
    return error as PoolError;
  }
  throw new Error('it did not throw');
}

describe('applyConfig()', () => {
  it('[CONFIG-9] adds, updates and removes what differs, and says which', () => {
    const { pool } = setUp({});
    const applied: ConfigApplied[] = [];
    pool.on('config:applied', (payload) => applied.push(payload));
    expect(pool.applyConfig({ a, b: a })).toEqual({ ...NOTHING, added: ['a', 'b'] });
    expect(pool.applyConfig({ a, b: a })).toEqual({ ...NOTHING, unchanged: ['a', 'b'] });
    const next = { b: { ...a, args: ['new'] }, c: a };
    const second = { ...NOTHING, added: ['c'], updated: ['b'], removed: ['a'] };
    expect(pool.applyConfig(next)).toEqual(second);
    expect(Object.keys(pool.status().servers)).toEqual(['b', 'c']);
    expect(pool.getDefinition('b')).toEqual(next.b);
    // Nothing has changed the second time.
    expect(applied).toEqual([
      { source: '', ...NOTHING, added: ['a', 'b'] },
      { source: '', ...second },
    ]);
  });

  it('[CONFIG-9] leaves alone what the host has added itself, also when the host removes and adds it', async () => {
    const { pool } = setUp({ servers: { mine: { ...a, args: ['1'] } } });
    pool.addServer('added', a);
    const other = { ...a, args: ['2'] };
    expect(pool.applyConfig({ mine: other, added: other, c: a })).toEqual({
      ...NOTHING,
      added: ['c'],
      skipped: ['mine', 'added'],
    });
    expect(pool.getDefinition('mine').args).toEqual(['1']);
    await pool.removeServer('c');
    pool.addServer('c', a);
    expect(pool.applyConfig({})).toEqual(NOTHING);
    expect(pool.hasServer('c')).toBe(true);
    await pool.removeServer('c');
    expect(pool.applyConfig({ c: a }).added).toEqual(['c']);
    expect(pool.applyConfig({}).removed).toEqual(['c']);
  });

  it('[CONFIG-9] each source has servers of its own; the first that names one has it', () => {
    const { pool } = setUp({});
    pool.applyConfig({ a }, { source: 'user' });
    const changed = { ...a, args: ['x'] };
    expect(pool.applyConfig({ a: changed, b: a }, { source: 'project' })).toEqual({
      ...NOTHING,
      added: ['b'],
      skipped: ['a'],
    });
    expect(pool.applyConfig({}, { source: 'user' })).toEqual({ ...NOTHING, removed: ['a'] });
    expect(pool.applyConfig({ a: changed, b: a }, { source: 'project' })).toEqual({
      ...NOTHING,
      added: ['a'],
      unchanged: ['b'],
    });
  });

  it('[CONFIG-10] lists what is wrong with all entries in one error, and changes nothing', () => {
    const { pool } = setUp({});
    pool.applyConfig({ a, old: a });
    const before = JSON.stringify(pool.status().servers);
    const wrong = { a: { ...a, args: ['x'] }, b: { command: '' }, c: { command: 'c', idleTimeout: -1 } };
    const error = errorOf(() => pool.applyConfig(wrong));
    expect(error.code).toBe('INVALID_OPTIONS');
    expect(error.data.problems).toEqual([
      expect.stringMatching(/^b\.command must be/),
      expect.stringMatching(/^c\.idleTimeout must be/),
    ]);
    expect(JSON.stringify(pool.status().servers)).toBe(before);
    expect(pool.getDefinition('a')).toEqual(a);
    const unsupported = { a: { command: 'a', era: 'modern' } } as const;
    expect(errorOf(() => pool.applyConfig(unsupported)).code).toBe('NOT_SUPPORTED');
    for (const servers of [undefined, null, [], 'a'])
      expect(errorOf(() => pool.applyConfig(servers as never)).code).toBe('INVALID_OPTIONS');
    expect(errorOf(() => pool.applyConfig({}, { sourc: '' } as never)).message).toMatch(/did you mean 'source'/);
  });

  it('[CONFIG-10] checks entries beside each other, and not beside those that they replace', () => {
    const { pool } = setUp({ limits: { maxProcesses: 3 } });
    const two: ServerDefinition = { command: 'fake', minIdle: 2 };
    pool.applyConfig({ a: two });
    expect(pool.applyConfig({ b: two })).toMatchObject({ added: ['b'], removed: ['a'] });
    expect(errorOf(() => pool.applyConfig({ b: two, c: two })).message).toMatch(/minIdle of all servers \(4\)/);
    expect(Object.keys(pool.status().servers)).toContain('b');
  });

  it('[CONFIG-9] servers that depend on each other come, turn round and go together', () => {
    const { pool } = setUp({});
    const on = (...dependsOn: string[]) => ({ command: 'fake', dependsOn });
    expect(pool.applyConfig({ c: on('b'), b: on('a'), a })).toMatchObject({ added: ['a', 'b', 'c'] });
    expect(pool.applyConfig({ a: on('b'), b: on('c'), c: a })).toMatchObject({ updated: ['c', 'b', 'a'] });
    expect(errorOf(() => pool.applyConfig({ a: on('b'), b: on('a') })).message).toMatch(/circle: 'a' → 'b' → 'a'/);
    expect(errorOf(() => pool.applyConfig({ a: on('b') })).message).toMatch(/a\.dependsOn must name a server, got 'b'/);
    expect(pool.applyConfig({ b: a })).toMatchObject({ updated: ['b'], removed: ['c', 'a'] });
    pool.addServer('mine', on('b'));
    expect(errorOf(() => pool.applyConfig({})).message).toMatch(/mine\.dependsOn must name a server, got 'b'/);
    expect(pool.hasServer('b')).toBe(true);
  });

  it('[CONFIG-9] a leased server that is removed ends with its lease; one that is unchanged is not touched', async () => {
    const { pool, launcher, reasons } = setUp({});
    pool.applyConfig({ a, b: a });
    const leases = [await pool.getServer('a', scopeOf({ owner: 'o' })), await pool.getServer('b')];
    pool.applyConfig({ b: a });
    await flush();
    expect(launcher.living).toHaveLength(2);
    leases[0]?.release();
    await flush();
    expect(reasons()).toEqual(['removed']);
    expect(leases[1]?.pid).toBe(launcher.living[0]?.pid);
  });

  it('[CONFIG-10] is refused by a closed pool', async () => {
    const { pool } = setUp({});
    await pool.shutdown();
    expect(errorOf(() => pool.applyConfig({})).code).toBe('POOL_CLOSED');
  });

  it('[CONFIG-9] names of properties of every object are names of servers', () => {
    const { pool } = setUp({});
    const servers = JSON.parse('{"__proto__":{"command":"fake"},"constructor":{"command":"fake"}}');
    expect(pool.applyConfig(servers).added).toEqual(['__proto__', 'constructor']);
    expect(pool.applyConfig(servers).unchanged).toEqual(['__proto__', 'constructor']);
  });
});
