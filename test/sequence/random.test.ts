import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type DependencyCondition,
  type DependencyExitPolicy,
  SequenceManager,
  type SequenceReport,
  type SequenceStep,
} from '../../src/index.js';
import { assertWithin, propertyRuns } from '../helpers/properties.js';
import { type FakeStep, FakeSteps } from '../helpers/steps.js';

const MOST_STEPS = 30;

interface RandomEdge {
  /** Of the steps before it. */
  readonly which: number;
  readonly condition: DependencyCondition;
  readonly required: boolean;
}
interface RandomStep {
  readonly edges: readonly RandomEdge[];
  readonly required: boolean;
  readonly starts: number;
  readonly readies: number | undefined;
  readonly heals: number;
  readonly stops: number;
  readonly fails: number;
  readonly unready: number;
  readonly retries: number;
  readonly timeout: number;
  readonly onDependencyExit: DependencyExitPolicy | undefined;
}
type Action = { readonly after: number; readonly which: number } & (
  | { readonly do: 'exit' | 'abort' | 'stop' | 'emergency' | 'start' | 'start-one' | 'stop-one' }
  | { readonly do: 'nothing' }
);

const edge: fc.Arbitrary<RandomEdge> = fc.record({
  which: fc.nat(MOST_STEPS),
  condition: fc.constantFrom('ready', 'ready', 'started', 'healthy'),
  required: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
});
const few = fc.oneof(
  { weight: 6, arbitrary: fc.constant(0) },
  { weight: 2, arbitrary: fc.constant(1) },
  fc.constant(3),
);
const randomStep: fc.Arbitrary<RandomStep> = fc.record({
  edges: fc.array(edge, { maxLength: 4 }),
  required: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
  starts: fc.nat(60),
  readies: fc.option(fc.nat(40), { nil: undefined }),
  heals: fc.nat(30),
  // Some end only when they are hurried.
  stops: fc.oneof({ weight: 8, arbitrary: fc.nat(40) }, fc.constant(Infinity)),
  fails: few,
  unready: few,
  retries: fc.nat(2),
  timeout: fc.constantFrom(Infinity, Infinity, 50),
  onDependencyExit: fc.constantFrom(undefined, undefined, 'restart', 'hold', 'ignore', 'stop'),
});
const action: fc.Arbitrary<Action> = fc.record({
  // After a long time an end by itself counts for no attempt.
  after: fc.oneof({ weight: 5, arbitrary: fc.nat(120) }, fc.constant(11_000)),
  which: fc.nat(MOST_STEPS - 1),
  do: fc.constantFrom(
    'exit',
    'exit',
    'exit',
    'exit',
    'abort',
    'stop',
    'emergency',
    'start',
    'start-one',
    'stop-one',
    'nothing',
  ),
});
const concurrency = fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 4 }));

/** The edges that a step really has: those that name a step before it, each once. */
function edgesOf(step: RandomStep, index: number): Map<string, RandomEdge> {
  const found = new Map<string, RandomEdge>();
  if (index > 0) for (const one of step.edges) found.set(`s${one.which % index}`, one);
  return found;
}

function definitionOf(world: FakeSteps, random: RandomStep, index: number): SequenceStep {
  const { edges: _edges, onDependencyExit, readies, unready, ...rest } = random;
  const dependsOn = Object.fromEntries(
    [...edgesOf(random, index)].map(([id, { condition, required }]) => [id, { condition, required }]),
  );
  const fake: FakeStep = {
    ...rest,
    ...(readies === undefined ? {} : { readies, unready }),
    dependsOn,
    onDependencyExit,
    backoff: { minDelay: 20 },
  };
  return world.step(`s${index}`, fake);
}

/** What is known of each step by what was done with it alone. */
class Model {
  readonly #steps: readonly RandomStep[];
  readonly #reached = new Map<string, Set<string>>();
  /** Those whose `start()` runs. */
  readonly starting = new Set<string>();
  readonly problems: string[] = [];
  /** Whether everything was asked to stop; whether at once. */
  isStopping = false;
  isEmergency = false;

  constructor(steps: readonly RandomStep[]) {
    this.#steps = steps;
  }

  note(what: string, id: string, stateOf: (id: string) => string): void {
    const index = Number(id.slice(1));
    if (what === 'start') {
      this.#check(`${id} is started while it is there`, !this.starting.has(id) && !this.#reached.has(id));
      for (const [need, edge] of edgesOf(this.#steps[index]!, index)) {
        const isMissing = !edge.required && !['waiting', 'starting', 'started', 'stopping'].includes(stateOf(need));
        this.#check(
          `${id} is started before ${need} is ${edge.condition}`,
          this.#is(need, edge.condition) || isMissing,
        );
      }
      for (const [other, edge] of this.#dependentsOf(id)) {
        const isThere = this.#reached.has(other) && !this.#doesNotMind(other, edge);
        this.#check(`${id} is started before ${other} is stopped`, !isThere);
      }
      this.starting.add(id);
    }
    if (what === 'aborted' || what === 'failed') this.starting.delete(id);
    if (what === 'up') {
      this.starting.delete(id);
      this.#reached.set(id, new Set(['started', ...(this.#steps[index]!.readies === undefined ? ['ready'] : [])]));
    }
    if (what === 'ready' || what === 'healthy') this.#reached.get(id)?.add(what);
    if (what === 'stop' && !this.isEmergency) {
      for (const [other, edge] of this.#dependentsOf(id)) {
        if (!this.#reached.has(other) && !this.starting.has(other)) continue;
        this.#check(`${id} is stopped before ${other}`, !this.isStopping && this.#doesNotMind(other, edge));
      }
    }
    if (what === 'gone' || what === 'exit') this.#reached.delete(id);
  }

  isThere(id: string): boolean {
    return this.#reached.has(id);
  }

  /** A report says what is so. */
  compare(report: SequenceReport): void {
    const isUp = (state: string) => state === 'ready' || state === 'held';
    for (const { id, state } of report.steps) {
      if (isUp(state)) this.#check(`${id} is ${state} and not there`, this.#is(id, 'ready'));
      else if (['idle', 'stopped', 'failed', 'skipped'].includes(state))
        this.#check(`${id} is ${state} and there`, !this.#reached.has(id) && !this.starting.has(id));
    }
    const states = report.steps.map(({ state }) => state);
    if (report.state === 'ready')
      this.#check(
        'all are ready',
        states.every((state) => state === 'ready'),
      );
    if (report.state === 'degraded') this.#check('some are not ready', !states.every((state) => state === 'ready'));
    if (report.state === 'stopped') this.#check('none is there', !states.some((state) => isUp(state)));
    if (report.state === 'failed')
      this.#check('there is a reason', report.error !== undefined || report.survivors.length > 0);
    this.#check('nothing survives', report.survivors.length === 0);
  }

  #dependentsOf(id: string): [string, RandomEdge][] {
    return this.#steps.flatMap((step, index) => {
      const edge = edgesOf(step, index).get(id);
      return edge === undefined ? [] : [[`s${index}`, edge] as [string, RandomEdge]];
    });
  }

  /** Whether a step may stay when what it depends on is started again. */
  #doesNotMind(id: string, { required }: RandomEdge): boolean {
    const { onDependencyExit } = this.#steps[Number(id.slice(1))]!;
    return !required || onDependencyExit === 'ignore' || onDependencyExit === 'hold';
  }

  #is(id: string, milestone: string): boolean {
    return this.#reached.get(id)?.has(milestone) === true;
  }

  #check(what: string, ok: boolean): void {
    if (!ok) this.problems.push(what);
  }
}

const runs = propertyRuns(400);

it(
  '[SEQ-11] whatever fails, is late, ends or is given up: order and limits hold, and the report is true',
  async () => {
    const property = fc.asyncProperty(
      fc.array(randomStep, { minLength: 1, maxLength: MOST_STEPS }),
      fc.array(action, { maxLength: 12 }),
      concurrency,
      fc.constantFrom('rollback' as const, 'keep' as const),
      fc.constantFrom(60_000, 300),
      fc.boolean(),
      async (random, actions, most, onFailure, timeout, isCalm) => {
        // Where nothing fails for good, more is up when something ends or is stopped.
        const calm = { fails: 0, unready: 0, required: false, timeout: Infinity };
        const steps = isCalm ? random.map((step) => ({ ...step, ...calm })) : random;
        const world = new FakeSteps();
        const model = new Model(steps);
        const manager = new SequenceManager(
          steps.map((step, index) => definitionOf(world, step, index)),
          { concurrency: most, onFailure },
          world.clock,
        );
        const stateOf = (id: string) => manager.status().steps.find((step) => step.id === id)?.state ?? 'none';
        world.onLine = (what, id) => model.note(what, id, stateOf);
        for (const event of ['ready', 'degraded', 'failed', 'stopped'] as const)
          manager.on(`sequence:${event}`, (report) => model.compare(report));
        manager.on('listener:error', ({ error }) => model.problems.push(String(error)));
        const calls: Promise<SequenceReport>[] = [];
        let abort = new AbortController();
        const start = (only?: readonly string[]) => {
          abort = new AbortController();
          model.isStopping = model.isEmergency = false;
          calls.push(manager.start({ only, timeout, signal: abort.signal }));
        };
        start();
        for (const { after, which, ...one } of actions) {
          await world.clock.advanceAndFlush(after);
          const id = `s${which % steps.length}`;
          if (one.do === 'exit' && model.isThere(id)) world.exit(id);
          if (one.do === 'abort') abort.abort();
          if (one.do === 'start' && !model.isStopping) start();
          if (one.do === 'start-one' && !model.isStopping) start([id]);
          if (one.do === 'stop-one') calls.push(manager.stop({ only: [id] }));
          if (one.do === 'stop' || one.do === 'emergency') {
            model.isStopping = true;
            model.isEmergency ||= one.do === 'emergency';
            calls.push(manager.stop({ mode: one.do === 'stop' ? 'graceful' : 'emergency' }));
          }
          await world.clock.advanceAndFlush(0);
        }
        // Everything comes to its end.
        let settled = 0;
        for (const call of calls) void call.then(() => (settled += 1));
        await world.clock.advanceAndFlush(130_000);
        expect(settled).toBe(calls.length);
        model.isStopping = true;
        const stopped = manager.stop();
        await world.clock.advanceAndFlush(40_000);
        expect((await stopped).survivors).toEqual([]);
        expect(model.problems).toEqual([]);
        expect([...world.living.keys(), ...model.starting]).toEqual([]);
        expect(world.mostStarting).toBeLessThanOrEqual(most);
        expect(world.clock.pending).toBe(0);
      },
    );
    await assertWithin(property, runs);
  },
  runs.testTimeout,
);

it(
  '[SEQ-11] a start takes as long as its critical path, and at most that and its share of all where places are few',
  async () => {
    const property = fc.asyncProperty(
      fc.array(randomStep, { minLength: 1, maxLength: MOST_STEPS }),
      concurrency,
      async (random, most) => {
        // All that fails is tried again until it succeeds.
        const steps = random.map((step) => ({ ...step, unready: 0, retries: step.fails, timeout: Infinity }));
        const world = new FakeSteps();
        const definitions = steps.map((step, index) => definitionOf(world, step, index));
        const manager = new SequenceManager(definitions, { concurrency: most }, world.clock);
        const started = manager.start();
        await world.clock.advanceAndFlush(60_000);
        const report = await started;
        expect(report.state).toBe('ready');
        // The same by a model: when each has started, is ready, is healthy.
        const at: Record<DependencyCondition, number>[] = [];
        let work = 0;
        for (const [index, step] of steps.entries()) {
          const begins = [...edgesOf(step, index)].map(([id, { condition }]) => at[Number(id.slice(1))]![condition]);
          let took = 0;
          for (let attempt = 0; attempt < step.fails; attempt++) took += step.starts + 20 * 2 ** attempt;
          const begin = Math.max(0, ...begins);
          const begun = begin + took + step.starts;
          const ready = begun + (step.readies ?? 0);
          at.push({ started: begun, ready, healthy: ready + step.heals });
          work += ready - begin + step.heals;
        }
        const critical = Math.max(...at.map(({ ready }) => ready));
        if (most === Infinity) expect(report.duration).toBe(critical);
        else expect(report.duration).toBeLessThanOrEqual(critical + work / most + steps.length * 30);
        expect(report.duration).toBeGreaterThanOrEqual(critical);
        const stopped = manager.stop();
        await world.clock.advanceAndFlush(40_000);
        expect((await stopped).state).toBe('stopped');
        expect(world.clock.pending).toBe(0);
      },
    );
    await assertWithin(property, runs);
  },
  runs.testTimeout,
);
