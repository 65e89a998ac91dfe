import { checkDependencies, type Dependency, type Dependent, readDependsOn } from './depends-on.js';
import { describeValue, type Field, type Fields, type Given, oneOf, type Resolved } from './fields.js';
import { nearest } from './nearest.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import {
  backoffFields,
  planFields,
  type SequenceOptions,
  type SequenceStep,
  sequenceFields,
  startFields,
  stepFields,
  stopFields,
} from './sequence-options.js';
import { snapshot } from './snapshot.js';

/** With more than these no order of starts helps. */
const MOST_STEPS = 10_000;

/** A step with every default filled in. */
export interface ResolvedStep extends Omit<Resolved<typeof stepFields>, 'dependsOn' | 'backoff'> {
  readonly dependencies: readonly Dependency[];
  readonly backoff: Resolved<typeof backoffFields>;
}

/** The same for what a manager is made of. */
export interface ResolvedSequence {
  readonly steps: readonly ResolvedStep[];
  readonly options: Resolved<typeof sequenceFields>;
}

/** @throws PoolError `INVALID_OPTIONS` that lists every problem */
export function resolveSequence(steps: readonly SequenceStep[], options: SequenceOptions): ResolvedSequence {
  const what = 'the arguments of SequenceManager';
  const problems: Problems = { wrong: [], unsupported: [] };
  const resolved = {
    steps: readSteps(snapshot(steps, what), [], problems),
    options: readOptions(sequenceFields, snapshot(options, what), '', problems),
  };
  refuse(problems, what);
  return resolved;
}

/**
 * @param present the steps that are there
 * @throws PoolError `INVALID_OPTIONS` that lists every problem
 */
export function resolveAddedSteps(added: readonly SequenceStep[], present: readonly ResolvedStep[]): ResolvedStep[] {
  const what = 'the steps of add()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const steps = readSteps(snapshot(added, what), present, problems);
  refuse(problems, what);
  return steps;
}

function readSteps(given: unknown, present: readonly ResolvedStep[], problems: Problems): ResolvedStep[] {
  const size = Array.isArray(given) ? given.length : -1;
  if (!Array.isArray(given)) problems.wrong.push(`steps must be an array, got ${describeValue(given)}`);
  else if (size + present.length > MOST_STEPS)
    problems.wrong.push(`steps must be at most ${MOST_STEPS}, got ${size + present.length}`);
  if (!Array.isArray(given) || size + present.length > MOST_STEPS) return [];
  const steps = given.map((step, index) => readStep(step, `steps[${index}]`, problems));
  const all: Dependent[] = [
    ...present.map(({ id, dependencies }) => ({ id, dependencies, path: id })),
    ...steps.map(({ id, dependencies }, index) => ({ id, dependencies, path: `steps[${index}].dependsOn` })),
  ];
  const places = new Map(present.map(({ id }) => [id, 'a step that is there']));
  for (const [index, { id }] of steps.entries()) {
    const other = places.get(id);
    // An id that is missing is a problem of its own.
    if (other !== undefined && id !== '')
      problems.wrong.push(`steps[${index}].id must not be that of ${other}, '${id}'`);
    places.set(id, other ?? `steps[${index}]`);
  }
  checkDependencies(all, 'step', problems);
  checkHealthy([...present, ...steps], all, problems);
  return steps;
}

function readStep(given: unknown, path: string, problems: Problems): ResolvedStep {
  const { dependsOn, backoff, ...step } = readOptions(stepFields, given, path, problems);
  const pauses = readOptions(backoffFields, backoff, `${path}.backoff`, problems);
  if (pauses.maxDelay < pauses.minDelay) {
    const { minDelay, maxDelay } = pauses;
    problems.wrong.push(`${path}.backoff.maxDelay must not be below minDelay (${minDelay}), got ${maxDelay}`);
  }
  return { ...step, backoff: pauses, dependencies: readDependsOn(dependsOn, `${path}.dependsOn`, problems) };
}

/** A step without `healthy()` can never be proven to work. */
function checkHealthy(steps: readonly ResolvedStep[], all: readonly Dependent[], problems: Problems): void {
  const byId = new Map(steps.map((step) => [step.id, step]));
  for (const { dependencies, path } of all) {
    for (const { id, condition } of dependencies) {
      const need = byId.get(id);
      if (condition === 'healthy' && need !== undefined && need.healthy === undefined)
        problems.wrong.push(`${path}.${id}.condition must not be 'healthy': the step '${id}' has no healthy()`);
    }
  }
}

/**
 * Reads the options of one call.
 * @param known the names of all steps
 * @throws PoolError `INVALID_OPTIONS` that lists every problem
 */
function readerOf<F extends Fields>(fields: F, what: string) {
  return (given: Given<F>, known: ReadonlyMap<string, unknown>): Resolved<F> => {
    const problems: Problems = { wrong: [], unsupported: [] };
    const options = readOptions(fields, snapshot(given, what), '', problems);
    const lists = options as { only?: readonly string[] | undefined; required?: readonly string[] | undefined };
    for (const name of ['only', 'required'] as const) {
      for (const id of lists[name] ?? []) {
        if (known.has(id)) continue;
        const [near] = nearest(id, known.keys(), 1);
        const hint = near === undefined ? '' : `; did you mean '${near}'?`;
        problems.wrong.push(`${name} must name steps, got '${id}'${hint}`);
      }
    }
    refuse(problems, what);
    return options;
  };
}

export const resolveSequenceStart = readerOf(startFields, 'the options of start()');
export const resolveSequenceStop = readerOf(stopFields, 'the options of stop()');
export const resolveSequencePlan = readerOf(planFields, 'the options of plan()');

/** What `plan()` describes: a start, or a stop of what is up now. */
export type SequencePlanAction = 'start' | 'shutdown';

export const planAction: Field<SequencePlanAction> = oneOf('start', 'start', 'shutdown');
