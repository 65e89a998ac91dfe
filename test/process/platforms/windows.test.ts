import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { type ListedTable, listedTable } from '../../../src/process/platforms/listed-table.js';
import {
  findPowerShell,
  parseWindows,
  taskkillProblem,
  type WindowsTools,
  windowsListing,
  windowsPlatform,
} from '../../../src/process/platforms/windows.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { endTree } from '../../../src/process/tree/termination.js';
import { runHost } from '../../helpers/host.js';

// Nothing here ran on Windows. Lines: the script's own format, of properties that are documented at
// https://learn.microsoft.com/windows/win32/cimwin32prov/win32-process; FILETIME is 100 ns since 1601.

/** 2024-06-01T10:07:09Z as FILETIME. */
const NOON = 133_617_100_290_000_000n;
/** A line of the table; `at` in seconds after NOON. */
const line = (pid: number, parent: number, at: number, name = 'node.exe') =>
  `${pid} ${parent} ${NOON + BigInt(Math.round(at * 10_000_000))} ${name}`;

const HOST = line(7, 1, 0);
const GRACES = { eofGrace: 20, termGrace: 60_000 };

/** Windows with these processes, and tools that note what they were asked. */
function machine(first: string[], tools: Partial<WindowsTools> = {}) {
  const state = { lines: [HOST, ...first], looks: 0, did: [] as string[] };
  const end = (pid: number) => {
    state.lines = state.lines.filter((one) => !one.startsWith(`${pid} `));
  };
  const table: ListedTable = listedTable(
    { ...windowsListing('C:\\Windows'), keep: 0 },
    () => {
      state.looks += 1;
      return state.lines.join('\r\n');
    },
    7,
  );
  const windows: WindowsTools = {
    killTree: (pid, done) => {
      state.did.push(`taskkill ${pid}`);
      const tree = new Set([pid]);
      for (const one of tree) {
        for (const { pid: child, parent } of parseWindows(state.lines.join('\n')).values()) {
          if (parent === one) tree.add(child);
        }
      }
      for (const one of tree) end(one);
      done();
    },
    problem: () => undefined,
    kill: (pid) => {
      state.did.push(`kill ${pid}`);
      end(pid);
    },
    ...tools,
  };
  const platform = { ...windowsPlatform(table, windows), pace: { firstPoll: 1, longestPoll: 2, killGrace: 500 } };
  const tree = (pid: number) => new ProcessTree(table, { pid, startTime: table.read(pid)?.startTime ?? -1 });
  const target = (pid: number, closeStdin = () => {}) => {
    return { pid, platform, tree: tree(pid), closeStdin, hasExited: () => false, onceExited: () => {} };
  };
  return { state, table, platform, tree, target, end, row: (pid: number) => table.scan().get(pid)! };
}

describe('parseWindows', () => {
  it('[PORT-1] reads what the script writes (untested on Windows)', () => {
    const rows = parseWindows(
      [
        '4 0 133616844000000000 System',
        // The numbers of a real taskkill: see below.
        line(12976, 11572, 0.1234567, 'nginx.exe'),
        line(13800, 12976, 0.2, 'Microsoft Edge Update.exe'),
        '',
      ].join('\r\n'),
    );
    expect([...rows.keys()]).toEqual([4, 12976, 13800]);
    expect(rows.get(12976)).toEqual({
      pid: 12976,
      parent: 11572,
      group: 0,
      session: 0,
      startTime: Date.UTC(2024, 5, 1, 10, 7, 9) * 1_000 + 123_456,
      dead: false,
      command: 'nginx.exe',
    });
    expect(rows.get(13800)).toMatchObject({ parent: 12976, command: 'Microsoft Edge Update.exe' });
  });

  it('[PORT-1] [STRANGER-1] takes no process for the child of a process that is younger', () => {
    // A number is given again at once: https://github.com/rmyorston/busybox-w32/issues/607; parent and child may have one
    // time: https://github.com/giampaolo/psutil/issues/356.
    const rows = parseWindows([line(20, 7, 5), line(21, 20, 4), line(22, 20, 5), line(23, 99, 1)].join('\n'));
    expect(rows.get(21)?.parent).toBe(-20);
    expect(rows.get(22)?.parent).toBe(20);
    expect(rows.get(23)?.parent).toBe(99);
  });

  it.each([
    // A date in the words of a culture, as Select-Object would give it; a table that was wrapped; an error on stdout.
    '12976 11572 01.06.2024 10:07:09 nginx.exe',
    'ProcessId ParentProcessId CreationDate',
    'Get-CimInstance : Access denied',
    '12976 11572',
  ])('[PORT-1] [PROOF-3] throws for a line that is not understood: %s', (wrong) => {
    expect(() => parseWindows(`${HOST}\n${wrong}\n`)).toThrow('PowerShell wrote a line that is no process');
  });
});

describe('findPowerShell', () => {
  it('[PORT-2] says that PowerShell is missing, and where, and crashes nothing', () => {
    expect(() => findPowerShell('/nowhere')).toThrow(
      expect.objectContaining({
        code: 'NOT_SUPPORTED',
        message: expect.stringMatching(/nowhere.*powershell\.exe.*ENOENT/),
      }),
    );
    const locked = () => {
      throw new Error('powershell.exe failed (1): Get-CimInstance : Access denied');
    };
    expect(() => findPowerShell('C:\\Windows', locked)).toThrow(/needs Windows PowerShell.*Access denied/);
    expect(findPowerShell('C:\\Windows', () => line(process.pid, 1, 0)).read(process.pid)).toBeDefined();
  });

  it('[PORT-2] asks without a shell, a profile, a question or a double quote', () => {
    const { tool, args } = windowsListing('C:\\Windows');
    expect(tool).toMatch(/^C:\\Windows.System32.WindowsPowerShell.v1\.0.powershell\.exe$/);
    expect(args).toEqual(expect.arrayContaining(['-NoProfile', '-NonInteractive']));
    expect(args.join('')).not.toContain('"');
  });
});

describe('the ladder on Windows', () => {
  it('[PORT-5] asks by the end of stdin alone, then kills the tree', async () => {
    const { state, target } = machine([line(10, 7, 1), line(11, 10, 2), line(12, 11, 3), line(30, 1, 0)]);
    const closeStdin = vi.fn();
    const started = performance.now();
    const report = await endTree(target(10, closeStdin), GRACES, 'graceful');
    expect(closeStdin).toHaveBeenCalledOnce();
    expect(report.steps.map(({ step, processes }) => [step, processes])).toEqual([
      ['eof', 3],
      ['SIGKILL', 3],
    ]);
    expect(report.survivors).toEqual([]);
    // No termGrace is waited for.
    expect(performance.now() - started).toBeLessThan(30_000);
    expect(state.did).toEqual(['taskkill 10']);
    expect(state.lines).toEqual([HOST, line(30, 1, 0)]);
  });

  it('[PORT-5] kills nothing of a server that obeys', async () => {
    const { state, target, end } = machine([line(10, 7, 1)]);
    const report = await endTree(
      target(10, () => end(10)),
      GRACES,
      'graceful',
    );
    expect(report).toMatchObject({ endedBy: 'eof', survivors: [] });
    expect(state.did).toEqual([]);
  });

  it('[PORT-5] [KIN-1] finds the children of a leader that exited, by the number they keep of it', async () => {
    const { state, tree, end, target } = machine([line(10, 7, 5), line(11, 10, 6), line(12, 11, 7), line(13, 10, 1)]);
    const found = tree(10);
    end(10);
    expect(found.leaderExited().map(({ pid }) => pid)).toEqual([11, 12]);
    const report = await endTree({ ...target(11), tree: found, hasExited: () => true }, GRACES, 'emergency');
    expect(report.survivors).toEqual([]);
    expect(state.did).toEqual(['taskkill 11']);
    // Older than the leader: the child of a process that had its number before.
    expect(state.lines).toEqual([HOST, line(13, 10, 1)]);
  });

  it('[PORT-5] sends nothing but SIGKILL, since Node would make TerminateProcess of any signal', () => {
    const { platform, state } = machine([line(10, 7, 1)]);
    platform.signalProcess(10, 'SIGTERM');
    platform.signalGroup(10, 'SIGTERM');
    expect(state.did).toEqual([]);
    platform.signalProcess(10, 'SIGKILL');
    platform.signalGroup(10, 'SIGKILL');
    expect(state.did).toEqual(['kill 10', 'kill 10']);
    // Windows kills with the host what is in the job of libuv; a detached child is not.
    expect(platform.detached).toBe(false);
  });
});

describe('taskkill', () => {
  it('[PORT-6] [STRANGER-1] is not run when another process has the number by now', () => {
    const { platform, state, row, end } = machine([line(10, 7, 1)]);
    const before = row(10);
    end(10);
    state.lines.push(line(10, 1, 9));
    platform.killTree?.(before);
    end(10);
    platform.killTree?.(before);
    expect(state.did).toEqual([]);
  });

  it.each([
    ['the leader', line(99, 10, 0)],
    ['a member', line(99, 11, 0)],
  ])('[PORT-6] [STRANGER-1] is not run where it would take a stranger for a child of %s', (_who, stranger) => {
    const { platform, state, row } = machine([line(10, 7, 1), line(11, 10, 2), stranger]);
    platform.killTree?.(row(10));
    expect(state.did).toEqual(['kill 10', 'kill 11']);
    expect(state.lines).toEqual([HOST, stranger]);
  });

  it.each<[string, Partial<WindowsTools>]>([
    ['it is missing', { problem: () => 'there is no taskkill' }],
    [
      'the working directory cannot be read',
      {
        problem: () => {
          throw new Error('EACCES');
        },
      },
    ],
    [
      'it cannot be started',
      {
        killTree: () => {
          throw new Error('spawn EMFILE');
        },
      },
    ],
  ])('[PORT-6] each member is killed by itself when %s', (_why, tools) => {
    const { platform, state, row } = machine([line(10, 7, 1), line(11, 10, 2), line(12, 11, 3)], tools);
    platform.killTree?.(row(10));
    expect(state.did).toEqual(['kill 10', 'kill 11', 'kill 12']);
  });

  it.each([
    // What it said to others, by the callback of `exec` and with exit code 128 or 1.
    [
      'https://github.com/lirantal/is-website-vulnerable/issues/110',
      'Command failed: taskkill /pid 15132 /T /F\n错误: 没有找到进程 "15132"。',
    ],
    ['https://github.com/ayedo/tcpkiller/issues/3 (exit code 128)', 'ERROR: process "22524" not found.'],
    [
      'https://github.com/uwerat/qskinny/pull/304',
      'ERROR: The process with PID 5192 (child process of PID 1372) could not be terminated.\nReason: This process can only be terminated forcefully (with /F option).',
    ],
  ])('[PORT-6] what is left when it fails is killed at the next look: %s', async (_source, message) => {
    const { state, target } = machine([line(10, 7, 1), line(11, 10, 2)], {
      killTree: (pid, done) => {
        state.did.push(`taskkill ${pid}`);
        queueMicrotask(() => done(new Error(message)));
      },
    });
    const report = await endTree(target(10), GRACES, 'emergency');
    expect(report.survivors).toEqual([]);
    expect(state.did).toEqual(['taskkill 10', 'kill 10', 'kill 11']);
  });

  it('[PORT-6] that never comes back is given up in bounded time', async () => {
    const { target, state } = machine([line(10, 7, 1)], { killTree: () => {}, kill: () => {} });
    const report = await endTree(target(10), GRACES, 'emergency');
    expect(report.survivors).toEqual([{ pid: 10, command: 'node.exe' }]);
    expect(state.lines).toHaveLength(2);
  });

  it('[PORT-6] is not run when it is missing, or the working directory has one of its own', () => {
    const root = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
    onTestFinished(() => rmSync(root, { recursive: true }));
    const cwd = join(root, 'work');
    mkdirSync(cwd);
    expect(taskkillProblem(root, cwd)).toBe('there is no taskkill');
    mkdirSync(join(root, 'System32'));
    writeFileSync(join(root, 'System32', 'taskkill.exe'), '');
    expect(taskkillProblem(root, cwd)).toBeUndefined();
    writeFileSync(join(cwd, 'TaskKill.bat'), '');
    expect(taskkillProblem(root, cwd)).toMatch(/would run TaskKill\.bat/);
    expect(() => taskkillProblem(root, join(cwd, 'gone'))).toThrow('ENOENT');
  });

  it('[PORT-6] [PORT-2] that cannot be started is no uncaught exception in tree-kill', async () => {
    expect(existsSync('/bin/cmd.exe')).toBe(false);
    const { stdout, stderr, code } = await runHost(
      `
      Object.defineProperty(process, 'platform', { value: 'win32' });
      const { default: treeKill } = await import('tree-kill');
      treeKill(4_194_304, 'SIGKILL', (error) => console.log(error.code));
      `,
    );
    expect({ stdout, stderr, code }).toEqual({ stdout: 'ENOENT\n', stderr: '', code: 0 });
  });
});
