import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { basename, join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { removeStaleSockets } from '../../../src/index.js';
import { PinnedFolder } from '../../../src/monitor/host/pinned-folder.js';
import { newFile, newFolder, setAge } from '../../helpers/folders.js';
import { runHost } from '../../helpers/host.js';
import { rejection, until } from '../../helpers/until.js';
import { MALLORY, OBSTACLE } from '../../hostile/strangers.js';

/** What a read of `/proc/net/unix` fails with. */
const unreadable = vi.hoisted(() => ({ errno: '' }));

vi.mock('node:fs/promises', async (load) => {
  const real = await load<typeof import('node:fs/promises')>();
  const readFile = async (...args: Parameters<typeof real.readFile>) => {
    const { errno } = unreadable;
    if (errno !== '' && args[0] === '/proc/net/unix') throw Object.assign(new Error(errno), { code: errno });
    return real.readFile(...args);
  };
  return { ...real, readFile };
});

/** s. Of a socket that may be removed. */
const OLD = 61;

/** A process that listens at each path. */
async function listener(...paths: readonly string[]): Promise<ChildProcess> {
  const script = `
    const paths = ${JSON.stringify(paths)};
    const listen = (path) => new Promise((done) => require('net').createServer().listen({ path, backlog: 1 }, done));
    Promise.all(paths.map(listen)).then(() => console.log('listening'));`;
  return started(spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] }));
}

/** Binds a socket without listening at it: then it refuses connections, too. */
async function binder(path: string, type: 'SOCK_STREAM' | 'SOCK_DGRAM', cwd = '/'): Promise<ChildProcess> {
  const script = `use Socket; socket(my $s, PF_UNIX, ${type}, 0); bind($s, sockaddr_un($ARGV[0])) or die; $| = 1; print "bound\\n"; sleep 50`;
  return started(spawn('perl', ['-e', script, path], { cwd, stdio: ['ignore', 'pipe', 'inherit'] }));
}

async function started(child: ChildProcess & { stdout: NodeJS.ReadableStream }): Promise<ChildProcess> {
  onTestFinished(async () => {
    child.kill('SIGKILL');
    (child.stdout as unknown as Socket).destroy();
    await until('it is gone', () => child.exitCode !== null || child.signalCode !== null);
  });
  await new Promise((resolve) => child.stdout.once('data', resolve));
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await until('it is gone', () => child.signalCode);
}

/** Sockets of a process that was killed. */
async function stale(age: number, ...paths: readonly string[]): Promise<void> {
  await kill(await listener(...paths));
  for (const path of paths) setAge(path, age);
}

const NO_PERL = spawnSync('perl', ['-MSocket', '-e', '1']).status === 0 ? undefined : 'no perl';

describe('sockets that a server has left behind', () => {
  it('[SOCKET-1] are removed when they are older than 60 s, and their paths returned', async () => {
    const folder = newFolder();
    const [old, young, older] = ['old', 'young', 'older ünï'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await stale(OLD, old, young, older);
    // Far below 60: on a busy machine it gets older until it is looked at.
    setAge(young, 30);
    expect((await removeStaleSockets(folder)).sort()).toEqual([old, older].sort());
    expect(readdirSync(folder)).toEqual(['young']);
    // As with a clock that was set.
    setAge(young, -500);
    expect(await removeStaleSockets(folder)).toEqual([]);
    setAge(young, OLD);
    expect(await removeStaleSockets(`${folder}/.`)).toEqual([young]);
  });

  it('[SOCKET-2] nothing else is touched: files, folders, pipes, links, and what is in folders', async () => {
    const [folder, elsewhere] = [newFolder(), newFolder()];
    await stale(OLD, join(elsewhere, 'socket'));
    newFile(folder, 'file.sock', 5);
    mkdirSync(join(folder, 'folder.sock'));
    await stale(OLD, join(folder, 'folder.sock/inner'));
    spawnSync('mkfifo', [join(folder, 'pipe.sock')]);
    symlinkSync(join(elsewhere, 'socket'), join(folder, 'link.sock'));
    symlinkSync(elsewhere, join(folder, 'folder-link'));
    for (const name of ['folder.sock', 'pipe.sock']) setAge(join(folder, name), OLD);
    const before = readdirSync(folder, { recursive: true });
    expect(await removeStaleSockets(folder)).toEqual([]);
    expect(readdirSync(folder, { recursive: true })).toEqual(before);
    expect(existsSync(join(elsewhere, 'socket'))).toBe(true);
  });

  it('[SOCKET-3] one that accepts stays, however old', async () => {
    const folder = newFolder();
    const path = join(folder, 'living');
    await listener(path);
    setAge(path, 99_999);
    expect(await removeStaleSockets(folder)).toEqual([]);
    expect(existsSync(path)).toBe(true);
  });

  it('[SOCKET-3] one of a server that does not answer stays, with a full backlog, too', async () => {
    const folder = newFolder();
    const path = join(folder, 'stopped');
    const server = await listener(path);
    setAge(path, OLD);
    server.kill('SIGSTOP');
    const clients: Socket[] = [];
    onTestFinished(() => clients.forEach((client) => void client.destroy()));
    let errno: string | undefined;
    while (errno === undefined && clients.length < 1_000) {
      const client = createConnection({ path });
      clients.push(client);
      errno = await new Promise<string | undefined>((settle) => {
        client.once('connect', () => settle(undefined));
        client.once('error', (error) => settle((error as NodeJS.ErrnoException).code));
      });
    }
    expect(errno).toBe('EAGAIN');
    expect(await removeStaleSockets(folder)).toEqual([]);
    expect(existsSync(path)).toBe(true);
    await kill(server);
    expect(await removeStaleSockets(folder)).toEqual([path]);
  });

  it.runIf(NO_PERL === undefined)(
    '[SOCKET-3] one that a process has bound without listening stays, under any path (needs perl)',
    async () => {
      const folder = newFolder();
      const link = join(newFolder(), 'link');
      symlinkSync(folder, link);
      const bound = [
        await binder(join(folder, 'stream'), 'SOCK_STREAM'),
        await binder(join(folder, 'datagram'), 'SOCK_DGRAM'),
        await binder(join(link, 'by-link'), 'SOCK_STREAM'),
        await binder('relative', 'SOCK_STREAM', folder),
      ];
      const names = readdirSync(folder);
      expect(names).toHaveLength(4);
      for (const name of names) setAge(join(folder, name), OLD);
      expect(await removeStaleSockets(folder)).toEqual([]);
      // One of the same name elsewhere says nothing.
      await binder(join(newFolder(), 'stream'), 'SOCK_STREAM');
      for (const child of bound) await kill(child);
      expect((await removeStaleSockets(folder)).sort()).toEqual(names.map((name) => join(folder, name)).sort());
    },
  );

  it.each(['ENOENT', 'EMFILE'])('[SOCKET-3] all stay while it is not shown what is bound: %s', async (errno) => {
    const folder = newFolder();
    await stale(OLD, join(folder, 'socket'));
    unreadable.errno = errno;
    onTestFinished(() => {
      unreadable.errno = '';
    });
    expect(await rejection(removeStaleSockets(folder))).toMatchObject({
      code: 'NOT_SUPPORTED',
      message: `removeStaleSockets() needs /proc/net/unix, which could not be read (${errno})`,
    });
    expect(readdirSync(folder)).toEqual(['socket']);
  });

  it('[SOCKET-3] one whose name another server takes while it is tested stays', async () => {
    const [folder, elsewhere] = [newFolder(), newFolder()];
    const path = join(folder, 'socket');
    await stale(OLD, path, join(elsewhere, 'next'));
    const { at } = PinnedFolder.prototype;
    let calls = 0;
    vi.spyOn(PinnedFolder.prototype, 'at').mockImplementation(function (this: PinnedFolder, name) {
      calls += 1;
      // Its status, its connection; then it is about to be removed.
      if (calls === 3) renameSync(join(elsewhere, 'next'), path);
      return at.call(this, name);
    });
    onTestFinished(() => void vi.restoreAllMocks());
    expect(await removeStaleSockets(folder)).toEqual([]);
    expect(calls).toBe(3);
    expect(existsSync(path)).toBe(true);
  });

  it('[SOCKET-3] one whose name is too long, or is no text, stays: it cannot be asked', async () => {
    const folder = newFolder();
    const long = 'x'.repeat(95);
    await stale(OLD, join(folder, 'a'), join(folder, 'b'));
    renameSync(join(folder, 'a'), join(folder, long));
    const odd = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0xfe])]);
    renameSync(join(folder, 'b'), odd);
    for (const path of [join(folder, long), odd]) utimesSync(path, 1, 1);
    expect(await removeStaleSockets(folder)).toEqual([]);
    expect(readdirSync(folder)).toHaveLength(2);
  });
});

describe('the folder', () => {
  it('[SOCKET-4] that is not there has none; what is none is refused, and so are wrong arguments', async () => {
    const folder = newFolder();
    expect(await removeStaleSockets(join(folder, 'none'))).toEqual([]);
    writeFileSync(join(folder, 'file'), '');
    const wrong = [join(folder, 'file'), '', undefined as unknown as string, 5 as unknown as string];
    for (const each of wrong) {
      expect(await rejection(removeStaleSockets(each))).toMatchObject({ name: 'PoolError', code: 'INVALID_OPTIONS' });
    }
  });

  it('[SOCKET-4] with many files is read in slices, and holds a host that waits for it', async () => {
    const folder = newFolder();
    for (let index = 0; index < 1_200; index++)
      writeFileSync(join(folder, `${index}-${randomBytes(4).toString('hex')}`), '');
    await stale(OLD, join(folder, 'socket'));
    const { stdout, stderr } = await runHost(`
      const { removeStaleSockets } = await import(SRC + '/index.js');
      console.log(JSON.stringify(await removeStaleSockets(${JSON.stringify(folder)})));
    `);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([join(folder, 'socket')]);
  });

  describe.runIf(OBSTACLE === undefined)('and other users (need root)', () => {
    it('[SOCKET-5] their sockets stay', async () => {
      const folder = newFolder(0o1777);
      await stale(OLD, join(folder, 'theirs'), join(folder, 'ours'));
      chownSync(join(folder, 'theirs'), MALLORY, MALLORY);
      setAge(join(folder, 'theirs'), OLD);
      expect((await removeStaleSockets(folder)).map((path) => basename(path))).toEqual(['ours']);
      expect(readdirSync(folder)).toEqual(['theirs']);
    });

    it('[SOCKET-5] a folder in which they could exchange files is refused', async () => {
      for (const folder of [newFolder(0o777), newFolder(0o770), newFolder(0o755, MALLORY)]) {
        await stale(OLD, join(folder, 'socket'));
        const error = await rejection(removeStaleSockets(folder));
        expect(error).toMatchObject({ code: 'INVALID_OPTIONS', message: expect.stringContaining('another user') });
        expect(readdirSync(folder)).toEqual(['socket']);
      }
    });

    it('[SOCKET-5] a user without privileges removes its own from a folder of root that is open to all and sticky', async () => {
      const folder = newFolder(0o1777);
      await stale(OLD, join(folder, 'of-root'), join(folder, 'own'));
      chownSync(join(folder, 'own'), MALLORY, MALLORY);
      setAge(join(folder, 'own'), OLD);
      const { stdout, stderr } = await runHost(`
        const { removeStaleSockets } = await import(SRC + '/index.js');
        process.setgroups([]); process.setgid(${MALLORY}); process.setuid(${MALLORY});
        console.log(JSON.stringify(await removeStaleSockets(${JSON.stringify(folder)})));
      `);
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toEqual([join(folder, 'own')]);
      expect(readdirSync(folder)).toEqual(['of-root']);
    });
  });
});
