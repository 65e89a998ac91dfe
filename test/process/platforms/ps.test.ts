import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { ServerDefinition } from '../../../src/config/options.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import { listedTable, runTool } from '../../../src/process/platforms/listed-table.js';
import { findPs, parsePs, psListing, psPlatform } from '../../../src/process/platforms/ps.js';
import { identify } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { endTree } from '../../../src/process/tree/termination.js';
import { fixture, wrapped } from '../../helpers/fixture.js';
import { runHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { descendants, isLiving, marked } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const SHORT = { eofGrace: 150, termGrace: 150 };
const LONG = { eofGrace: 60_000, termGrace: 60_000 };

/** A program in the place of ps. */
function fakePs(script: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcp-pool-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'ps');
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

describe('parsePs', () => {
  // Not recorded on a Mac. Columns, their order and `lstart` as `%c` of the C locale: ps(1) of macOS
  // (https://keith.github.io/xcode-man-pages/ps.1.html). Names and numbers of launchd, logd and Messages as in outputs of
  // Macs in https://github.com/fastfetch-cli/fastfetch/issues/984 and https://github.com/vanodevium/processes/pull/3.
  const macOS = [
    '    1     0     1 Ss   Mon May 27 02:00:11 2024     launchd',
    '   93     1    93 Ss   Mon May 27 02:00:16 2024     logd',
    '  472     1   472 S    Mon May 27 02:01:05 2024     Messages',
    ' 9120  9117  9120 Ss   Sat Jun  1 10:07:09 2024     node',
    ' 9121  9120  9120 Z    Sat Jun  1 10:07:10 2024     (sh)',
    ' 9122  9120  9120 R+   Sat Jun  1 10:07:10 2024     Google Chrome He',
    ' 9130     1  9120 U    Sat Jun  1 10:07:10 2024     ',
    ' 9131  9120  9120 Z    -                            (true)',
    '',
  ].join('\n');

  it('[PORT-1] reads the columns of macOS (composed from its manual, untested on a Mac)', () => {
    const rows = parsePs(macOS);
    expect([...rows.keys()]).toEqual([1, 93, 472, 9120, 9121, 9122, 9130, 9131]);
    expect(rows.get(9120)).toEqual({
      pid: 9120,
      parent: 9117,
      group: 9120,
      session: 0,
      startTime: Date.UTC(2024, 5, 1, 10, 7, 9) / 1_000,
      dead: false,
      command: 'node',
    });
    expect(rows.get(9121)).toMatchObject({ dead: true });
    expect(rows.get(9122)).toMatchObject({ dead: false, command: 'Google Chrome He' });
    expect(rows.get(9130)).toMatchObject({ dead: false, command: '' });
    expect(rows.get(9131)).toMatchObject({ dead: true });
  });

  it('[PORT-1] reads what procps wrote (recorded here, procps-ng 4.0.2)', () => {
    const rows = parsePs(
      [
        '28419     2     0 I    Sun Nov 22 03:30:10 2026 kworker/1:0-mm_percpu_wq',
        '28769     1 28769 S    Sun Nov 22 03:30:34 2026 memfd:sealed-91',
        '28770 28769 28770 Ss   Sun Nov 22 03:30:34 2026 bash',
      ].join('\n'),
    );
    expect(rows.get(28419)).toMatchObject({ parent: 2, group: 0, command: 'kworker/1:0-mm_percpu_wq' });
    expect(rows.get(28770)).toMatchObject({ parent: 28769, group: 28770, dead: false });
  });

  it('[PORT-1] reads any name', () => {
    const name = fc.string({ unit: fc.constantFrom(...'ab ()-19:Z'), maxLength: 16 });
    fc.assert(
      fc.property(fc.nat(99_999), name, (pid, command) => {
        const row = parsePs(`${pid} 1 ${pid} S Mon May 27 02:00:11 2024 ${command}`).get(pid);
        expect(row?.command).toBe(command.trim());
      }),
    );
  });

  it.each([
    // https://ss64.com/mac/ps.html: `start` in the place of `lstart`; then another language; then a line cut off.
    '12 1 12 S 10:07AM node',
    '12 1 12 S Sa 1 Jun 10:07:09 2024 node',
    '12 1 12 S Mon May 27 02:0',
    '12 1 12 S -',
  ])('[PORT-1] [PROOF-3] throws for a line that is not understood: %s', (line) => {
    expect(() => parsePs(`1 0 1 Ss Mon May 27 02:00:11 2024 launchd\n${line}\n`)).toThrow(/^ps /);
  });
});

describe('findPs', () => {
  const code = 'NOT_SUPPORTED';
  it.each([
    // What busybox says, from the issues of users that met it.
    [
      'https://github.com/fish-shell/fish-shell/issues/6918',
      "echo 'ps: unrecognized option: x' >&2; echo 'BusyBox v1.31.1 (2020-04-18 19:11:24 CEST) multi-call binary.' >&2; exit 1",
      /failed \(1\): ps: unrecognized option: x/,
    ],
    [
      'https://github.com/gliderlabs/docker-alpine/issues/173',
      'echo "ps: bad -o argument \'lstart\', supported arguments: user,group,comm,args,pid,ppid,pgid,etime,nice,rgroup,ruser,time,tty,vsz,stat,rss" >&2; exit 1',
      /bad -o argument 'lstart'/,
    ],
    // `just ps shows …`: it ignores what it does not know, in a comment of https://github.com/jimsalterjrs/sanoid/pull/494.
    ['another table', "echo 'PID   USER     TIME  COMMAND'; echo '    1 root      0:00 /sbin/init'", /does not show/],
    ['nothing', 'exit 0', /does not show the process that asks/],
    ['killed', 'kill -9 $$', /failed \(SIGKILL\)/],
  ])('[PORT-2] refuses a ps that cannot say what is needed: %s', (_source, script, message) => {
    const place = fakePs(script);
    expect(() => findPs([place])).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
    expect(() => findPs([place])).toThrow(place);
  });

  it('[PORT-2] says where it has looked for ps when there is none, and crashes nothing', () => {
    const missing = ['/nowhere/ps', '/nowhere/else/ps'];
    expect(() => findPs(missing)).toThrow(expect.objectContaining({ code }));
    expect(() => findPs(missing)).toThrow(/ENOENT.*\/nowhere\/else\/ps/);
    expect(findPs([...missing, '/usr/bin/ps']).read(process.pid)).toBeDefined();
  });

  it('[PORT-2] needs no PATH', async () => {
    const { stdout } = await runHost(
      `
      const { findPs } = await import(SRC + '/process/platforms/ps.js');
      console.log(findPs().read(process.pid).pid === process.pid);
      `,
      { env: { PATH: '/nowhere' } },
    );
    expect(stdout).toBe('true\n');
  });
});

describe('the table of ps, here that of Linux', () => {
  it('[PORT-4] agrees with /proc', () => {
    const child = spawn('sleep', ['100'], { stdio: 'ignore', detached: true });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const pid = child.pid as number;
    const table = findPs();
    const { group, parent, dead } = linuxProcessTable.read(pid) as NonNullable<
      ReturnType<typeof linuxProcessTable.read>
    >;
    const row = table.read(pid);
    expect(row).toMatchObject({ pid, group, parent, dead });
    // The clock of the kernel is read in another way than ours, and both are cut to seconds.
    expect(Math.abs((row?.startTime ?? 0) - Date.now() / 1_000)).toBeLessThan(60);
    table.forget();
    expect(table.read(pid)?.startTime).toBe(row?.startTime);
    expect(table.read(4_194_304)).toBeUndefined();
  });

  it('[PORT-1] has one identity for a process in every time zone and language', async () => {
    const script = `
      const { findPs } = await import(SRC + '/process/platforms/ps.js');
      console.log(findPs().read(process.ppid).startTime);
    `;
    const seen = await Promise.all(
      ['Asia/Tokyo', 'America/New_York'].map((TZ) => runHost(script, { env: { TZ, LC_ALL: 'ja_JP.UTF-8' } })),
    );
    expect(new Set(seen.map(({ stdout }) => stdout))).toEqual(new Set([`${findPs().read(process.pid)?.startTime}\n`]));
  });

  it('[PROOF-2] [PORT-4] says of a zombie that it is dead', async () => {
    const child = spawn('/bin/sh', ['-c', 'true & exec sleep 100'], { stdio: 'ignore', detached: true });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const table = findPs();
    await until('there is a zombie', () => {
      table.forget();
      return [...table.scan().values()].some((row) => row.parent === child.pid && row.dead);
    });
  });

  it('[PROOF-3] does not say of a process that it is gone because no descriptor is left to look', async () => {
    const { stdout, stderr } = await runHost(
      `
      import { openSync, closeSync } from 'node:fs';
      const { findPs } = await import(SRC + '/process/platforms/ps.js');
      const table = findPs();
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null', 'r')); } catch {}
      table.forget();
      let found;
      try { found = table.read(process.pid) === undefined ? 'gone' : 'there' } catch (error) { found = error.code }
      for (const descriptor of taken) closeSync(descriptor);
      console.log(found, table.read(process.pid).pid === process.pid);
      `,
      { before: 'ulimit -n 60' },
    );
    expect(stderr).toBe('');
    expect(stdout).toBe('EMFILE true\n');
  });
});

describe('the ladder over ps', () => {
  const platform = psPlatform();

  async function running(definition: ServerDefinition, graces: Partial<ServerDefinition> = LONG) {
    const server = launch({ ...definition, ...graces }, { listen: true, platform });
    await server.request('initialize');
    return server;
  }

  it.each([
    ['one that obeys', fixture('echo'), LONG, ['eof']],
    ['one that ignores everything', fixture('ignore-eof-and-term'), SHORT, ['eof', 'SIGTERM', 'SIGKILL']],
    ['one in a shell', wrapped('ignore-eof-and-term'), SHORT, ['eof', 'SIGTERM', 'SIGKILL']],
    [
      '1+50, each in a session of its own',
      fixture('fork-tree', '--count=50', '--ignore-term', '--ignore-eof', '--setsid'),
      SHORT,
      ['eof', 'SIGTERM', 'SIGKILL'],
    ],
  ])('[PORT-4] ends %s', async (_what, definition, graces, steps) => {
    const stranger = spawn('sleep', ['100'], { stdio: 'ignore' });
    onTestFinished(() => {
      stranger.kill('SIGKILL');
    });
    const server = await running(definition, graces);
    const tree = descendants(server.pid).map(({ pid }) => pid);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report.steps.map(({ step }) => step)).toEqual(steps);
    expect(report.steps[0]?.processes).toBe(tree.length + 1);
    expect(report.survivors).toEqual([]);
    expect([server.pid, ...tree].filter(isLiving)).toEqual([]);
    expect(isLiving(stranger.pid as number)).toBe(true);
  });

  it('[PORT-4] ends what a server has left behind that exited by itself', async () => {
    const server = await running(fixture('helper-holds-stdout', '--exit'));
    const helper = Number(await server.callTool('helper'));
    await server.exited;
    expect(isLiving(helper)).toBe(true);
    const report = await server.process.end({ mode: 'graceful' });
    expect(report).toMatchObject({ endedBy: 'SIGTERM', survivors: [] });
    expect(isLiving(helper)).toBe(false);
  });

  it('[PORT-4] [STRANGER-1] sends no signal to a stranger that has got the pid of the leader', async () => {
    const child = spawn('sleep', ['100'], { stdio: 'ignore', detached: true });
    onTestFinished(() => {
      child.kill('SIGKILL');
    });
    const pid = child.pid as number;
    const startTime = identify(platform.table, pid) as number;
    const tree = new ProcessTree(platform.table, { pid, startTime: startTime - 1 });
    const target = { pid, platform, tree, closeStdin: () => {}, hasExited: () => false, onceExited: () => {} };
    for (const mode of ['graceful', 'emergency'] as const) {
      expect(await endTree(target, SHORT, mode)).toMatchObject({ endedBy: 'exit', steps: [], survivors: [] });
    }
    expect(isLiving(pid)).toBe(true);
  });

  it('[PORT-3] kills the trees of all servers with one look in the last tick of the host', async () => {
    let looks = 0;
    const table = listedTable({ ...psListing('/bin/ps'), keep: 60_000 }, (listing) => {
      looks += 1;
      return runTool(listing);
    });
    const servers = await Promise.all(
      [1, 2, 3].map(async () => {
        const server = launch(fixture('fork-tree', '--count=2', '--ignore-term'), { platform: psPlatform(table) });
        await server.request('initialize');
        return server;
      }),
    );
    table.forget();
    looks = 0;
    for (const { process: server } of servers) server.killNow();
    expect(looks).toBe(1);
    await until('all are dead', () => marked().length === 0);
  });
});
