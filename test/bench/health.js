// What it costs a host that each request is observed, and that servers are checked.
import { benchmark } from './harness.js';
import { switched } from './switched.js';

await benchmark('health: switched on and off', (report) =>
  switched(report, {
    on: {},
    off: { defaults: { health: { check: false } } },
    peer: 'the same without health checks',
    // The default.
    interval: 30_000,
    once: (pool) => Promise.all(pool.health.status().map(({ id }) => pool.health.checkNow(id))),
    works: ['requests'],
  }),
);
