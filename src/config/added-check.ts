import { type Field, type Given, oneOf, requiredString } from './fields.js';
import { healthFields, type OwnCheck, ownCheck } from './health-options.js';
import { reader } from './read-options.js';

const { interval, timeout, unhealthyAfter } = healthFields;

const addedCheckFields = {
  /** Unique among those that are added. Required. */
  id: requiredString(),
  /** What events call it. Required. */
  name: requiredString(),
  /** How it is checked: a function, or `{ url }`. Required. */
  check: { ...(ownCheck() as Field<OwnCheck>), required: true as const },
  /** Time between two checks, in milliseconds. Default: as `health.interval`. */
  interval,
  /** Longest time of one check, in milliseconds. Default: as `health.timeout`. */
  timeout,
  /** Time without a sign of life after which it is unhealthy, in milliseconds. Default: as `health.unhealthyAfter`. */
  unhealthyAfter,
};

/** What `health.add()` gets. */
export type AddedCheck = Given<typeof addedCheckFields>;

/** @throws PoolError `INVALID_OPTIONS` */
export const resolveAddedCheck = reader(addedCheckFields, 'the argument of health.add()');

const probeFields = {
  /** `readiness` (default): whether traffic should come. `liveness`: whether the host itself lives. */
  probe: oneOf('readiness', 'readiness', 'liveness'),
};

/** Options of `health.verdict()`. */
export type ProbeOptions = Given<typeof probeFields>;

/** @throws PoolError `INVALID_OPTIONS` */
export const resolveProbe = reader(probeFields, 'the options of health.verdict()');
