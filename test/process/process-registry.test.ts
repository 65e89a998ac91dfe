import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { linuxProcessTable } from '../../src/process/platforms/linux-table.js';
import {
  nextInstanceId,
  ProcessRegistry,
  type RegistryEntry,
  type RemovalReason,
} from '../../src/process/process-registry.js';
import type { ProcessRow } from '../../src/process/process-table.js';
import { FakeTable } from '../helpers/fake-table.js';

function fake(...pids: number[]) {
  const table = new FakeTable();
  for (const pid of pids) table.add({ pid, startTime: pid * 10 });
  const registry = new ProcessRegistry(table);
  const removed: { id: string; reason: RemovalReason }[] = [];
  registry.on('registry:removed', ({ entry, reason }) => removed.push({ id: entry.id, reason }));
  return { table, registry, removed };
}

/** A process that is proven to have existed, and to exist no more. */
async function deadProcess(): Promise<ProcessRow> {
  const child = spawn('sleep', ['100'], { stdio: 'ignore' });
  const row = linuxProcessTable.read(child.pid as number) as ProcessRow;
  child.kill('SIGKILL');
  await once(child, 'exit');
  return row;
}

function sleeper(): number {
  const child = spawn('sleep', ['100'], { stdio: 'ignore' });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  return child.pid as number;
}

describe('ProcessRegistry', () => {
  it('[REG-1] finds an entry by id, name and pid', () => {
    const { registry } = fake(1, 2, 3);
    const a1 = registry.add({ name: 'a', pid: 1 });
    const a2 = registry.add({ name: 'a', pid: 2 });
    const b = registry.add({ id: 'mine', name: 'b', pid: 3, startTime: 30 });
    expect(registry.get(a1.id)).toBe(a1);
    expect(registry.get('mine')).toBe(b);
    expect(registry.byPid(2)).toBe(a2);
    expect(registry.byName('a')).toEqual([a1, a2]);
    expect(registry.list()).toEqual([a1, a2, b]);
    expect(registry.size).toBe(3);
    expect(a1).toMatchObject({ name: 'a', pid: 1, startTime: 10 });

    expect(registry.remove(a1.id)).toBe(true);
    expect(registry.remove(a1.id)).toBe(false);
    expect(registry.get(a1.id)).toBeUndefined();
    expect(registry.byPid(1)).toBeUndefined();
    expect(registry.byName('a')).toEqual([a2]);
    expect(registry.byName('unknown')).toEqual([]);
  });

  it('[REG-1] gives ids of the form mcp-<timestamp>-<sequence>, never twice, over all registries', () => {
    const ids = Array.from({ length: 1_000 }, () => nextInstanceId());
    const { registry } = fake(1, 2);
    const other = fake(1).registry;
    ids.push(
      registry.add({ name: 'a', pid: 1 }).id,
      registry.add({ name: 'a', pid: 2 }).id,
      other.add({ name: 'a', pid: 1 }).id,
    );
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(id).toMatch(/^mcp-\d{13,}-\d+$/);
  });

  it('[REG-1] adds no process that is not there, and no id twice', () => {
    const { registry } = fake(1, 2);
    expect(() => registry.add({ name: 'a', pid: 99 })).toThrowError(/there is no process 99/);
    registry.add({ id: 'same', name: 'a', pid: 1 });
    expect(() => registry.add({ id: 'same', name: 'a', pid: 2 })).toThrowError(/the id same is taken/);
    expect(registry.size).toBe(1);
    expect(registry.byPid(2)).toBeUndefined();
  });

  it('[REG-3] removes the entry of a dead process when its pid is added again', () => {
    const { registry, removed, table } = fake(1);
    const first = registry.add({ name: 'a', pid: 1 });
    table.add({ pid: 1, startTime: 11 });
    const second = registry.add({ name: 'b', pid: 1 });
    expect(removed).toEqual([{ id: first.id, reason: 'reused' }]);
    expect(registry.byPid(1)).toBe(second);
    expect(registry.byName('a')).toEqual([]);
  });

  it('[REG-2] finds a process that is really dead, and keeps one that lives', async () => {
    const registry = new ProcessRegistry();
    const removed: unknown[] = [];
    registry.on('registry:removed', (payload) => removed.push(payload));
    const living = registry.add({ name: 'living', pid: sleeper() });
    const gone = await deadProcess();
    const dead = registry.add({ name: 'dead', pid: gone.pid, startTime: gone.startTime });
    expect(registry.check()).toEqual({ checked: 2, dead: [dead], reused: [], problems: [] });
    expect(removed).toEqual([{ entry: dead, reason: 'dead' }]);
    expect(registry.list()).toEqual([living]);
    expect(registry.byPid(gone.pid)).toBeUndefined();
    expect(registry.check()).toEqual({ checked: 1, dead: [], reused: [], problems: [] });
  });

  it('[REG-2] [PROOF-2] takes a zombie for dead', () => {
    const { registry, table } = fake(1);
    const entry = registry.add({ name: 'a', pid: 1 });
    table.change(1, { dead: true });
    expect(registry.check()).toMatchObject({ dead: [entry], reused: [] });
  });

  it('[REG-3] finds a pid that belongs to another process by now', () => {
    const { registry, table, removed } = fake(1, 2);
    const entry = registry.add({ name: 'a', pid: 1 });
    registry.add({ name: 'a', pid: 2 });
    table.add({ pid: 1, startTime: 999 });
    expect(registry.check()).toMatchObject({ checked: 2, dead: [], reused: [entry] });
    expect(removed).toEqual([{ id: entry.id, reason: 'reused' }]);
    expect(registry.size).toBe(1);
  });

  it('[REG-4] finds an index that disagrees with the entries, and builds it anew', () => {
    const { registry } = fake(1, 2);
    const repaired: (readonly string[])[] = [];
    registry.on('registry:repaired', ({ problems }) => repaired.push(problems));
    const entry = registry.add({ name: 'a', pid: 1 });
    const other = registry.add({ name: 'b', pid: 2 });
    // The only way in for a disagreement: an entry that is changed against its type.
    (entry as { name: string }).name = 'renamed';
    const report = registry.check();
    expect(report.problems.length).toBeGreaterThan(0);
    expect(report.problems.join()).toContain(entry.id);
    expect(repaired).toEqual([report.problems]);
    expect(registry.byName('renamed')).toEqual([entry]);
    expect(registry.byName('a')).toEqual([]);
    expect(registry.byName('b')).toEqual([other]);
    expect(registry.byPid(1)).toBe(entry);
    expect(registry.check()).toEqual({ checked: 2, dead: [], reused: [], problems: [] });
    expect(registry.metrics().repaired).toBe(1);
  });

  it('[REG-4] finds an entry under a pid that is not its own', () => {
    const { registry, table } = fake(1);
    const entry = registry.add({ name: 'a', pid: 1 });
    table.add({ pid: 5, startTime: entry.startTime });
    (entry as { pid: number }).pid = 5;
    expect(registry.check().problems).not.toEqual([]);
    expect(registry.byPid(1)).toBeUndefined();
    expect(registry.byPid(5)).toBe(entry);
  });

  it('[REG-5] reports each change and counts it', () => {
    const { registry, table, removed } = fake(1, 2, 3, 4);
    const added: string[] = [];
    registry.on('registry:added', ({ entry }) => added.push(entry.id));
    const [a, b, c, d] = [1, 2, 3, 4].map((pid) => registry.add({ name: pid < 3 ? 'low' : 'high', pid }));
    registry.remove((a as RegistryEntry).id);
    table.remove(2);
    table.add({ pid: 3, startTime: 1 });
    registry.check();
    expect(added).toEqual([a, b, c, d].map((entry) => entry?.id));
    expect(removed.map(({ reason }) => reason).sort()).toEqual(['dead', 'removed', 'reused']);
    expect(registry.metrics()).toEqual({
      size: 1,
      byName: { high: 1 },
      added: 4,
      removed: { removed: 1, dead: 1, reused: 1 },
      repaired: 0,
    });
  });

  it('[REG-5] counts once what a listener removes during a check', () => {
    const { registry, table, removed } = fake(1, 2, 3);
    const entries = [1, 2, 3].map((pid) => registry.add({ name: 'a', pid }));
    for (const pid of [1, 2, 3]) table.remove(pid);
    registry.on('registry:removed', () => {
      for (const { id } of entries) registry.remove(id);
    });
    registry.check();
    expect(removed.map(({ id }) => id).sort()).toEqual(entries.map(({ id }) => id).sort());
    const { dead, removed: asked } = registry.metrics().removed;
    expect(dead + asked).toBe(3);
  });

  it('[REG-5] [EVENT-1] goes on when a listener throws', () => {
    const { registry, table } = fake(1, 2);
    const errors: unknown[] = [];
    registry.on('listener:error', ({ error }) => errors.push(error));
    registry.on('registry:removed', () => {
      throw new Error('listener');
    });
    registry.add({ name: 'a', pid: 1 });
    registry.add({ name: 'a', pid: 2 });
    table.remove(1);
    table.remove(2);
    registry.check();
    expect(registry.size).toBe(0);
    expect(errors).toHaveLength(2);
  });

  it('[REG-1] [REG-2] [REG-3] agrees with a simple model, whatever is done in whatever order', () => {
    const pid = fc.integer({ min: 1, max: 8 });
    const name = fc.constantFrom('a', 'b', 'c');
    const command = fc.oneof(
      fc.record({ does: fc.constant('spawn' as const), pid, name }),
      fc.record({ does: fc.constant('die' as const), pid }),
      fc.record({ does: fc.constant('remove' as const), pid }),
      fc.record({ does: fc.constant('check' as const) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const table = new FakeTable();
        const registry = new ProcessRegistry(table);
        const model = new Map<number, RegistryEntry>();
        let time = 0;
        for (const step of commands) {
          time += 1;
          if (step.does === 'spawn') {
            table.add({ pid: step.pid, startTime: time });
            model.set(step.pid, registry.add({ name: step.name, pid: step.pid }));
          } else if (step.does === 'die') {
            table.remove(step.pid);
          } else if (step.does === 'remove') {
            const entry = model.get(step.pid);
            expect(registry.remove(entry?.id ?? 'none')).toBe(model.delete(step.pid));
          } else {
            registry.check();
            for (const entry of model.values()) {
              if (table.read(entry.pid)?.startTime !== entry.startTime) model.delete(entry.pid);
            }
          }
          expect(new Set(registry.list())).toEqual(new Set(model.values()));
          for (const [one, entry] of model) {
            expect(registry.byPid(one)).toBe(entry);
            expect(registry.byName(entry.name)).toContain(entry);
          }
        }
        expect(registry.check().problems).toEqual([]);
      }),
    );
  });

  it('works without a table of its own on this platform', () => {
    expect(new ProcessRegistry().add({ name: 'me', pid: process.pid })).toMatchObject({
      startTime: linuxProcessTable.read(process.pid)?.startTime,
    });
  });
});
