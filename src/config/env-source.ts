import { describeValue, type EnvSource, stringMap } from './fields.js';
import { snapshot } from './snapshot.js';

// `env` of a definition or a call: variables, or a function that returns them at each start.

/** A function has failed: of two that were merged, the message is that of the one. */
class EnvironmentFault extends Error {}

type Variables = Readonly<Record<string, string>>;

const variables = stringMap();
/** What stands for a function in a key: the function may return other values at each start. */
const KEYS = new WeakMap<() => Variables, unknown>();
let functions = 0;

/** What of it decides whether two processes may be used for one another. Contains values: do not show or log it. */
export function environmentKey(env: EnvSource): unknown {
  if (typeof env !== 'function') return Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1));
  if (!KEYS.has(env)) KEYS.set(env, ++functions);
  return KEYS.get(env);
}

/** Both together; a variable of `over` replaces that of `base`. */
export function mergedEnvironment(base: EnvSource, over: EnvSource): EnvSource {
  if (typeof base !== 'function' && typeof over !== 'function') return merged(base, over);
  if (isNothing(over)) return base;
  if (isNothing(base)) return over;
  const both = () => merged(readEnvironment(base), readEnvironment(over));
  KEYS.set(both, [environmentKey(base), environmentKey(over)]);
  return both;
}

function isNothing(env: EnvSource): boolean {
  return typeof env !== 'function' && Object.keys(env).length === 0;
}

/** By entries, not by assignment: a variable may have the name of a property of every object. */
function merged(base: Variables, over: Variables): Variables {
  return Object.fromEntries([...Object.entries(base), ...Object.entries(over)]);
}

/**
 * The variables for a start that is made now. Calls the function.
 * @throws EnvironmentFault that shows no value; its cause is what the function has thrown
 */
export function readEnvironment(env: EnvSource): Variables {
  if (typeof env !== 'function') return env;
  const given = call(env);
  if (given instanceof Promise) {
    // Nobody else learns of it; it must not end the host.
    given.catch(() => {});
    throw new EnvironmentFault(
      'its env function returned a promise, which a start cannot wait for: return values that are there',
    );
  }
  const values: unknown = snapshot(given, 'what its env function returned');
  const problem = values === undefined ? `an object of strings, got ${describeValue(values)}` : variables.check(values);
  if (problem !== undefined) throw new EnvironmentFault(`its env function must return ${problem}`);
  return values as Variables;
}

function call(env: () => unknown): unknown {
  try {
    return env();
  } catch (cause) {
    // The message of the host may quote a secret.
    throw cause instanceof EnvironmentFault ? cause : new EnvironmentFault('its env function threw', { cause });
  }
}
