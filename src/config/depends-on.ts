import { cyclesOf } from '../runtime/graph.js';
import { about, describeValue, type Field, flag, type Given, isPlainObject, oneOf, strings } from './fields.js';
import { nearest } from './nearest.js';
import { type Problems, readOptions } from './read-options.js';

const dependencyFields = {
  /**
   * How far the dependency must have come. `started`: its `start()` has resolved. `ready` (default): it can be used. `healthy`: a
   * check has shown that it works.
   */
  condition: about('how far the dependency must have come', oneOf('ready', 'ready', 'started', 'healthy')),
  /**
   * Whether it is needed. Without that it is waited for until it has come so far, or has failed, or was skipped. Default: true.
   */
  required: about(
    'whether it is needed; without that it is waited for until it has come so far, or has failed',
    flag(true),
  ),
};

/** How far a dependency must have come before what needs it may start. */
export type DependencyCondition = 'started' | 'ready' | 'healthy';

/** What is started before, by name: an array of names, or an object with a condition for each (issue 13). */
export type DependsOn = readonly string[] | Readonly<Record<string, Given<typeof dependencyFields>>>;

/** One dependency with its defaults filled in. */
export interface Dependency {
  readonly id: string;
  readonly condition: DependencyCondition;
  readonly required: boolean;
}

/** More than these cycles are not named: whoever breaks ten finds the others. */
const MOST_CYCLES = 10;

/** The field `dependsOn`. What it holds is read by {@link readDependsOn}. */
export function dependsOn(): Field<DependsOn> {
  const names = strings();
  return {
    default: [],
    check(value) {
      if (Array.isArray(value)) return names.check(value);
      const what = "an array of names, or an object such as { db: { condition: 'ready' } }";
      return isPlainObject(value) ? undefined : `${what}, got ${describeValue(value)}`;
    },
    schema: { type: 'array', items: { type: 'string' } },
    fields: dependencyFields,
    fieldsOf: 'values',
  };
}

/** @param path of the option, in messages */
export function readDependsOn(given: DependsOn, path: string, problems: Problems): readonly Dependency[] {
  if (!Array.isArray(given)) {
    return Object.entries(given).map(([id, options]) => ({
      id,
      ...readOptions(dependencyFields, options, `${path}.${id}`, problems),
    }));
  }
  const ids = new Set<string>(given);
  if (ids.size < given.length) {
    const twice = [...ids].filter((id) => given.indexOf(id) !== given.lastIndexOf(id));
    for (const id of twice) problems.wrong.push(`${path} must not name '${id}' twice`);
  }
  return [...ids].map((id) => ({ id, condition: 'ready', required: true }));
}

/** What has dependencies. */
export interface Dependent {
  readonly id: string;
  readonly dependencies: readonly Dependency[];
  /** Of its `dependsOn`, in messages. */
  readonly path: string;
}

/**
 * Checks that all dependencies exist, and that none leads back to where it comes from.
 * @param what the things are, such as `step`
 */
export function checkDependencies(all: readonly Dependent[], what: string, problems: Problems): void {
  const byId = new Map(all.map((one) => [one.id, one]));
  const edges = new Map<Dependent, Dependent[]>();
  for (const one of all) {
    const needs: Dependent[] = [];
    edges.set(one, needs);
    for (const { id } of one.dependencies) {
      const need = byId.get(id);
      if (need === undefined) problems.wrong.push(`${one.path} must name a ${what}, got '${id}'${hintFor(id, byId)}`);
      else if (id === one.id) problems.wrong.push(`${one.path} must not name '${id}' itself`);
      else needs.push(need);
    }
  }
  for (const cycle of cyclesOf(all, (one) => edges.get(one) ?? [], MOST_CYCLES)) {
    const path = [...cycle, ...cycle.slice(0, 1)].map(({ id }) => `'${id}'`).join(' → ');
    problems.wrong.push(`dependsOn must not lead in a circle: ${path}`);
  }
}

function hintFor(id: string, known: ReadonlyMap<string, unknown>): string {
  const [near] = nearest(id, known.keys(), 1);
  return near === undefined ? '' : `; did you mean '${near}'?`;
}
