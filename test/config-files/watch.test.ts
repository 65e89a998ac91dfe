import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, it } from 'vitest';
import { watchMcpConfig } from '../../src/config.js';
import { setUp } from '../helpers/fake-pool.js';
import { newFolder } from '../helpers/folders.js';
import { flush, until } from '../helpers/until.js';
import { contentOf, serversOf, watched } from '../helpers/watched-config.js';

/** ms. */
const NEVER = 1_000_000_000;

describe('a watched file', () => {
  it('[CONFIG-11] is applied at once, then after 500 ms of quiet', async () => {
    const path = join(newFolder(), 'servers.json');
    writeFileSync(path, contentOf('a', 'b'));
    const { watch, names, settles, events, clock } = watched(path);
    await watch.ready;
    expect(names()).toEqual(['a', 'b']);
    writeFileSync(path, contentOf('b', 'c'));
    await until('the change is seen', () => clock.pending === 2);
    clock.advance(499);
    await flush();
    expect(names()).toEqual(['a', 'b']);
    await settles('applied', () => names().join() === 'b,c');
    expect(events).toMatchObject([
      ['config:applied', { source: path, added: ['a', 'b'] }],
      ['config:applied', { added: ['c'], removed: ['a'], unchanged: ['b'] }],
    ]);
  });

  it('[CONFIG-11] that changes all the time is applied once, when it is quiet', async () => {
    const { watch, path, clock, names, events, settles } = watched();
    await watch.ready;
    for (let change = 0; change < 100; change++) {
      writeFileSync(path, contentOf(`server-${change}`));
      if (change % 10 === 0) await until('the change is seen', () => clock.pending === 2);
      clock.advance(10);
      await flush();
    }
    expect(names()).toEqual([]);
    await settles('applied', () => names().length > 0);
    expect(names()).toEqual(['server-99']);
    expect(events.filter(([event]) => event === 'config:applied')).toHaveLength(1);
  });

  it('[CONFIG-12] that is missing, half-written or wrong leaves the last good one in force; told once', async () => {
    const { watch, path, names, events, settles, clock } = watched();
    await watch.ready;
    expect(events).toMatchObject([['config:rejected', { file: path, kept: [] }]]);
    expect(events[0]?.[1]).toMatchObject({ problems: [{ message: 'the file does not exist' }] });
    writeFileSync(path, contentOf('a'));
    await settles('made', () => names().join() === 'a');
    writeFileSync(path, contentOf('a', 'b').slice(0, -5));
    await settles('half-written', () => events.length === 3);
    expect(events[2]).toMatchObject(['config:rejected', { kept: ['a'], problems: [{ kind: 'file', line: 1 }] }]);
    rmSync(path);
    await settles('removed', () => events.length === 4);
    for (let poll = 0; poll < 5; poll++) await clock.advanceAndFlush(5_000);
    expect(names()).toEqual(['a']);
    expect(events).toHaveLength(4);
    chmodSync(dirname(path), 0o700);
    writeFileSync(path, contentOf('a'));
    await settles('there again', () => !events.slice(4).some(([event]) => event === 'config:applied'));
    expect(names()).toEqual(['a']);
  });

  it('[CONFIG-12] a wrong entry keeps its earlier definition, and the others are applied', async () => {
    const path = join(newFolder(), 'servers.json');
    writeFileSync(path, contentOf('a', 'b'));
    const { watch, pool, names, events, settles } = watched(path);
    await watch.ready;
    const changed = { a: { command: '' }, b: { command: 'b', args: ['2'] }, c: { command: 'c' }, d: { args: [] } };
    writeFileSync(path, JSON.stringify({ mcpServers: changed }));
    await settles('applied', () => events.length === 3);
    expect(names()).toEqual(['a', 'b', 'c']);
    expect(pool.getDefinition('a')).toEqual({ command: 'a' });
    expect(pool.getDefinition('b').args).toEqual(['2']);
    expect(events[2]).toMatchObject(['config:rejected', { kept: ['a'], problems: [{ server: 'a' }, { server: 'd' }] }]);
  });

  it('[CONFIG-12] an entry that does not fit the limits of the pool holds up no other', async () => {
    const path = join(newFolder(), 'servers.json');
    const wide = { command: 'wide', maxInstances: 50 };
    writeFileSync(path, JSON.stringify({ mcpServers: { ...serversOf('a'), wide } }));
    const { watch, names, events } = watched(path);
    await watch.ready;
    expect(names()).toEqual(['a']);
    expect(events[1]?.[1]).toMatchObject({
      problems: [{ message: expect.stringMatching(/the pool refuses .*wide\.maxInstances must not be above 15/) }],
    });
  });

  it('[CONFIG-11] is followed when it is replaced by a rename, or through links', async () => {
    // As Kubernetes mounts a ConfigMap: the file is a link through `..data`, which is exchanged.
    const folder = newFolder();
    for (const version of ['..1', '..2', '..3']) mkdirSync(join(folder, version), { mode: 0o700 });
    writeFileSync(join(folder, '..1', 'mcp.json'), contentOf('one'));
    writeFileSync(join(folder, '..2', 'mcp.json'), contentOf('two'));
    symlinkSync('..1', join(folder, '..data'));
    symlinkSync('..data/mcp.json', join(folder, 'mcp.json'));
    // No look of its own helps: the system tells each of these changes.
    const { watch, names, settles } = watched(join(folder, 'mcp.json'), { pollInterval: NEVER });
    await watch.ready;
    expect(names()).toEqual(['one']);
    symlinkSync('..2', join(folder, '..new'));
    renameSync(join(folder, '..new'), join(folder, '..data'));
    await settles('the link was exchanged', () => names().join() === 'two');
    rmSync(join(folder, '..1'), { recursive: true });
    writeFileSync(join(folder, '..2', 'next'), contentOf('three'));
    renameSync(join(folder, '..2', 'next'), join(folder, '..2', 'mcp.json'));
    await settles('the target was replaced', () => names().join() === 'three');
  });

  it('[CONFIG-11] is followed when its folder is replaced: the new one is watched then', async () => {
    const parent = newFolder();
    const folder = join(parent, 'folder');
    const make = (...servers: string[]) => {
      mkdirSync(folder, { mode: 0o700 });
      writeFileSync(join(folder, 'mcp.json'), contentOf(...servers));
    };
    make('one');
    const { watch, names, settles, clock } = watched(join(folder, 'mcp.json'));
    await watch.ready;
    renameSync(folder, join(parent, 'away'));
    make('two');
    await settles('the folder was replaced', () => names().join() === 'two');
    writeFileSync(join(folder, 'mcp.json'), contentOf('three'));
    // Not by a look of its own: time stands still.
    await until('the change is seen', () => clock.pending === 2);
    await settles('the new one is watched', () => names().join() === 'three');
  });

  it('[CONFIG-11] is seen in a folder that is not there yet, and where the system reports nothing', async () => {
    const path = join(newFolder(), 'later', 'much', 'servers.json');
    const { watch, names, clock } = watched(path);
    await watch.ready;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, contentOf('a'));
    await until('found by a poll', async () => {
      await clock.advanceAndFlush(5_000);
      return names().join() === 'a';
    });
  });

  it('[CONFIG-11] files that it names are watched, too', async () => {
    const folder = newFolder();
    const path = join(folder, 'mcp.json');
    writeFileSync(join(folder, 'a.env'), 'TOKEN=1');
    writeFileSync(path, JSON.stringify({ mcpServers: { a: { command: 'a', envFile: 'a.env' } } }));
    const { watch, pool, settles } = watched(path);
    await watch.ready;
    expect(pool.getDefinition('a').env).toEqual({ TOKEN: '1' });
    writeFileSync(join(folder, 'a.env'), 'TOKEN=2');
    await settles('rotated', () => isDeepStrictEqual(pool.getDefinition('a').env, { TOKEN: '2' }));
  });

  it('[CONFIG-13] changed limits are told, and not applied', async () => {
    const path = join(newFolder(), 'servers.json');
    const withPool = (pool: object) => JSON.stringify({ mcpServers: serversOf('a'), pool });
    writeFileSync(path, withPool({ limits: { maxProcesses: 5 }, defaults: { idleTimeout: 1_000 } }));
    const { watch, pool, events, settles } = watched(path);
    await watch.ready;
    writeFileSync(path, withPool({ limits: { maxProcesses: 6, memoryLimitMB: 100 } }));
    await settles('told', () => events.length === 2);
    const changed = ['defaults.idleTimeout', 'limits.maxProcesses', 'limits.memoryLimitMB'];
    expect(events[1]).toEqual(['config:pool-changed', { file: path, changed }]);
    expect(pool.status().maxProcesses).toBe(15);
    writeFileSync(path, withPool({ limits: { maxProcesses: 'six' } }));
    await settles('wrong', () => events.length === 3);
    expect(events[2]).toMatchObject(['config:rejected', { problems: [{ kind: 'pool' }] }]);
  });

  it('[CONFIG-11] reload() reads it now; close() leaves the servers; a closed pool ends it', async () => {
    const { watch, path, pool, names, clock } = watched();
    await watch.ready;
    writeFileSync(path, contentOf('a'));
    await watch.reload();
    expect(names()).toEqual(['a']);
    await pool.removeServer('a');
    await watch.reload();
    expect(names()).toEqual(['a']);
    watch.close();
    watch.close();
    expect(clock.pending).toBe(0);
    expect(names()).toEqual(['a']);
    const other = watchMcpConfig(path, pool, {}, { clock });
    await other.ready;
    await pool.shutdown();
    expect(clock.pending).toBe(0);
    await other.reload();
  });

  it('[CONFIG-6] a user is asked once for an input, whatever changes', async () => {
    const path = join(newFolder(), 'servers.json');
    const write = (args: string[]) =>
      writeFileSync(
        path,
        JSON.stringify({
          inputs: [{ id: 'key' }],
          servers: { a: { command: 'a', args, env: { KEY: `\${input:key}` } } },
        }),
      );
    write([]);
    let asked = 0;
    const { watch, pool, settles } = watched(path, { input: () => `answer ${++asked}` });
    await watch.ready;
    write(['changed']);
    await settles('changed', () => pool.getDefinition('a').args?.length === 1);
    expect(pool.getDefinition('a').env).toEqual({ KEY: 'answer 1' });
  });

  it('[CONFIG-14] wrong arguments are refused at once', () => {
    const { pool } = setUp({});
    expect(() => watchMcpConfig('', pool)).toThrow(/must be a string that is not empty/);
    expect(() => watchMcpConfig({} as never, pool)).toThrow(/must be the path of a file/);
    expect(() => watchMcpConfig('x', {} as never)).toThrow(/must be a MCPServerPool/);
    expect(() => watchMcpConfig('x', pool, { quiet: -1, polInterval: 5 } as never)).toThrow(
      /quiet must be.*polInterval is not a known option; did you mean 'pollInterval'/s,
    );
  });
});
