import { isPlainObject } from '../config/fields.js';
import type { ResolvedDefinition, ResolvedPoolOptions, ServerDefinition } from '../config/options.js';
import { resolveDefinition, resolveDefinitions } from '../config/resolve-options.js';
import { PoolError as OwnPoolError } from '../errors.js';
import { sentenceForFile, shownName } from './shown-name.js';

/** The names in `dependsOn`. */
function needsOf({ dependsOn }: { readonly dependsOn?: unknown }): string[] {
  if (isPlainObject(dependsOn)) return Object.keys(dependsOn);
  return Array.isArray(dependsOn) ? dependsOn.filter((name) => typeof name === 'string') : [];
}

/** Stand-ins for servers that a definition depends on: whether they are there is asked elsewhere. */
export function standInsFor(
  definition: { readonly dependsOn?: unknown },
  pool: ResolvedPoolOptions,
  known: (name: string) => boolean,
): ResolvedDefinition[] {
  const names = new Set(needsOf(definition).filter((name) => name.trim() !== '' && !known(name)));
  return [...names].map((name) => resolveDefinition(name, { command: 'x' }, pool));
}

/**
 * The servers of a file that cannot be used because of what they depend on, and why. A server that is not in the file may be one
 * that the host adds.
 * @param unusable why the others of the file are no servers of a pool: the end of the sentence "it depends on x, which …"
 */
export function brokenByDependencies(
  servers: Readonly<Record<string, ServerDefinition>>,
  unusable: ReadonlyMap<string, string>,
  pool: ResolvedPoolOptions,
): ReadonlyMap<string, string> {
  const broken = new Map<string, string>();
  // A file without dependencies is the usual one.
  if (Object.values(servers).every((definition) => needsOf(definition).length === 0)) return broken;
  for (;;) {
    const usable = Object.entries(servers).filter(([name]) => !broken.has(name));
    const before = broken.size;
    for (const [name, definition] of usable) {
      const need = needsOf(definition).find((other) => unusable.has(other) || broken.has(other));
      if (need === undefined) continue;
      broken.set(name, `it depends on '${shownName(need)}', which ${unusable.get(need) ?? 'cannot be used'}`);
    }
    if (broken.size > before) continue;
    for (const [name, why] of problemsOf(Object.fromEntries(usable), pool)) broken.set(name, why);
    if (broken.size === before) return broken;
  }
}

/** What the checks of a pool find between these servers: circles, and what cannot be depended on. */
function problemsOf(
  servers: Readonly<Record<string, ServerDefinition>>,
  pool: ResolvedPoolOptions,
): [string, string][] {
  try {
    const standIns = Object.values(servers).flatMap((one) =>
      standInsFor(one, pool, (name) => Object.hasOwn(servers, name)),
    );
    const others = [...new Map(standIns.map((one) => [one.name, one])).values()];
    resolveDefinitions(servers, pool, others, 'the servers');
    return [];
  } catch (error) {
    const problems = (error instanceof OwnPoolError && error.data.problems) || [];
    return problems.flatMap((problem) => {
      const isAbout = (name: string) =>
        problem.startsWith(`${name}.`) ||
        (problem.startsWith('dependsOn must not lead') && problem.includes(`'${name}'`));
      return Object.keys(servers)
        .filter(isAbout)
        .map((name): [string, string] => [name, sentenceForFile(problem.replace(`${name}.`, ''))]);
    });
  }
}
