import { expect, it } from 'vitest';
import { runHost } from '../helpers/host.js';

/** Runs a script as a host that may have so many descriptors. `open()` is how many it has open. */
async function onHost(descriptors: number, script: string): Promise<unknown> {
  const { stdout, stderr } = await runHost(
    `
    const { closeSync, openSync, readdirSync } = await import('node:fs');
    const { KeptFile } = await import(SRC + '/process/kept-file.js');
    const { linux } = await import(SRC + '/process/platforms/linux.js');
    const open = () => readdirSync('/proc/self/fd').length;
    const files = Array.from({ length: 100 }, () => new KeptFile('/proc/self/statm'));
    const readAll = () => files.every((file) => Number(file.read().split(' ')[1]) > 0);
    ${script}
    `,
    { before: `ulimit -n ${descriptors}` },
  );
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

it('[USAGE-16] keeps an eighth of the descriptors at most, and reads the rest all the same', async () => {
  const said = await onHost(
    400,
    `
    const before = open();
    const isRead = [readAll(), readAll()];
    const kept = open() - before;
    for (const file of files) file.close();
    console.log(JSON.stringify({ isRead, kept, left: open() - before }));
    `,
  );
  expect(said).toEqual({ isRead: [true, true], kept: 50, left: 0 });
});

it('[USAGE-16] keeps none when the host has few left, without being asked, until a minute is over', async () => {
  const said = await onHost(
    400,
    `
    const now = performance.now.bind(performance);
    let later = 0;
    performance.now = () => now() + later;
    const before = open();
    readAll();
    const kept = [open() - before];
    const taken = [];
    while (open() < 350) taken.push(openSync('/dev/null', 'r'));
    later += 1_000;
    const read = readAll();
    kept.push(open() - before - taken.length);
    for (const descriptor of taken) closeSync(descriptor);
    later += 59_000;
    readAll();
    kept.push(open() - before);
    later += 1_001;
    readAll();
    kept.push(open() - before);
    console.log(JSON.stringify({ read, kept }));
    `,
  );
  expect(said).toEqual({ read: true, kept: [50, 0, 0, 50] });
});

it('[USAGE-16] trees that are measured leave a host with few descriptors enough of them', async () => {
  const said = await onHost(
    120,
    `
    const { spawn } = await import('node:child_process');
    const { watchedTree } = await import(SRC + '/process/tree/watched-tree.js');
    const children = Array.from({ length: 40 }, () => spawn('sleep', ['60'], { stdio: 'ignore' }));
    const trees = children.map(({ pid }) => watchedTree(linux, pid));
    const sample = async () => (await Promise.all(trees.map((tree) => tree.usage()))).map(({ processes }) => processes).join('');
    const measured = await sample();
    const taken = Array.from({ length: 40 }, () => openSync('/dev/null', 'r'));
    const again = await sample();
    for (const child of children) child.kill('SIGKILL');
    console.log(JSON.stringify({ isSame: measured === again, measured, taken: taken.length }));
    process.exit();
    `,
  );
  expect(said).toEqual({ isSame: true, measured: '1'.repeat(40), taken: 40 });
});
