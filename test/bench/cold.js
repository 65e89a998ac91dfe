// The first getServer of a pool, against the least that has to be done: spawn, write initialize, wait for the answer.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { getDefaultEnvironment } from '@modelcontextprotocol/sdk/client/stdio.js';
import { MCPServerPool } from '../../dist/index.js';
import { benchmark, differenceRow, takeTurns, timed } from './harness.js';
import { echoServer } from './transports.js';

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bench', version: '1.0.0' } },
});

await benchmark('cold: the first getServer', async (report) => {
  const times = await takeTurns({ ours: coldGetServer, bare: spawnAndInitialize }, { rounds: 101, warmUp: 2 });
  report(
    differenceRow({
      what: 'cold getServer, time on top',
      peer: 'spawn + initialize',
      ours: times.ours,
      theirs: times.bare,
      target: 10,
    }),
  );
});

async function coldGetServer() {
  const pool = new MCPServerPool({ servers: { echo: echoServer } });
  const time = await timed(() => pool.getServer('echo'));
  await pool.shutdown({ mode: 'emergency' });
  return time;
}

async function spawnAndInitialize() {
  let child;
  const time = await timed(async () => {
    // The same few variables that ours hands on: some others make Node start more slowly.
    const env = getDefaultEnvironment();
    child = spawn(echoServer.command, echoServer.args, { env, stdio: ['pipe', 'pipe', 'ignore'] });
    child.stdin.write(`${INITIALIZE}\n`);
    let answer = '';
    while (!answer.endsWith('\n')) answer += String((await once(child.stdout, 'data'))[0]);
  });
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
  return time;
}
