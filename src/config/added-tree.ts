import { type Given, nested, type Resolved, requiredString } from './fields.js';
import { count } from './number-fields.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { checkCpuWindow, resourceFields } from './resource-options.js';
import { didYouMeanIn } from './similar-names.js';
import { snapshot } from './snapshot.js';

const { memoryLimitMB, cpuLimitPercent, cpuWindow, maxTreeProcesses, expectedProcesses, priority } = resourceFields;

const limitFields = {
  /** Unique memory of the tree, in MB. Default: `Infinity`. */
  memoryLimitMB,
  /** CPU time of the tree, in percent of one core. Default: `Infinity`. */
  cpuLimitPercent,
  /** It must be over `cpuLimitPercent` for more than half of this time, in milliseconds. Default: 60,000. */
  cpuWindow,
  /** Living processes of the tree. Default: `Infinity`. */
  maxTreeProcesses,
};

const addedTreeFields = {
  /** Unique among those that are added. Required. */
  id: requiredString(),
  /** What events call it. Required. */
  name: requiredString(),
  /** Of its first process, which must live. Required. */
  pid: { ...count(1, 1), required: true as const },
  /** How much it matters. Default: `normal`. */
  priority,
  /** How many processes it is expected to have. Default: what it has for 60 s. */
  expectedProcesses,
  /** When its limits are exceeded, that is only reported: what a monitor has not started it does not end. */
  limits: nested(limitFields),
};

/** A process tree that `monitor.add()` gets. */
export type AddedTree = Given<typeof addedTreeFields>;

/** The same with its defaults. */
export interface ResolvedAddedTree extends Omit<Resolved<typeof addedTreeFields>, 'limits'> {
  readonly limits: Resolved<typeof limitFields>;
}

const HINT = didYouMeanIn([['limits', limitFields]]);

/** @throws PoolError `INVALID_OPTIONS` */
export function resolveAddedTree(given: AddedTree): ResolvedAddedTree {
  const what = 'the argument of monitor.add()';
  const problems: Problems = { wrong: [], unsupported: [] };
  const tree = readOptions(addedTreeFields, snapshot(given, what), '', problems, HINT);
  const limits = readOptions(limitFields, tree.limits, 'limits', problems);
  checkCpuWindow(limits, tree.limits, 'limits.', problems);
  refuse(problems, what);
  return { ...tree, limits };
}
