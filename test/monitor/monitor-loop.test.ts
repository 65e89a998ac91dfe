import { expect, it } from 'vitest';
import { resolveMonitoringOptions } from '../../src/config/resolve-monitoring.js';
import type { MonitorEvents } from '../../src/monitor/monitor-events.js';
import { MonitorLoop } from '../../src/monitor/monitor-loop.js';
import type { TreeSource } from '../../src/monitor/monitored-host.js';
import { ManualClock } from '../helpers/clock.js';

it('[ENFORCE-6] where processes of no living tree cannot be counted, those of the last time count: the level stays', async () => {
  const clock = new ManualClock();
  let count = () => 20;
  const source: TreeSource = {
    ...{ isPool: true, clock, trees: () => [], strays: () => count() },
    limits: () => ({ memoryMB: { limit: Infinity, isSet: true }, cpuPercent: { limit: Infinity, isSet: true } }),
  };
  const events: [string, unknown][] = [];
  const emit = <K extends keyof MonitorEvents>(event: K, payload: MonitorEvents[K]) =>
    void (event === 'sample:taken' || events.push([event, payload]));
  const loop = new MonitorLoop(resolveMonitoringOptions({}), source, emit);
  loop.start();
  await clock.advanceAndFlush(20_000);
  expect(loop.level).toBe('warning');
  count = () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  };
  await clock.advanceAndFlush(120_000);
  expect(loop.level).toBe('warning');
  expect(loop.latest?.totals.unexpected).toBe(20);
  count = () => 0;
  await clock.advanceAndFlush(60_000);
  expect(loop.level).toBe('normal');
  loop.stop();
  const consequence = 'processes of no living tree are counted as they were before';
  expect(events).toEqual([
    ['level:changed', expect.objectContaining({ from: 'normal', to: 'warning' })],
    ['monitor:degraded', { part: 'strays', reason: 'too many open files', consequence }],
    ['level:changed', expect.objectContaining({ from: 'warning', to: 'normal' })],
  ]);
});
