import { describe, expect, it, vi } from 'vitest';
import { Looks } from '../../../src/process/marks/looks.js';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import { newHostMark } from '../../../src/process/marks/marker.js';
import { readerOf } from '../../helpers/fake-marks.js';
import { ListingTable } from '../../helpers/fake-table.js';

const MARK = { host: newHostMark(), instance: 1 };
const NONE = new Set<number>();
const OLD = 1_000;
const YOUNG = 1_950;

/** A table with processes of every kind, after a first scan. The time is second 20 after boot. */
function scanned() {
  const table = new ListingTable();
  const marked = new Set([12, 13]);
  table.add({ pid: 10, startTime: OLD });
  table.add({ pid: 11, startTime: OLD, dead: true });
  for (const pid of marked) table.add({ pid, startTime: OLD });
  table.add({ pid: 14, startTime: YOUNG });
  const reader = readerOf(MARK, (pid) => marked.has(pid));
  const looks = new Looks(table, { readMark: reader, now: () => 20 });
  const search = new MarkSearch(MARK, { looks, table, readMark: reader });
  /** The pids of the rows that a scan has read, and those that have the mark. */
  const scan = (...given: Parameters<Looks['take']>) => {
    table.reads.length = 0;
    table.scans = 0;
    const look = looks.take(...given);
    const read = table.scans > 0 ? 'all' : table.reads.toSorted();
    const found = search.find(look, NONE).map(({ row }) => row.pid);
    return { pids: [...look.rows.keys()], read, found };
  };
  expect(scan()).toEqual({ pids: [10, 11, 12, 13, 14], read: 'all', found: [12, 13] });
  return { table, marked, looks, search, scan };
}

describe('scans of one search', () => {
  it('[MARK-6] read nothing again that was unrelated or dead a moment ago, but all that is new', () => {
    const { table, marked, scan } = scanned();
    expect(scan()).toEqual({ pids: [10, 11, 12, 13, 14], read: [12, 13, 14], found: [12, 13] });
    table.add({ pid: 15, startTime: YOUNG });
    table.remove(11);
    marked.add(15);
    expect(scan()).toEqual({ pids: [10, 12, 13, 14, 15], read: [12, 13, 14, 15], found: [12, 13, 15] });
    table.change(13, { dead: true });
    expect(scan()).toMatchObject({ found: [12, 15] });
    expect(scan()).toMatchObject({ read: [12, 14, 15] });
  });

  it('[REUSE-3] find what a server has started in its own tick, if its number was that of another in that tick', () => {
    const table = new ListingTable();
    table.add({ pid: 10, startTime: OLD });
    table.add({ pid: 11, startTime: OLD - 1 });
    const readMark = readerOf(MARK, () => true);
    const search = new MarkSearch(MARK, { table, readMark, since: OLD + 1 / 1024, now: () => 20 });
    expect(search.find(search.looks.take(), NONE).map(({ row }) => row.pid)).toEqual([10]);
  });

  it('[MARK-6] read the row of what is older than the server once, and never its mark', () => {
    const table = new ListingTable();
    table.add({ pid: 10, startTime: YOUNG - 1 });
    table.add({ pid: 11, startTime: YOUNG });
    const read: number[] = [];
    const readMark = readerOf(MARK, (pid) => read.push(pid) < 0);
    const search = new MarkSearch(MARK, { table, readMark, since: YOUNG, now: () => 20 });
    for (let scan = 0; scan < 3; scan++) expect(search.find(search.looks.take(), NONE)).toEqual([]);
    expect([table.scans, table.reads, read]).toEqual([1, [11, 11], [11, 11, 11]]);
  });

  it('[LOOK-1] read the members of all trees, also those without a mark', () => {
    const { looks, scan } = scanned();
    expect(scan()).toMatchObject({ read: [12, 13, 14] });
    looks.watch({ pid: 10, startTime: OLD });
    // Another process had the pid when it was watched.
    looks.watch({ pid: 11, startTime: OLD - 1 });
    expect(scan()).toMatchObject({ read: [10, 12, 13, 14] });
  });

  it('[MARK-6] need not read what was killed, unless another process has its pid', () => {
    const { table, scan } = scanned();
    const killed = new Map([12, 13].map((pid) => [pid, { pid, startTime: OLD }]));
    expect(scan(killed)).toMatchObject({ pids: [10, 11, 12, 13, 14], read: [14] });
    table.remove(12);
    expect(scan(killed)).toMatchObject({ pids: [10, 11, 13, 14], read: [14] });
    table.add({ pid: 12, startTime: OLD });
    expect(scan(new Map([[12, { pid: 12, startTime: OLD - 1 }]]))).toMatchObject({ read: [12, 13, 14] });
  });

  it.each([
    ['pids are given again', 99, 0],
    ['the newest pid is not shown', 0, 0],
    ['time has passed', 100, 1_000],
  ])('[STRANGER-1] [MARK-6] read everything when %s', (_when, newestPid, later) => {
    const { table, marked, scan } = scanned();
    // Another process has the pid of one that was unrelated.
    table.add({ pid: 10, startTime: YOUNG });
    marked.add(10);
    table.newestPid = newestPid;
    vi.spyOn(performance, 'now').mockReturnValue(performance.now() + later);
    try {
      expect(scan()).toMatchObject({ read: 'all', found: [10, 12, 13] });
    } finally {
      vi.restoreAllMocks();
    }
  });
});
