import { describe, expect, it } from 'vitest';
import { ESCAPES, newTag, tagged } from '../helpers/escapes.js';
import { runHost } from '../helpers/host.js';
import { killProcess, MARKER, marked } from '../helpers/processes.js';
import { until } from '../helpers/until.js';

/**
 * A host that has no pool itself, but in `workers` threads, each with a server that ends upon nothing and one with a
 * helper that has left its session and its environment. Threads run `inWorker` when theirs are there (`pool` is theirs,
 * `number` their number), the main thread runs `inMain` when all are; `posted(number)` is what a thread has posted since.
 */
function threads(tag: string, { workers = 1, inWorker = '', inMain = '' }) {
  const definition = (script: string) => ({
    ...{ command: 'sh', args: ['-c', script, tag], inheritEnv: [MARKER], sharing: 'dedicated', maxInstances: 1 },
    ...{ eofGrace: 50, termGrace: 50 },
  });
  const stubborn = `trap '' TERM; sleep 50 "$0" & cat >/dev/null; wait`;
  const servers = { stubborn: definition(stubborn), escaped: definition(ESCAPES['double fork + env -i'] ?? '') };
  return `
    const { Worker } = await import('node:worker_threads');
    const { pathToFileURL } = await import('node:url');
    const { readdirSync, readFileSync } = await import('node:fs');
    const code = \`
      import { parentPort, workerData } from 'node:worker_threads';
      const { index, servers, number, sleepers } = workerData;
      const { MCPServerPool } = await import(index);
      const pool = new MCPServerPool({ servers });
      await Promise.all([pool.getServer('stubborn'), pool.getServer('escaped')]);
      parentPort.once('message', async () => { ${inWorker} });
      parentPort.postMessage('started');
    \`;
    const index = pathToFileURL(SRC + '/index.js').href;
    const sleepers = () => readdirSync('/proc').filter((pid) => {
      try {
        const args = readFileSync('/proc/' + pid + '/cmdline', 'latin1').split('\\0');
        return args[0] === 'sleep' && args.includes(${JSON.stringify(tag)});
      } catch { return false; }
    }).length;
    const until = async (condition) => {
      while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const said = [];
    const posted = async (number) => {
      await until(() => said[number].length > 0);
      return said[number].shift();
    };
    const all = Array.from({ length: ${workers} }, (_, number) => {
      const workerData = { index, servers: ${JSON.stringify(servers)}, number };
      const worker = new Worker(new URL('data:text/javascript,' + encodeURIComponent(code)), { workerData });
      said.push([]);
      worker.on('message', (message) => said[number].push(message));
      worker.on('error', (error) => console.log('error', error.code, error.message));
      worker.on('exit', (exitCode) => console.log('exit', exitCode));
      return worker;
    });
    await Promise.all(all.map((_, number) => posted(number)));
    // Both kinds of helpers of each.
    await until(() => sleepers() === 2 * ${workers});
    for (const worker of all) worker.postMessage('go on');
    console.log('running');
    ${inMain}
  `;
}

describe('a pool in a worker thread', () => {
  it.each([
    ['ends by itself', '', 'exit 0'],
    ['calls process.exit', 'process.exit(3);', 'exit 3'],
    ['throws', "throw new Error('thrown');", 'error undefined thrown\nexit 1'],
    ['shuts its pool down', 'await pool.shutdown();', 'exit 0'],
  ])('[THREAD-2] leaves nothing when the thread %s', async (_how, inWorker, said) => {
    const tag = newTag();
    const { stdout, stderr, code } = await runHost(threads(tag, { inWorker }));
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe(`running\n${said}`);
    expect(code).toBe(0);
    // SIGKILL was sent in the last tick of the thread, and takes its moment.
    await until('all are dead', () => tagged(tag).length === 0);
  });

  it('[THREAD-1] ends nothing of the pool in another thread, nor does a sweep of its whole host', async () => {
    const tag = newTag();
    const { stdout, stderr } = await runHost(
      threads(tag, {
        workers: 2,
        inWorker: `
          if (number === 0) {
            await pool.shutdown({ mode: 'emergency' });
            const { hostMark } = await import(index.replace('index.js', 'process/marks/marker.js'));
            const { sweep } = await import(index.replace('index.js', 'process/marks/sweep.js'));
            const { linux } = await import(index.replace('index.js', 'process/platforms/linux.js'));
            const { killed, quiet } = await sweep({ host: hostMark() }, linux, { hold: true });
            parentPort.postMessage([killed.length, quiet]);
          } else {
            parentPort.once('message', async () => {
              const { survivors, servers } = await pool.shutdown();
              parentPort.postMessage([survivors.length, servers.length]);
            });
          }
        `,
        inMain: `
          console.log(await posted(0), sleepers());
          all[1].postMessage('now you');
          console.log(await posted(1), sleepers());
        `,
      }),
    );
    expect(stderr).toBe('');
    const lines = stdout.trim().split('\n');
    expect(lines.filter((line) => !line.startsWith('exit'))).toEqual(['running', '[ 0, true ] 2', '[ 0, 2 ] 0']);
    expect(lines.filter((line) => line === 'exit 0')).toHaveLength(2);
    expect(tagged(tag)).toEqual([]);
  });

  it('[THREAD-3] refuses handleSignals, and listens to none', async () => {
    const { stdout } = await runHost(
      threads(newTag(), {
        inWorker: `
          let refused;
          try { new MCPServerPool({ handleSignals: true }); } catch (error) { refused = error; }
          parentPort.postMessage([refused?.code, refused?.message, process.listenerCount('SIGTERM')]);
          await pool.shutdown({ mode: 'emergency' });
        `,
        inMain: 'console.log(JSON.stringify(await posted(0)));',
      }),
    );
    const line = stdout.split('\n').find((one) => one.startsWith('['));
    expect(JSON.parse(line ?? '')).toEqual(['NOT_SUPPORTED', expect.stringMatching(/main thread/), 0]);
  });

  it('[GLOBAL-1] has a global pool of its own in each thread', async () => {
    const { stdout } = await runHost(
      threads(newTag(), {
        inWorker: `
          const global = MCPServerPool.global({ servers: { mine: { command: 'sh' } } });
          parentPort.postMessage(Object.keys(global.status().servers));
          await Promise.all([global.shutdown(), pool.shutdown({ mode: 'emergency' })]);
        `,
        inMain: `
          const { MCPServerPool } = await import(index);
          const global = MCPServerPool.global({ servers: { main: { command: 'sh' } } });
          console.log(JSON.stringify([await posted(0), Object.keys(global.status().servers)]));
          await global.shutdown();
        `,
      }),
    );
    expect(stdout).toContain('[["mine"],["main"]]');
  });

  // No code of a thread runs when another ends it. Its pipes close, and by that its guardian learns of it.
  it.each([
    ['is terminated', 'await all[0].terminate();'],
    ['ends with the main thread that calls process.exit', 'process.exit(0);'],
    ['ends with the main thread that throws', "throw new Error('thrown');"],
    ['is killed with its process', "process.kill(process.pid, 'SIGKILL');"],
  ])('[THREAD-2] leaves nothing when the thread %s', async (_how, inMain) => {
    const tag = newTag();
    await runHost(threads(tag, { inWorker: 'setInterval(() => {}, 1_000);', inMain }));
    try {
      await until('all are dead', () => tagged(tag).length === 0);
    } finally {
      for (const row of [...tagged(tag), ...marked()]) killProcess(row);
    }
  });
});
