// What it costs a host that each request is timed, for service levels, and that servers are checked.
import { benchmark } from './harness.js';
import { switched } from './switched.js';

/** Neither is a request timed without these. */
const OFF = {
  defaults: { health: { check: false, stuckAfter: Infinity } },
  serviceLevels: { enabled: false },
  alerts: { enabled: false },
};

await benchmark('health: switched on and off', (report) =>
  switched(report, {
    on: {},
    off: OFF,
    peer: 'the same without',
    // The default.
    interval: 30_000,
    once: (pool) => Promise.all(pool.health.status().map(({ id }) => pool.health.checkNow(id))),
    works: ['requests'],
  }),
);
