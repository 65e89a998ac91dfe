import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { InnerHosts } from '../../../src/process/marks/inner-hosts.js';
import { readMarks } from '../../../src/process/marks/mark-reader.js';
import { MarkSearch } from '../../../src/process/marks/mark-search.js';
import {
  hostMark,
  MARK_VARIABLE,
  markText,
  type NamedHost,
  newHostMark,
  rlimitValue,
} from '../../../src/process/marks/marker.js';
import { sweep } from '../../../src/process/marks/sweep.js';
import { linux } from '../../../src/process/platforms/linux.js';
import type { ProcessRow } from '../../../src/process/process-table.js';
import { ProcessTree } from '../../../src/process/tree/process-tree.js';
import { compiledSource } from '../../helpers/compiled.js';
import { ESCAPES, newTag, tagged } from '../../helpers/escapes.js';
import { fixture } from '../../helpers/fixture.js';

import { isLiving, livingProcesses, MARKER } from '../../helpers/processes.js';
import { open } from '../../helpers/real-pool.js';
import { until } from '../../helpers/until.js';

const GRACES = { eofGrace: 300, termGrace: 100 };

/** Servers that lose their processes in every way, by name, each with a tag of its own. */
function escaping() {
  const tags = Object.keys(ESCAPES).map(() => newTag());
  const servers = Object.values(ESCAPES).map((script, index) => {
    const args = ['-c', script, tags[index]];
    return [`s${index}`, { command: 'sh', args, inheritEnv: [MARKER], ...GRACES }];
  });
  return { tags, servers: Object.fromEntries(servers) };
}

/** A pool with a lease on a gateway with a pool of its own that runs servers with all escapes. */
async function nested(...flags: string[]) {
  const { tags, servers } = escaping();
  const args = [`--src=${compiledSource()}`, `--servers=${JSON.stringify(servers)}`, ...flags];
  const gateway = { ...fixture('pool-inside', ...args), onCrash: 'close' as const, reuse: 'never' as const, ...GRACES };
  const pool = open({ gateway });
  const lease = await pool.getServer('gateway');
  await until('all have escaped', () => tags.every((tag) => tagged(tag).length > 0));
  await until('and those that sleep are there', () => {
    return tags.every((tag, index) => {
      const chain = Object.keys(ESCAPES)[index]?.startsWith('fork chain');
      return chain || tagged(tag).some(({ command }) => command === 'sleep' || command === 'node');
    });
  });
  return { pool, lease, left: () => tags.flatMap(tagged) };
}

describe('a pool in a pooled server', () => {
  it.each(['graceful', 'emergency'] as const)('[MARK-10] [MARK-7] leaves nothing after %s shutdown', async (mode) => {
    const { pool, left } = await nested('--abrupt');
    expect((await pool.shutdown({ mode })).survivors).toEqual([]);
    expect(left()).toEqual([]);
  });

  it.each(['by itself', '--abrupt'])(
    '[MARK-10] leaves nothing after the release of its server, which ends %s',
    async (how) => {
      const { pool, lease, left } = await nested(how);
      lease.release();
      await lease.ended;
      await until('it is ended', () => pool.status().processes === 0);
      expect(left()).toEqual([]);
    },
  );

  it('[MARK-10] leaves nothing when its host is killed', async () => {
    const { pool, lease, left } = await nested();
    process.kill(lease.pid as number, 'SIGKILL');
    await until('it is ended', () => pool.status().processes === 0);
    expect(left()).toEqual([]);
  });
});

/** A process with this mark as its limit, and this text, if any, in the variable. */
async function marked(limit: bigint, variable?: string, withHelper = false) {
  // The first sleeps with an empty environment, in the group of the second.
  const helper = withHelper ? 'env -i sleep 49 & ' : '';
  const script = `ulimit -S -w "$1" 2>/dev/null || ulimit -S -x "$1"; ${helper}exec sleep 50`;
  const env = variable === undefined ? {} : { [MARK_VARIABLE]: variable };
  const child = spawn('sh', ['-c', script, 'sh', `${limit}`], { env, stdio: 'ignore', detached: true });
  onTestFinished(() => {
    if (child.exitCode === null && child.signalCode === null) linux.signalGroup(pid, 'SIGKILL');
  });
  const pid = child.pid as number;
  await until('it is marked', () => readFileSync(`/proc/${pid}/comm`, 'latin1') === 'sleep\n');
  return pid;
}

describe('what a server writes after our mark', () => {
  const ours = { host: newHostMark(), instance: 1 };
  const inner = { host: newHostMark(), instance: 1 };
  const own = markText(ours);
  /** A mark that a server writes: it cannot know the key of that host. */
  const written = (host: NamedHost, instance: number) => `${host.id}.${instance}.${'0'.repeat(32)}`;
  const user = process.geteuid?.() ?? 0;

  it('[MARK-10] [MARK-5] ends a process that names no host and bears the limit of an inner host, and no other', async () => {
    const outer = { host: newHostMark(), instance: 1 };
    const neighbour = { host: ours.host, instance: 2 };
    const chain = [outer, ours, inner, neighbour]
      .map((mark) => (mark === ours ? own : written(mark.host, mark.instance)))
      .join(':');
    // The first ones are looked at before the chain is read.
    const emptied = await marked(rlimitValue({ ...inner, instance: 7 }));
    const others = [
      await marked(rlimitValue({ ...inner, instance: 8 }), written(inner.host, 8)),
      await marked(rlimitValue(outer)),
      await marked(rlimitValue(neighbour)),
      await marked(rlimitValue({ host: newHostMark(), instance: 1 })),
    ];
    const author = await marked(rlimitValue(inner), chain);
    const { killed, quiet } = await sweep(ours, linux);
    expect(quiet).toBe(true);
    expect(killed.map(({ pid }) => pid).sort()).toEqual([emptied, author].sort());
    expect(others.filter(isLiving)).toEqual(others);
  });

  it('[MARK-10] [MARK-5] ends no process that shares a group with one it ends', async () => {
    const author = linux.table.read(await marked(rlimitValue(ours), `${own}:${written(inner.host, 1)}`)) as ProcessRow;
    const server = await marked(rlimitValue({ ...inner, instance: 9 }), written(inner.host, 9), true);
    const helper = await until('its helper is there', () => {
      return livingProcesses().find(({ parent, command }) => parent === server && command === 'sleep');
    });
    const tree = new ProcessTree(linux.table, author, {
      marks: new MarkSearch(ours, { table: linux.table, readMark: readMarks }),
    });
    const members = tree.refresh();
    expect(members.map(({ pid }) => pid).sort()).toEqual([author.pid, helper.pid].sort());
    expect([...tree.groupsOf(members)]).toEqual([author.pid]);
    await sweep(ours, linux);
    expect([server, helper.pid].map(isLiving)).toEqual([true, false]);
    tree.forget();
  });

  it('[MARK-10] [MARK-5] ends no process that is older than the server that wrote it', async () => {
    const older = await marked(rlimitValue({ ...inner, instance: 7 }));
    const since = (linux.table.read(older)?.startTime ?? 0) + 1;
    const hosts = new InnerHosts(ours);
    hosts.learn([own, written(inner.host, 1)], user);
    expect((await sweep(ours, linux, { since, inner: hosts })).killed).toEqual([]);
    expect((await sweep(ours, linux, { since: since - 1, inner: hosts })).killed).toMatchObject([{ pid: older }]);
  });

  it('[MARK-10] names no host that we are in, whatever its text: the limit holds a number alone', () => {
    const twin = { ...hostMark(), id: `${hostMark().id.slice(0, 8)}${'0'.repeat(24)}` };
    const hosts = new InnerHosts(ours);
    hosts.learn([own, written(twin, 3), written(ours.host, 4)], user);
    expect(hosts.size).toBe(0);
    hosts.learn([own, written(inner.host, 3)], user);
    expect([hosts.size, hosts.includes(rlimitValue(inner), user)]).toEqual([1, true]);
    // Another shows that it is around us.
    hosts.learn([written(inner.host, 3), own], user);
    expect([hosts.size, hosts.includes(rlimitValue(inner), user)]).toEqual([0, false]);
    hosts.learn([written(inner.host, 3)], user);
    expect(hosts.size).toBe(0);
  });

  it('[MARK-10] is remembered up to a bound', () => {
    const hosts = new InnerHosts(ours);
    for (let one = 0; one < 400; one++) hosts.learn([own, written(newHostMark(), 1)], user);
    expect(hosts.size).toBe(256);
  });
});
