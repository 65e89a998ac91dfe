import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ServerProcess } from '../../../src/process/launcher.js';
import { linux } from '../../../src/process/platforms/linux.js';
import { linuxProcessTable } from '../../../src/process/platforms/linux-table.js';
import type { TreeUsage } from '../../../src/process/usage/tree-usage.js';
import { fixture } from '../../helpers/fixture.js';
import { runHost } from '../../helpers/host.js';
import { launch } from '../../helpers/launch.js';
import { descendants, MARKER, readProcess } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

const NODE = JSON.stringify(process.execPath);

/** A server that is a shell with this script. */
function shell(script: string) {
  return { command: '/bin/sh', args: ['-c', script], inheritEnv: [MARKER] };
}

/** A shell command: Node with this code. The code must have no single quotes. */
const node = (code: string) => `${NODE} -e '${code}'`;

/** Uses as much CPU time as it says, ms, and no less on a busy machine. */
const burn = (ms: number) => `while (process.cpuUsage().user < ${ms * 1_000});`;

async function usageOf(server: ServerProcess): Promise<TreeUsage> {
  const usage = await server.usage?.();
  if (usage === undefined) throw new Error('nothing was started');
  return usage;
}

/** The sum of lines with that name in a file of /proc, in its unit. Read without the code under test. */
function sumOf(pid: number, file: string, line: RegExp): number {
  const found = readFileSync(`/proc/${pid}/${file}`, 'utf8').matchAll(line);
  return [...found].reduce((sum, [, value]) => sum + Number(value), 0);
}

const privateMB = (pid: number) => sumOf(pid, 'smaps_rollup', /^Private_\w+:\s+(\d+) kB$/gm) / 1_024;

/** What a process and all that it has collected have used, ms. */
function cpuTimeOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * 10, 0);
}

describe('usage() of a server', () => {
  it('[USAGE-1] measures a shell by the memory of the Node below it', async () => {
    const server = launch(
      shell(`${node('globalThis.held = Buffer.alloc(150e6, 1); setInterval(() => {}, 1e3)')}; true`),
    );
    const usage = await until('the memory is there', async () => {
      const now = await usageOf(server.process);
      return now.memoryMB > 143 && now;
    });
    const [below] = descendants(server.pid);
    const [shellPid, nodePid] = [server.pid, below?.pid as number];
    const rss = (pid: number) => sumOf(pid, 'status', /^VmRSS:\s+(\d+) kB$/gm) / 1_024;
    expect(usage.processes).toBe(2);
    expect(usage.memoryMB).toBeLessThan(usage.residentMB);
    expect(usage.residentMB).toBeGreaterThan(0.8 * (rss(shellPid) + rss(nodePid)));
    expect(rss(shellPid)).toBeLessThan(20);
    expect(usage.uptime).toBeGreaterThan(0);
  });

  it("[USAGE-1] measures with containment: 'group' what is in the group, and nothing else", async () => {
    const server = launch({ ...shell('setsid sleep 1000 & sleep 1000 & wait'), containment: 'group' });
    const helper = await until('the helper has a session of its own', () =>
      descendants(server.pid).find(({ pid, session }) => session === pid),
    );
    await until('the shell and its other helper are counted', async () => {
      return (await usageOf(server.process)).processes === 2;
    });
    process.kill(helper.pid, 'SIGKILL');
  });

  it('[USAGE-2] counts threads of the living, and zombies apart from them', async () => {
    const server = launch(shell(`true & exec ${node('setInterval(() => {}, 1e3)')}`));
    const usage = await until('there are a zombie and threads', async () => {
      const now = await usageOf(server.process);
      return now.zombies === 1 && now.threads > 1 && now;
    });
    expect(usage.processes).toBe(1);
    await until('the threads are those that the kernel shows', async () => {
      const before = sumOf(server.pid, 'status', /^Threads:\s+(\d+)$/gm);
      return (await usageOf(server.process)).threads === before;
    });
  });

  it('[USAGE-3] counts the CPU time of children that have exited, also when no sample has seen them', async () => {
    const server = launch({ ...shell(`${node(burn(300))}; exec sleep 1000`), containment: 'markers' });
    await until('the shell has become another program', () => readProcess(server.pid)?.command === 'sleep');
    const usage = await usageOf(server.process);
    expect(usage).toMatchObject({ processes: 1, zombies: 0 });
    expect(usage.cpuTime).toBeGreaterThanOrEqual(300);
  });

  it('[USAGE-3] keeps what an orphan has used that init has collected', async () => {
    const orphan = node(`${burn(300)} setTimeout(() => {}, 1e6)`);
    const server = launch({ ...shell(`(${orphan} & echo $! >&2); exec sleep 1000`), containment: 'markers' });
    const pid = Number(await until('it is started', () => server.process.stderrTail.trim()));
    const before = await until('it was seen at work', async () => {
      const now = await usageOf(server.process);
      return now.cpuTime >= 300 && now;
    });
    process.kill(pid, 'SIGKILL');
    const after = await until('it is gone', async () => {
      const now = await usageOf(server.process);
      return now.processes === 1 && now;
    });
    expect(after.cpuTime).toBeGreaterThanOrEqual(before.cpuTime);
  });

  it('[USAGE-5] [USAGE-3] stands a tree whose members vanish during the samples, and counts their CPU time once', async () => {
    // Each child uses some hundredths of a second, which a sample may see before its parent collects it.
    const work = '(n=0; while [ $n -lt 40000 ]; do n=$((n+1)); done)';
    const loop = `while [ -z "$over" ]; do for i in 1 2 3; do ${work} & done; wait; done`;
    const server = launch({
      ...shell(`trap 'over=1' USR1; ${loop}; wait; exec sleep 1000`),
      containment: 'markers',
    });
    let last = await usageOf(server.process);
    const sample = async () => {
      const now = await usageOf(server.process);
      expect(now.cpuTime).toBeGreaterThanOrEqual(last.cpuTime);
      last = now;
      return cpuTimeOf(server.pid) >= 1_500;
    };
    await until('the kernel has counted a second and a half', sample, { interval: 0 });
    process.kill(server.pid, 'SIGUSR1');
    await until('the shell has collected all of them', () => readProcess(server.pid)?.command === 'sleep');
    const { cpuTime } = await usageOf(server.process);
    // A hundredth of a second for each counter, which has that resolution.
    const used = cpuTimeOf(server.pid);
    expect(cpuTime).toBeLessThanOrEqual(used + 40);
    expect(cpuTime).toBeGreaterThanOrEqual(used - 40);
  });

  it('[USAGE-6] reports of ten servers what only they hold, within 10 % of what the kernel says of each', async () => {
    const servers = Array.from({ length: 10 }, () => launch(fixture('echo')));
    await Promise.all(servers.map((server) => server.request('initialize', { protocolVersion: '2025-11-25' })));
    await until('both agree', async () => {
      const usages = await Promise.all(servers.map(({ process }) => usageOf(process)));
      const reported = usages.reduce((sum, { memoryMB }) => sum + memoryMB, 0);
      const unique = servers.reduce((sum, { pid }) => sum + privateMB(pid), 0);
      return Math.abs(reported / unique - 1) < 0.1;
    });
  });

  it('[USAGE-7] takes one look at the process table for all servers that are asked in one tick', async () => {
    let scans = 0;
    const scan = () => {
      scans += 1;
      return linuxProcessTable.scan();
    };
    const table = { ...linuxProcessTable, scan, pids: () => [...scan().keys()] };
    const servers = [1, 2, 3].map(() => launch({ command: '/bin/cat' }, { table }));
    scans = 0;
    const usages = await Promise.all(servers.map(({ process }) => usageOf(process)));
    expect(scans).toBe(1);
    expect(usages.map(({ processes }) => processes)).toEqual([1, 1, 1]);
  });

  it('[USAGE-8] after the exit of the leader measures what still lives, and nothing after the end', async () => {
    const server = launch(shell('setsid sleep 1000 & sleep 1000 & read line; exit 0'));
    await until('both are there', async () => (await usageOf(server.process)).processes === 3);
    const before = await usageOf(server.process);
    const end = server.process.end({ mode: 'graceful', graces: { eofGrace: 60_000, termGrace: 60_000 } });
    await server.exited;
    const after = await usageOf(server.process);
    expect(after.processes).toBeLessThanOrEqual(2);
    await end;
    const dead = await usageOf(server.process);
    expect(dead).toMatchObject({ processes: 0, zombies: 0, threads: 0, memoryMB: 0, residentMB: 0 });
    expect(dead.cpuTime).toBeGreaterThanOrEqual(before.cpuTime);
  });

  it('[USAGE-8] is undefined when nothing was started', async () => {
    const server = launch({ command: '/bin/cat' }, { platform: { ...linux, usage: undefined } });
    expect(await server.process.usage?.()).toBeUndefined();
    expect(await server.process.detailedUsage?.()).toBeUndefined();
  });

  it('[USAGE-9] says on demand how many descriptors are open, and the proportional memory', async () => {
    const server = launch(shell('exec 5</dev/null; sleep 1000 & exec sleep 1000'));
    await until('both are there', async () => (await usageOf(server.process)).processes === 2);
    await until('what it says is what the kernel shows', async () => {
      const usage = await server.process.detailedUsage?.();
      const pids = [server.pid, ...descendants(server.pid).map(({ pid }) => pid)];
      const pss = pids.reduce((sum, pid) => sum + sumOf(pid, 'smaps_rollup', /^Pss:\s+(\d+) kB$/gm), 0) / 1_024;
      const open = pids.reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0);
      expect(usage?.hidden).toBe(0);
      return usage?.descriptors === open && Math.abs((usage.pssMB ?? 0) / pss - 1) < 0.5;
    });
  });
});

describe('usage() of a host without free descriptors', () => {
  it('[USAGE-10] gives up what it keeps open, and then fails with the errno until there are some again', async () => {
    const { stdout, stderr } = await runHost(
      `
      const { spawn } = await import('node:child_process');
      const { closeSync, openSync, readdirSync, readlinkSync } = await import('node:fs');
      const { linux } = await import(SRC + '/process/platforms/linux.js');
      const { watchedTree } = await import(SRC + '/process/tree/watched-tree.js');
      const children = [1, 2, 3, 4].map(() => spawn('sleep', ['60'], { stdio: 'ignore' }));
      const trees = children.map(({ pid }) => watchedTree(linux, pid));
      const sample = () => Promise.all(trees.map((tree) => tree.usage())).then(
        (all) => all.map(({ processes, memoryMB }) => processes === 1 && memoryMB > 0).join(),
        ({ code }) => code,
      );
      const taken = [];
      const takeAll = () => {
        try {
          for (;;) taken.push(openSync('/dev/null', 'r'));
        } catch {}
      };
      const openFiles = () => {
        const names = readdirSync('/proc/self/fd').map((name) => {
          try {
            return readlinkSync('/proc/self/fd/' + name);
          } catch {}
        });
        return ['stat', 'statm'].map((file) => names.filter((name) => name?.endsWith('/' + file)).length);
      };
      const said = [await sample()];
      const left = [openFiles()];
      for (let time = 0; time < 3; time++) {
        takeAll();
        said.push(await sample());
        // To look at them takes one.
        closeSync(taken.pop());
        left.push(openFiles());
      }
      for (const descriptor of taken) closeSync(descriptor);
      said.push(await sample());
      for (const tree of trees) tree.close();
      left.push(openFiles());
      for (const child of children) child.kill('SIGKILL');
      console.log(JSON.stringify({ said, left }));
      process.exit();
      `,
      { before: 'ulimit -n 80' },
    );
    expect(stderr).toBe('');
    const four = 'true,true,true,true';
    const { said, left } = JSON.parse(stdout) as { said: string[]; left: [held: number, kept: number][] };
    expect(said).toEqual([four, four, four, 'EMFILE', four]);
    // First what is kept for measuring, then that by which processes are told apart.
    expect(left.slice(0, 3)).toEqual([
      [4, 4],
      [4, 0],
      [0, 0],
    ]);
    expect(left.at(-1)).toEqual([0, 0]);
  });
});
