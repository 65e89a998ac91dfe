import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { withDescriptor } from '../descriptors.js';
import type { ProcessRow } from '../process-table.js';
import { isUninterruptible } from '../uninterruptible.js';

/** Most processes of a tree of which the descriptors are read, and most of each: there may be thousands. */
const MOST_PROCESSES = 64;
const MOST_DESCRIPTORS = 1_024;
/** States of a connection in /proc/net/tcp: established, and about to be. */
const CONNECTED = new Set(['01', '02']);

/** Bytes that a process has read and written; undefined when this user may not read that, or it is gone. */
export function ioBytesOf(row: ProcessRow): number | undefined {
  if (isUninterruptible(row)) return undefined;
  try {
    const text = withDescriptor(() => readFileSync(`/proc/${row.pid}/io`, 'latin1'));
    const [read, written] = ['rchar', 'wchar'].map((name) => new RegExp(`^${name}: (\\d+)$`, 'm').exec(text)?.[1]);
    return read === undefined || written === undefined ? undefined : Number(read) + Number(written);
  } catch {
    return undefined;
  }
}

/** Whether one of these processes has a connection to something outside of the tree. What cannot be read has none. */
export async function areOnNetwork(members: readonly ProcessRow[]): Promise<boolean> {
  const readable = members.filter((row) => !row.dead && !isUninterruptible(row)).slice(0, MOST_PROCESSES);
  const sockets = new Set<string>();
  for (const { pid } of readable) for (const inode of await socketsOf(pid)) sockets.add(inode);
  if (sockets.size === 0) return false;
  // All of a tree have the network of its leader, but for containers in it.
  const [first] = readable;
  const own = (await connections(first?.pid)).filter(({ inode }) => sockets.has(inode));
  const ends = new Set(own.map(({ from, to }) => `${from} ${to}`));
  // Of a connection within the tree, both ends are its own.
  return own.some(({ from, to }) => !ends.has(`${to} ${from}`));
}

async function socketsOf(pid: number): Promise<string[]> {
  const sockets: string[] = [];
  try {
    for (const descriptor of (await readdir(`/proc/${pid}/fd`)).slice(0, MOST_DESCRIPTORS)) {
      const target = await readlink(`/proc/${pid}/fd/${descriptor}`).catch(() => '');
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined) sockets.push(inode);
    }
  } catch {
    // It is gone, or of another user.
  }
  return sockets;
}

interface Connection {
  readonly from: string;
  readonly to: string;
  readonly inode: string;
}

async function connections(pid: number | undefined): Promise<Connection[]> {
  if (pid === undefined) return [];
  const texts = await Promise.all(
    ['tcp', 'tcp6'].map((name) => readFile(`/proc/${pid}/net/${name}`, 'latin1').catch(() => '')),
  );
  return texts.flatMap((text) => text.split('\n').slice(1).flatMap(connectionIn));
}

/** A line: number, local address, remote address, state, queues, timer, retransmits, user, timeout, inode. */
function connectionIn(line: string): Connection[] {
  const [, from = '', to = '', state = '', , , , , , inode = ''] = line.trim().split(/\s+/);
  return CONNECTED.has(state) ? [{ from, to, inode }] : [];
}
