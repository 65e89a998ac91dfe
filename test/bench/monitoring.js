// What monitoring costs a host.
import { benchmark } from './harness.js';
import { switched } from './switched.js';

await benchmark('monitoring: switched on and off', (report) =>
  switched(report, {
    on: { monitoring: { enabled: true } },
    off: { monitoring: { enabled: false } },
    peer: 'the same without monitoring',
    // The default.
    interval: 5_000,
    once: (pool) => pool.monitor.sample(),
    works: ['acquire', 'requests', 'messages'],
  }),
);
