import { Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';

const SOURCES = fileURLToPath(new URL('../../src/', import.meta.url));

/** What a piece of code did: how often parts of `src/` ran, and how many elements built-in functions went through. */
export interface Work {
  /** Runs of functions and of blocks within them, loop bodies included. */
  readonly runs: number;
  /** Elements of arrays, sets and maps that built-in functions copied, searched, sorted or moved. */
  readonly elements: number;
  /** What ran most, for a message: `file:function count`. */
  readonly busiest: readonly string[];
}

/** Built-in functions with a cost that grows with the collection that they are called on. */
const LINEAR = {
  array: [
    ...['concat', 'every', 'filter', 'find', 'findIndex', 'flat', 'flatMap', 'forEach', 'includes', 'indexOf'],
    ...['map', 'reduce', 'reverse', 'shift', 'slice', 'some', 'sort', 'splice', 'unshift'],
  ],
  collection: ['forEach', 'keys', 'values', 'entries', Symbol.iterator],
} as const;

// What is optimized does not count. Only this process is slow: each test file has one of its own.
for (const flag of ['--no-opt', '--no-maglev']) setFlagsFromString(flag);
const session = new Session();
session.connect();
post('Profiler.enable');
post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

/**
 * Counts what `task` does instead of measuring its time: the result is exact, and the same on every machine. Import this
 * file before the sources, by `vi.hoisted`: what was compiled before has no counters in its blocks.
 */
export function workOf(task: () => void): Work {
  post('Profiler.takePreciseCoverage');
  const elements = countElements(task);
  const { result } = post<Coverage>('Profiler.takePreciseCoverage');
  return { ...runsOf(result), elements };
}

/** The same for a task that is not done in one tick; elements are not counted, since other code runs meanwhile. */
export async function workUntil(task: () => Promise<unknown>): Promise<Work> {
  post('Profiler.takePreciseCoverage');
  await task();
  const { result } = post<Coverage>('Profiler.takePreciseCoverage');
  return { ...runsOf(result), elements: 0 };
}

function post<T>(method: string, params: object = {}): T {
  let answer: T | undefined;
  // In the same thread the answer is there when `post` returns.
  session.post(method, params, (error: Error | null, result?: object) => {
    if (error) throw error;
    answer = result as T;
  });
  return answer as T;
}

interface Coverage {
  readonly result: readonly {
    readonly url: string;
    readonly functions: readonly {
      readonly functionName: string;
      readonly ranges: readonly { readonly count: number }[];
    }[];
  }[];
}

function runsOf(scripts: Coverage['result']): Pick<Work, 'runs' | 'busiest'> {
  const counts = scripts.flatMap(({ url, functions }) => {
    const file = url.startsWith('file:') ? fileURLToPath(url) : url;
    if (!file.startsWith(SOURCES)) return [];
    return functions.map(({ functionName, ranges }) => ({
      where: `${file.slice(SOURCES.length)}:${functionName}`,
      count: ranges.reduce((sum, { count }) => sum + count, 0),
    }));
  });
  counts.sort((a, b) => b.count - a.count);
  return {
    runs: counts.reduce((sum, { count }) => sum + count, 0),
    busiest: counts.slice(0, 8).map(({ where, count }) => `${where} ${count}`),
  };
}

/** How many elements built-in functions go through in `task`. */
function countElements(task: () => void): number {
  let elements = 0;
  const undo: (() => void)[] = [];
  const watch = (prototype: object, name: PropertyKey, sizeOf: (collection: never) => number) => {
    const original = Reflect.get(prototype, name) as (...args: unknown[]) => unknown;
    Reflect.set(prototype, name, function (this: never, ...args: unknown[]) {
      elements += sizeOf(this);
      return original.apply(this, args);
    });
    undo.push(() => Reflect.set(prototype, name, original));
  };
  for (const name of LINEAR.array) watch(Array.prototype, name, ({ length }: unknown[]) => length);
  for (const { prototype } of [Map, Set]) {
    for (const name of LINEAR.collection) watch(prototype, name, ({ size }: Set<unknown>) => size);
  }
  try {
    task();
    return elements;
  } finally {
    for (const each of undo) each();
  }
}
