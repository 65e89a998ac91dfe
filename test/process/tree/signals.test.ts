import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { fixture } from '../../helpers/fixture.js';
import { launch } from '../../helpers/launch.js';
import { descendants } from '../../helpers/processes.js';
import { until } from '../../helpers/until.js';

/** As in /proc: `T` is stopped. */
function stateOf(pid: number): string {
  const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
  return line.slice(line.lastIndexOf(')') + 2).split(' ')[0] ?? '';
}

it('[DRILL-7] a signal to all reaches each process of a server, also one that has left its session', async () => {
  const server = launch(fixture('fork-tree', '--count=2', '--setsid'));
  await server.request('ping');
  await until('they run', () => descendants().filter(({ command }) => command === 'sleep').length === 2);
  const states = () => descendants().map(({ pid }) => stateOf(pid));
  expect(server.process.signal?.('SIGSTOP', 'tree')).toBe(true);
  await until('all stand still', () => states().every((state) => state === 'T'));
  expect(states()).toHaveLength(3);
  expect(server.process.signal?.('SIGCONT', 'tree')).toBe(true);
  await until('all go on', () => states().every((state) => state !== 'T'));
  expect(await server.request('ping')).toEqual({});
  expect(server.process.signal?.('SIGTERM', 'leader')).toBe(true);
  expect(await server.exited).toMatchObject({ signal: 'SIGTERM' });
  expect(server.process.signal?.('SIGCONT', 'tree')).toBe(false);
});
