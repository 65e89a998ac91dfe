import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { AlertEvents, AlertKind, AlertReport } from '../../../src/index.js';
import { AlertManager } from '../../../src/index.js';
import { ALERT_EVENTS } from '../../../src/pool/events.js';
import { ManualClock } from '../../helpers/clock.js';
import { propertyRuns } from '../../helpers/properties.js';

const KINDS = ['stuck', 'unresponsive', 'resource-violation', 'memory-pressure', 'service-level'] as const;
const NAMES = [undefined, 'a', 'b', 'c'] as const;
const SOURCES = [undefined, 'mcp-1', 'mcp-2'] as const;
const QUIET = 60_000;
const REPEAT = 600_000;

interface Where {
  readonly kind: (typeof KINDS)[number];
  readonly name: (typeof NAMES)[number];
  readonly source: (typeof SOURCES)[number];
}
type Step =
  | (Where & { readonly do: 'raise'; readonly severity: AlertReport['severity']; readonly lasts: number | undefined })
  | (Where & { readonly do: 'resolve' })
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'acknowledge'; readonly which: number };

const where = { kind: fc.constantFrom(...KINDS), name: fc.constantFrom(...NAMES), source: fc.constantFrom(...SOURCES) };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      ...where,
      do: fc.constant('raise' as const),
      severity: fc.constantFrom('info', 'warning', 'critical'),
      lasts: fc.option(fc.integer({ min: 1_000, max: 200_000 }), { nil: undefined }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ ...where, do: fc.constant('resolve' as const) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.oneof(fc.integer({ min: 0, max: 100_000 }), fc.integer({ min: 0, max: 5_000_000 })),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('acknowledge' as const), which: fc.nat(3) }) },
);

/** What holds, as simply as it can be known: the sources of each condition, and when that was so last. */
class Model {
  readonly #clock: ManualClock;
  readonly #sources = new Map<string, Map<string, number>>();

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  raise({ kind, name, source }: Where, lasts: number): void {
    const sources = this.#sources.get(`${kind} ${name}`) ?? new Map<string, number>();
    this.#sources.set(`${kind} ${name}`, sources.set(source ?? '', this.#clock.now() + lasts));
  }

  resolve({ kind, name, source }: Where): void {
    const now = this.#clock.now();
    const sources = this.#sources.get(`${kind} ${name}`) ?? new Map<string, number>();
    for (const [one, until] of sources)
      if (source === undefined || source === one) sources.set(one, Math.min(until, now));
  }

  /** Until when it holds at least, or held last. */
  until(kind: AlertKind, name: string | undefined): number {
    return Math.max(...(this.#sources.get(`${kind} ${name}`)?.values() ?? []));
  }

  holds(kind: AlertKind, name: string | undefined): boolean {
    return this.until(kind, name) > this.#clock.now();
  }

  get isPoolCritical(): boolean {
    return KINDS.some((kind) => this.holds(kind, undefined));
  }
}

interface Life {
  readonly raised: AlertEvents['alert:raised'];
  told: number;
  resolved: AlertEvents['alert:resolved'] | undefined;
}

function run(hold: number, steps: readonly Step[]) {
  const clock = new ManualClock();
  const model = new Model(clock);
  const alerts = new AlertManager({ for: hold, repeatInterval: REPEAT }, clock);
  const lives = new Map<string, Life>();
  const problems: unknown[] = [];
  const check = (what: string, ok: boolean) => {
    if (!ok) problems.push(`${what} at ${clock.now()}`);
  };
  /** When each condition began. */
  const begun = new Map<string, number>();
  const heard = <K extends keyof AlertEvents>(event: K, listener: (payload: AlertEvents[K]) => void) =>
    alerts.on(event, listener as never);
  /** Of an event about an alert that was raised and is not over. */
  const lifeOf = (event: string, { id }: { readonly id: string }) => {
    const life = lives.get(id);
    check(`${event} is about an alert that was raised`, life !== undefined);
    check(`${event} comes before its end`, life?.resolved === undefined);
    return life;
  };
  heard('alert:raised', (raised) => {
    const { id, kind, subject, count } = raised;
    check('it is raised once', !lives.has(id));
    check('it is raised while its condition holds', model.holds(kind, subject.name));
    // Other kinds may have a reason of their own.
    const heldFor = clock.now() - (begun.get(`${kind} ${subject.name}`) ?? Infinity);
    check('it has held for long enough', kind !== 'stuck' || heldFor >= hold);
    check(
      'it is raised while no condition of the whole pool holds',
      subject.name === undefined || !model.isPoolCritical,
    );
    lives.set(id, { raised, told: count, resolved: undefined });
  });
  heard('alert:repeated', (repeated) => {
    const life = lifeOf('alert:repeated', repeated);
    check('it is repeated while its condition holds', model.holds(repeated.kind, repeated.subject.name));
    check('it is repeated while it is firing', repeated.state === 'firing');
    if (life) life.told += repeated.suppressed;
  });
  heard('alert:acknowledged', (acknowledged) => void lifeOf('alert:acknowledged', acknowledged));
  heard('alert:resolved', (resolved) => {
    const life = lifeOf('alert:resolved', resolved);
    const { kind, subject, reason, count, suppressed } = resolved;
    check('nothing displaces it', reason === 'ended');
    check(
      'it is resolved a minute after its condition has ended',
      model.until(kind, subject.name) + QUIET <= clock.now(),
    );
    check('its counts add up', (life?.told ?? 0) + suppressed === count);
    if (life) life.resolved = resolved;
  });
  for (const event of ALERT_EVENTS) {
    if (event === 'alert:dropped' || event === 'listener:error') heard(event, (payload) => problems.push(payload));
  }
  for (const one of steps) {
    if (one.do === 'advance') clock.advance(one.ms);
    else if (one.do === 'acknowledge') {
      const alert = alerts.active()[one.which];
      if (alert) check('it is acknowledged once', alerts.acknowledge(alert.id, 'Ada') === (alert.state === 'firing'));
    } else {
      const { kind, name, source } = one;
      // What concerns the whole pool is as severe as anything, so it silences everything.
      const severity = one.do === 'raise' && name !== undefined ? one.severity : 'critical';
      const subject = { name };
      if (one.do === 'resolve') {
        const held = model.holds(kind, name);
        model.resolve(one);
        check('resolve() says whether it held', alerts.resolve({ kind, subject, source }) === held);
      } else {
        if (!model.holds(kind, name)) begun.set(`${kind} ${name}`, clock.now());
        model.raise(one, one.lasts ?? Infinity);
        alerts.raise({ kind, subject, source, severity, message: 'x', lasts: one.lasts });
      }
    }
  }
  for (const kind of KINDS) {
    for (const name of NAMES) {
      model.resolve({ kind, name, source: undefined });
      alerts.resolve({ kind, subject: { name } });
    }
  }
  clock.advance(2 * 3_600_000);
  return { alerts, clock, lives, problems };
}

const { cases, testTimeout } = propertyRuns(2_000);

it('[ALERT-8] each alert that is raised is resolved, once, when its condition is over, and the counts of its events add up', {
  timeout: testTimeout,
}, () => {
  let raised = 0;
  fc.assert(
    fc.property(fc.constantFrom(0, 30_000, 300_000), fc.array(step, { minLength: 1, maxLength: 60 }), (hold, steps) => {
      const { alerts, clock, lives, problems } = run(hold, steps);
      expect(problems).toEqual([]);
      expect([...lives.values()].filter(({ resolved }) => resolved === undefined)).toEqual([]);
      expect(alerts.active()).toEqual([]);
      expect(alerts.toJSON()).toEqual({ active: 0, pending: 0, dropped: 0 });
      expect(clock.pending).toBe(0);
      raised += lives.size;
    }),
    { numRuns: cases },
  );
  // Else this shows nothing.
  expect(raised).toBeGreaterThan(cases);
});
