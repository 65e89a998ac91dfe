import { expect, it, onTestFinished, vi } from 'vitest';
import { Guardian } from '../../../src/process/guardian/guardian.js';
import { GUARD_PLACE, HostGuard, hostGuard } from '../../../src/process/guardian/host-guard.js';
import { linux } from '../../../src/process/platforms/linux.js';

it('[REUSE-5] takes a group from the guardian when it is empty, though the server is not over, and not twice', async () => {
  const forget = vi.spyOn(Guardian.prototype, 'forget');
  onTestFinished(() => void vi.restoreAllMocks());
  const guard = new HostGuard({ ...linux, marks: undefined });
  const watch = guard.enter(true);
  expect(guard.status().guardian).toBeGreaterThan(0);
  // No process has this number.
  const leader = { pid: 2 ** 30, startTime: 7 };
  watch.started(leader);
  watch.groupLeft();
  watch.groupLeft();
  expect(forget.mock.calls).toEqual([[leader]]);
  expect(guard.status().guardian).toBeGreaterThan(0);
  watch.ended();
  expect(forget).toHaveBeenCalledTimes(1);
  const other = guard.enter(true);
  other.started(leader);
  other.ended();
  other.groupLeft();
  other.ended();
  expect(forget).toHaveBeenCalledTimes(2);
  await guard.settled();
  expect(guard.status().guardian).toBeUndefined();
});

it('[GUARD-9] the name of the shared guard goes with what copies of the package call on it: change both together', () => {
  const guard = hostGuard(linux);
  const watch = guard.enter(false);
  watch.ended();
  expect({
    name: Symbol.keyFor(GUARD_PLACE),
    guard: Object.getOwnPropertyNames(HostGuard.prototype).sort(),
    watch: Object.keys(watch).sort(),
  }).toEqual({
    name: 'mcp-server-pool.guard/3',
    guard: ['configure', 'constructor', 'enter', 'findFolders', 'settled', 'status', 'watchCgroup'],
    watch: ['ended', 'groupLeft', 'started'],
  });
});

it('[GUARD-9] the guard of an older copy stays in its place, and is not used', () => {
  const place = globalThis as { [key: symbol]: unknown };
  const older = Symbol.for('mcp-server-pool.guard/2');
  place[older] = {};
  onTestFinished(() => void delete place[older]);
  expect(hostGuard(linux)).toBeInstanceOf(HostGuard);
  expect(place[older]).toEqual({});
});
