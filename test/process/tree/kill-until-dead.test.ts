import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import { newHostMark } from '../../../src/process/marks/marker.js';
import { Sweeper } from '../../../src/process/marks/sweeper.js';
import type { Platform } from '../../../src/process/platform.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { type KillTarget, killUntilDead } from '../../../src/process/tree/kill-until-dead.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { readerOf } from '../../helpers/fake-marks.js';
import { ListingTable } from '../../helpers/fake-table.js';
import { fixture } from '../../helpers/fixture.js';
import { launch } from '../../helpers/launch.js';
import { isLiving, marked } from '../../helpers/processes.js';
import { flush, until } from '../../helpers/until.js';

const LEADER = 1_000;
const HELPER = 1_001;
/** One that starts in a session of its own, with a dead parent: only its mark shows that it is ours. */
const ESCAPED = 1_050;

/**
 * A leader and its helper. What is killed dies when the test lets it. `onScan` is called before each scan, with its
 * number.
 */
function setup(onScan: (scan: number) => void = () => {}, killGrace = 5_000) {
  const log: string[] = [];
  let scans = 0;
  const table = new (class extends ListingTable {
    override newestPid = HELPER;
    override pids() {
      begin();
      return super.pids();
    }
    override scan() {
      begin();
      return super.scan();
    }
  })();
  const begin = () => {
    scans += 1;
    onScan(scans);
    log.push('scan');
  };
  const leader = table.add({ pid: LEADER, startTime: 5 });
  table.add({ pid: HELPER, startTime: 6, parent: LEADER, group: LEADER, session: LEADER });
  const ours = new Set([LEADER, HELPER]);
  const doomed = new Set<number>();
  const signal = (rows: readonly ProcessRow[]) => {
    for (const { pid, dead } of rows) if (!dead) doomed.add(pid);
  };
  const platform: Platform = {
    ...linux,
    table,
    pace: { ...linux.pace, killGrace },
    signalGroup: (group) => {
      log.push(`kill -${group}`);
      signal([...table.rows.values()].filter((row) => row.group === group));
    },
    signalProcess: (pid) => {
      log.push(`kill ${pid}`);
      signal([...table.rows.values()].filter((row) => row.pid === pid));
    },
  };
  const mark = { host: newHostMark(), instance: 1 };
  const search = new MarkSearch(mark, { table, readMark: readerOf(mark, (pid) => ours.has(pid)) });
  const tree = new ProcessTree(table, leader, { marks: search });
  let wake: Parameters<KillTarget['onceExited']>[0] | undefined;
  let exited = false;
  const target: KillTarget = {
    platform,
    tree,
    sweeper: new Sweeper(platform, search),
    hasExited: () => exited,
    onceExited: (given) => {
      wake = given;
    },
  };
  return {
    ...{ table, log, tree, target, doomed, ours },
    /** All that were killed are dead. */
    die: () => {
      for (const pid of doomed) table.change(pid, { dead: true });
    },
    /** Node collects the leader. */
    exit: () => {
      exited = true;
      table.remove(LEADER);
      wake?.(tree.leaderExited());
    },
    escape: () => {
      ours.add(ESCAPED);
      table.newestPid = ESCAPED;
      table.add({ pid: ESCAPED, startTime: 7 });
    },
  };
}

describe('killing until all are dead', () => {
  it('[LADDER-8] scans while what it has killed still dies, and is done at the last death', async () => {
    const { target, tree, log, die, exit } = setup();
    const ending = killUntilDead(target, tree.refresh());
    expect(log).toEqual(['scan', `kill -${LEADER}`]);
    await until('it has scanned twice', () => log.filter((entry) => entry === 'scan').length >= 3);
    die();
    const before = log.length;
    exit();
    expect(await ending).toMatchObject({ killed: [{ pid: LEADER }, { pid: HELPER }], survivors: [] });
    // That in the tick of the exit is the last of three.
    expect(log.slice(before)).toEqual(['scan']);
  });

  it('[LADDER-8] [PROOF-1] is not done while one lives, however many scans have shown nothing new', async () => {
    const { target, tree, log, die, table } = setup();
    let done = false;
    const ending = killUntilDead(target, tree.refresh()).finally(() => {
      done = true;
    });
    table.change(LEADER, { dead: true });
    await until('it has scanned often enough', () => log.filter((entry) => entry === 'scan').length >= 4);
    await flush();
    expect(done).toBe(false);
    die();
    expect(await ending).toMatchObject({ survivors: [] });
  });

  it('[LADDER-8] [MARK-4] kills what appears while others die, and begins to count anew', async () => {
    const test = setup((scan) => {
      if (scan === 3) test.escape();
      if (scan > 3) test.die();
    });
    const report = await killUntilDead(test.target, test.tree.refresh());
    expect(report.killed.map(({ pid }) => pid)).toEqual([LEADER, HELPER, ESCAPED]);
    expect(report.survivors).toEqual([]);
    const after = test.log.slice(test.log.indexOf(`kill ${ESCAPED}`));
    expect(after.filter((entry) => entry === 'scan').length).toBeGreaterThanOrEqual(3);
  });

  it('[LADDER-8] [MARK-6] meets what is started after a scan has begun', async () => {
    const test = setup();
    const { target, tree, table, die, doomed } = test;
    die();
    const pids = table.pids.bind(table);
    table.pids = () => {
      // Listed before it is there.
      const listed = pids();
      if (!test.ours.has(ESCAPED)) test.escape();
      return listed;
    };
    tree.refresh();
    const ending = killUntilDead(target, []);
    await until('it is killed', () => doomed.has(ESCAPED));
    die();
    for (const pid of [LEADER, HELPER]) table.change(pid, { dead: true });
    expect(await ending).toMatchObject({ survivors: [] });
  });

  it('[LADDER-6] [PROOF-1] names what does not die, in bounded time', async () => {
    const { target, tree } = setup(() => {}, 60);
    const { survivors } = await killUntilDead(target, tree.refresh());
    expect(survivors.map(({ pid }) => pid)).toEqual([LEADER, HELPER]);
  });

  it('[CGROUP-2] [PROOF-1] is not done while the kernel reports a process in the cgroup', async () => {
    const { target, tree, die } = setup();
    let kills = 0;
    const kill = () => {
      kills += 1;
    };
    const cgroup = { kill, isPopulated: () => kills < 3 };
    const ending = killUntilDead({ ...target, cgroup }, tree.refresh());
    die();
    expect(await ending).toMatchObject({ survivors: [] });
    expect(kills).toBe(3);
  });

  it('[CGROUP-2] [PROOF-1] says so when that process is in no table', async () => {
    const { target, tree, die } = setup(() => {}, 60);
    const ending = killUntilDead({ ...target, cgroup: { kill: () => {}, isPopulated: () => true } }, tree.refresh());
    die();
    expect((await ending).survivors).toMatchObject([{ pid: 0, command: 'unknown, in its cgroup' }]);
  });

  describe.each(['at its first kill', 'while it waits'])('when the host is held up %s', (when) => {
    /** The clock of a host that did nothing for some time. */
    const setupClock = () => {
      const now = performance.now.bind(performance);
      let skipped = 0;
      const spy = vi.spyOn(performance, 'now').mockImplementation(() => now() + skipped);
      onTestFinished(() => spy.mockRestore());
      return async () => {
        // It goes on to its first wait.
        for (let step = 0; when === 'while it waits' && step < 10; step++) await Promise.resolve();
        skipped += 10_000;
      };
    };

    it('[PROOF-6] goes on with the proof of what has died meanwhile', async () => {
      const skip = setupClock();
      const { target, tree, log, die } = setup();
      const ending = killUntilDead(target, tree.refresh());
      die();
      await skip();
      expect(await ending).toMatchObject({ killed: [{ pid: LEADER }, { pid: HELPER }], survivors: [] });
      expect(log.filter((entry) => entry === 'scan').length).toBeGreaterThanOrEqual(3);
    });

    it('[PROOF-6] proves a server that had ended before', async () => {
      const skip = setupClock();
      const { target, tree, table } = setup();
      for (const pid of [LEADER, HELPER]) table.remove(pid);
      const ending = killUntilDead(target, tree.refresh());
      await skip();
      expect(await ending).toMatchObject({ killed: [], survivors: [] });
    });

    it('[PROOF-6] and again in the middle of each scan', async () => {
      const skip = setupClock();
      const test = setup((scan) => {
        if (scan > 1) test.die();
        if (scan > 1) void skip();
      });
      expect(await killUntilDead(test.target, test.tree.refresh())).toMatchObject({ survivors: [] });
    });

    it('[PROOF-6] finds what has escaped meanwhile, and gives it the time to die', async () => {
      const skip = setupClock();
      const test = setup((scan) => {
        if (scan === 2) test.escape();
        if (scan > 2) test.die();
      });
      const ending = killUntilDead(test.target, test.tree.refresh());
      test.die();
      await skip();
      const { killed, survivors } = await ending;
      expect(killed.map(({ pid }) => pid)).toContain(ESCAPED);
      expect(survivors).toEqual([]);
    });

    it('[PROOF-6] [PROOF-1] still names what does not die', async () => {
      const skip = setupClock();
      const { target, tree } = setup(() => {}, 60);
      const ending = killUntilDead(target, tree.refresh());
      await skip();
      expect((await ending).survivors.map(({ pid }) => pid)).toEqual([LEADER, HELPER]);
    });
  });

  describe('where others start processes faster than they can be read', () => {
    /** Each call of the counter shows so many more. */
    const setupBusy = (killGrace: number, isBusy: (scan: number) => boolean) => {
      let scans = 0;
      const test = setup((scan) => {
        scans = scan;
      }, killGrace);
      test.table.newest = () => {
        test.table.newestPid += isBusy(scans) ? 10_000 : 0;
        return test.table.newestPid;
      };
      return test;
    };

    it('[PROOF-5] begins no proof anew: the scans before and after count', async () => {
      const test = setupBusy(5_000, (scan) => scan === 3 || scan === 5);
      const ending = killUntilDead(test.target, test.tree.refresh());
      test.die();
      expect(await ending).toMatchObject({ survivors: [] });
      // Four that were read to the end, and two that were not: 2, 4, 6 and what they share the tick with.
      expect(test.log.filter((entry) => entry === 'scan').length).toBeLessThanOrEqual(7);
    });

    it('[PROOF-5] [PROOF-1] is not proven when the time is up, and says why', async () => {
      const { target, tree, die, log } = setupBusy(40, (scan) => scan > 3);
      const ending = killUntilDead(target, tree.refresh());
      die();
      expect((await ending).survivors).toMatchObject([{ pid: 0, command: expect.stringContaining('new processes') }]);
      // It does not scan in each turn of the event loop.
      expect(log.filter((entry) => entry === 'scan').length).toBeLessThan(60);
    });

    it.each([true, false])(
      '[PROOF-5] [CGROUP-2] is proven by an empty cgroup that has held all of them: %s',
      async (isEmpty) => {
        const { target, tree, die } = setupBusy(40, () => true);
        const ending = killUntilDead({ ...target, isCgroupEmpty: () => isEmpty }, tree.refresh());
        die();
        expect((await ending).survivors).toHaveLength(isEmpty ? 0 : 1);
      },
    );

    it('[PROOF-5] reads a bounded number of them in one piece, also when each moment brings some more', () => {
      const { target, table, tree } = setup();
      tree.refresh();
      table.reads.length = 0;
      let calls = 0;
      table.newest = () => {
        calls += 1;
        table.newestPid += 50;
        return table.newestPid;
      };
      expect(target.sweeper?.killNew(performance.now() + 60_000)).toBe('unread');
      expect(calls).toBeLessThan(100);
      expect(table.reads.length).toBeLessThanOrEqual(2_000);
    });

    it('[PROOF-5] [MARK-6] kills what has the mark among those that it has read', () => {
      const test = setup();
      test.tree.refresh();
      test.escape();
      const read = test.table.read.bind(test.table);
      test.table.read = (pid) => {
        if (pid === ESCAPED) test.table.newestPid += 10_000;
        return read(pid);
      };
      expect(test.target.sweeper?.killNew(performance.now() + 60_000)).toBe('found');
      expect([...test.doomed]).toEqual([ESCAPED]);
    });
  });

  it('[LADDER-7] kills a real tree with one scan before the first signal, and one call of the kernel', async () => {
    const log: string[] = [];
    const { table } = linux;
    const platform: Platform = {
      ...linux,
      table: {
        ...table,
        scan: () => {
          log.push('scan');
          return table.scan();
        },
        pids: () => {
          log.push('scan');
          return table.pids?.() ?? [];
        },
      },
      signalGroup: (group, signal) => {
        log.push(`${signal} ${group}`);
        linux.signalGroup(group, signal);
      },
      signalProcess: (pid, signal) => {
        log.push(`${signal} to one`);
        linux.signalProcess(pid, signal);
      },
    };
    const server = launch(fixture('fork-tree', '--count=50', '--ignore-term', '--ignore-eof'), { platform });
    const children = (await server.callTool('children')) as number[];
    log.length = 0;
    // As a shutdown does it: at once, and then by the ladder.
    server.process.killNow();
    const ending = server.process.end({ mode: 'emergency' });
    expect([...new Set(log)]).toEqual(['scan', `SIGKILL ${server.pid}`]);
    expect(log.filter((entry) => entry === 'scan')).toHaveLength(1);
    log.length = 0;
    const report = await ending;
    expect(report).toMatchObject({ endedBy: 'SIGKILL', steps: [{ step: 'SIGKILL', processes: 51 }], survivors: [] });
    expect([server.pid, ...children].filter(isLiving)).toEqual([]);
    expect(marked()).toEqual([]);
    expect(log.filter((entry) => entry === 'scan').length).toBeGreaterThanOrEqual(3);
  });
});
