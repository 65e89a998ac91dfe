import { checkDependencies } from './depends-on.js';
import type { ResolvedDefinition } from './options.js';
import type { Problems } from './read-options.js';

/**
 * Checks what servers depend on: that it is defined, leads back to none of them, and can be held for them.
 * @param all the definitions of a pool
 * @param prefixOf of the options of a server, in messages
 */
export function checkOrder(
  all: readonly ResolvedDefinition[],
  prefixOf: (name: string) => string,
  problems: Problems,
): void {
  const dependents = all.filter(({ dependencies }) => dependencies.length > 0);
  // A host may add thousands of servers one by one.
  if (dependents.length === 0) return;
  const pathOf = (name: string) => `${prefixOf(name)}dependsOn`;
  checkDependencies(
    all.map(({ name, dependencies }) => ({ id: name, dependencies, path: pathOf(name) })),
    'server',
    problems,
  );
  const byName = new Map(all.map((definition) => [definition.name, definition]));
  for (const { name, dependencies } of dependents) {
    for (const { id, condition } of dependencies) {
      const dependency = byName.get(id);
      if (dependency?.sharing === 'dedicated')
        problems.wrong.push(
          `${pathOf(name)} must not name '${id}': it is dedicated, so each lease has a process of its own`,
        );
      if (condition === 'healthy' && dependency?.health.check === false)
        problems.wrong.push(`${pathOf(name)}.${id}.condition must not be 'healthy': health.check of '${id}' is false`);
    }
  }
}
