import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { moveStrangersOut } from '../../../src/process/cgroup/adoption.js';
import { FakeTable } from '../../helpers/fake-table.js';

const NUMBER = 500;

/** Folders in place of cgroups: that of an instance, the one above the host's, and those of a stranger and of a third. */
function setup() {
  const root = mkdtempSync(join(tmpdir(), 'move-back-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'host', '1');
  const places = {
    instance: folder,
    twelfth: `${folder}2`,
    above: root,
    home: join(root, 'a'),
    third: join(root, 'b'),
  };
  for (const place of Object.values(places)) {
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'cgroup.procs'), place === folder ? `${NUMBER}\n` : '');
    writeFileSync(join(place, 'cgroup.events'), 'populated 1\n');
  }
  const table = new FakeTable();
  const stranger = table.add({ pid: NUMBER, parent: 400, startTime: 5 });
  const homes = new Map([
    [400, places.home],
    [401, places.third],
  ]);
  const written = (place: keyof typeof places) => readFileSync(join(places[place], 'cgroup.procs'), 'utf8');
  let rounds = 0;
  const move = () =>
    moveStrangersOut(
      folder,
      table,
      () => (rounds++ === 0 ? [stranger] : []),
      (pid) => homes.get(pid),
    );
  /** The stranger ends while the write to that place waits, and another process gets its number. */
  const replaceAt = (place: keyof typeof places, row: { parent: number; startTime: number }, home = places[place]) => {
    const read = table.read.bind(table);
    let replaced = false;
    table.read = (pid) => {
      if (!replaced && written(place) !== '') {
        replaced = true;
        table.add({ pid: NUMBER, ...row });
        homes.set(NUMBER, home);
      }
      return read(pid);
    };
  };
  return { places, homes, written, move, replaceAt };
}

describe('a stranger in the cgroup of an instance', () => {
  it('[REUSE-1] goes to where its parent is', async () => {
    const { written, move } = setup();
    expect(await move()).toBe(true);
    expect([written('home'), written('above')]).toEqual([String(NUMBER), '']);
  });

  it('[REUSE-9] goes there also if the path of that place begins like that of the instance', async () => {
    const { places, homes, written, move } = setup();
    homes.set(400, places.twelfth);
    await move();
    expect([written('twelfth'), written('above')]).toEqual([String(NUMBER), '']);
  });

  it('[REUSE-9] a third process that was moved instead goes back to its own parent', async () => {
    const { written, move, replaceAt } = setup();
    replaceAt('home', { parent: 401, startTime: 9 });
    await move();
    expect([written('home'), written('third')]).toEqual([String(NUMBER), String(NUMBER)]);
  });

  it('[REUSE-9] also from above our cgroups, and into the instance if it belongs there', async () => {
    const { places, homes, written, move, replaceAt } = setup();
    homes.delete(400);
    homes.set(401, places.instance);
    replaceAt('above', { parent: 401, startTime: 9 });
    await move();
    expect([written('above'), written('instance')]).toEqual([String(NUMBER), String(NUMBER)]);
  });

  it('[REUSE-9] a process that has its number and was not moved is left where it is', async () => {
    for (const [parent, home] of [
      [401, 'third'],
      [400, 'home'],
      [1, 'home'],
    ] as const) {
      const { places, written, move, replaceAt } = setup();
      replaceAt('home', { parent, startTime: 9 }, places[home]);
      await move();
      expect(written('third')).toBe('');
    }
  });
});
