import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { MCPServerPool } from '../../src/index.js';
import { fixture } from '../helpers/fixture.js';
import { connect, kill, type Session, temporaryPath } from '../helpers/load.js';
import { open, record } from '../helpers/real-pool.js';
import { rejection, until } from '../helpers/until.js';

describe('tools that are not the same after a restart', () => {
  function changing() {
    const file = temporaryPath('tools.json');
    const has = (tools: Record<string, string>) => writeFileSync(file, JSON.stringify(tools));
    has({ kept: 'same', lost: 'soon', altered: 'before' });
    const pool = open({ tools: { ...fixture('tools-from-file', `--tools=${file}`, '--page=2'), sharing: 'shared' } });
    const changed = record(pool, 'tools:changed');
    const restarted = record(pool, 'server:restarted');
    return { pool, has, changed, restarted };
  }
  const LIST_CHANGED = 'notifications/tools/list_changed';

  /** As an SDK client does: all pages. */
  async function list({ client }: Session): Promise<string[]> {
    const names: string[] = [];
    let cursor: string | undefined;
    do {
      const page = (await client.request('tools/list', cursor === undefined ? {} : { cursor })) as {
        tools: { name: string }[];
        nextCursor?: string;
      };
      names.push(...page.tools.map(({ name }) => name));
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return names;
  }

  const ways: [string, (pool: MCPServerPool, pid: number | undefined) => void][] = [
    ['a crash', (_, pid) => kill(pid)],
    ['pool.restart()', (pool) => void pool.restart('tools')],
  ];
  it.each(ways)('[REAL-6] are reported by an event with names, and to every client, after %s', async (_, restart) => {
    const { pool, has, changed } = changing();
    const sessions = [await connect(pool), await connect(pool), await connect(pool)] as const;
    const [one, two] = sessions;
    expect(await list(one)).toEqual(['kept', 'lost', 'altered']);
    has({ kept: 'same', altered: 'after', added: 'new' });
    restart(pool, one.lease.pid);
    const [event] = await until('it is reported', () => changed.length === 1 && changed);
    expect(event).toMatchObject({ name: 'tools', lost: ['lost'], added: ['added'], changed: ['altered'] });
    expect(event).toMatchObject({ pid: one.lease.pid, instanceId: one.lease.instanceId });
    for (const { client } of sessions) expect(client.notifications(LIST_CHANGED).length).toBe(1);
    expect(await list(two)).toEqual(['kept', 'altered', 'added']);
    expect(await two.client.callTool('added')).toBe('new');
    expect(await rejection(one.client.callTool('lost'))).toMatchObject({ code: -32_602 });
  });

  it('[REAL-6] say nothing when they are the same', async () => {
    const { pool, changed, restarted } = changing();
    const session = await connect(pool);
    await list(session);
    kill(session.lease.pid);
    await until('it was restarted', () => restarted.length === 1);
    await list(session);
    expect(changed).toEqual([]);
    expect(session.client.notifications(LIST_CHANGED)).toEqual([]);
  });

  it('[REAL-6] are reported once it lives, though the next process crashed before it had listed its tools', async () => {
    const { pool, has, changed, restarted } = changing();
    const session = await connect(pool);
    await list(session);
    pool.once('server:restarted', ({ pid }) => {
      has({ kept: 'same' });
      kill(pid);
    });
    kill(session.lease.pid);
    await until('it was restarted twice', () => restarted.length === 2);
    await until('it is reported', () => changed.length === 1);
    expect(changed).toMatchObject([{ lost: ['lost', 'altered'], added: [], changed: [] }]);
    expect(session.client.notifications(LIST_CHANGED).length).toBe(1);
  });
});
