import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { killMembers, signalFromLeaves } from '../../../src/process/tree/signal-tree.js';
import { FakeTable } from '../../helpers/fake-table.js';

/**
 * 10 → 11 → 12 and 10 → 13. What is signalled becomes a zombie, unless it is deaf; `rest` lets parents collect, unless they
 * are lazy.
 */
function tree({ deaf = [], lazy = [] }: { deaf?: number[]; lazy?: number[] } = {}) {
  const table = new FakeTable();
  const kin = { group: 10, session: 10 };
  for (const [pid, parent] of [[10, 1] as const, [11, 10] as const, [12, 11] as const, [13, 10] as const]) {
    table.add({ pid, parent, ...kin });
  }
  const signals: number[] = [];
  const platform: Platform = {
    ...linux,
    table,
    signalProcess: (pid) => {
      signals.push(pid);
      if (!deaf.includes(pid)) table.change(pid, { dead: true });
    },
  };
  const rest = async () => {
    for (const row of [...table.rows.values()]) {
      if (row.dead && table.rows.get(row.parent)?.dead === false && !lazy.includes(row.parent)) table.remove(row.pid);
    }
  };
  return { platform, table, signals, rest, members: new ProcessTree(table, { pid: 10, startTime: 1 }) };
}

describe('signals from the leaves upward', () => {
  it('[INIT-1] reach each member when its children are collected, the leaves at once', async () => {
    const { platform, table, signals, rest, members } = tree();
    const done = signalFromLeaves(platform, members, 'SIGTERM', 1_000, rest);
    expect(signals).toEqual([12, 13]);
    await done;
    expect(signals).toEqual([12, 13, 11, 10]);
    expect([...table.rows.values()].map(({ pid, dead }) => [pid, dead])).toEqual([[10, true]]);
  });

  it('[INIT-1] reach no process twice, and no parent of one that lives on or is never collected, within their patience', async () => {
    const stubborn = tree({ deaf: [12] });
    await signalFromLeaves(stubborn.platform, stubborn.members, 'SIGTERM', 300, stubborn.rest);
    expect(stubborn.signals).toEqual([12, 13]);
    const lazy = tree({ lazy: [11] });
    await signalFromLeaves(lazy.platform, lazy.members, 'SIGTERM', 300, lazy.rest);
    expect(lazy.signals).toEqual([12, 13]);
  });

  it('[INIT-1] stop when the caller is in a hurry', async () => {
    const { platform, signals, rest, members } = tree();
    await signalFromLeaves(platform, members, 'SIGTERM', 1_000, rest, () => signals.length > 0);
    expect(signals).toEqual([12, 13]);
  });
});

/** The same, killed in fake time by a host whose clock the test sets; parents need so long to collect a child, ms. */
function killed(collecting: number, lazy: number[] = []) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  const { platform, table, signals, members } = tree();
  const atOnce: number[][] = [];
  const withoutInit: Platform = {
    ...platform,
    withoutInit: true,
    signalProcess(pid, signal) {
      platform.signalProcess(pid, signal);
      const parent = table.rows.get(pid)?.parent ?? 0;
      if (!lazy.includes(parent)) setTimeout(() => table.remove(pid), collecting);
    },
    signalGroup: (group) => {
      const living = [...table.rows.values()].filter((row) => row.group === group && !row.dead);
      atOnce.push(living.map(({ pid }) => pid));
      for (const { pid } of living) table.change(pid, { dead: true });
    },
  };
  return { signals, atOnce, done: killMembers(withoutInit, members, members.refresh()) };
}

describe('a kill without an init', () => {
  it('[INIT-1] gives the parents of a loaded machine time to collect, also when the host was stopped meanwhile', async () => {
    const { signals, atOnce, done } = killed(300);
    expect(signals).toEqual([12, 13]);
    const later = performance.now() + 60_000;
    vi.spyOn(performance, 'now').mockReturnValue(later);
    onTestFinished(() => void vi.restoreAllMocks());
    await vi.advanceTimersByTimeAsync(10_000);
    await done;
    expect(signals).toEqual([12, 13, 11, 10]);
    expect(atOnce).toEqual([]);
  });

  it('[INIT-1] waits a second in all for parents that do not collect', async () => {
    const { signals, atOnce, done } = killed(1, [11]);
    await vi.advanceTimersByTimeAsync(990);
    expect(atOnce).toEqual([]);
    await vi.advanceTimersByTimeAsync(50);
    await done;
    expect(signals).toEqual([12, 13]);
    expect(atOnce).toEqual([[10, 11]]);
  });
});
