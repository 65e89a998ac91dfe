import { cut } from '../../runtime/cut.js';
import { property } from '../json-rpc.js';

/** Capabilities of a client that let the server send requests to it. */
const ASKING = ['roots', 'sampling', 'elicitation', 'tasks'];
/** Capabilities that only contain others. */
const CONTAINERS = ['experimental', 'extensions'];
/** Most names that are returned, and the longest of them in characters: a client may declare anything. */
const MOST = 50;
const LONGEST = 100;

/** Whether a client capability lets the server send requests, which a shared server cannot. */
export function letsServerAsk(capability: string): boolean {
  return ASKING.includes(capability.split('.', 1)[0] ?? '');
}

/**
 * The capabilities of a client that the server does not know of, because the pool did not declare them: their names, or
 * `name.part` where only a part is missing.
 * @param shared whether several clients share the server, which then sends requests to none of them
 */
export function undeclaredCapabilities(client: unknown, declared: unknown, shared: boolean): string[] {
  const names = [...new Set([...ASKING, ...CONTAINERS, ...keysOf(client)])].filter((name) =>
    isSet(property(client, name)),
  );
  const missing = names.flatMap((name) => {
    const [theirs, ours] = [property(client, name), property(declared, name)];
    if (CONTAINERS.includes(name) && keysOf(theirs).length === 0) return [];
    if (!isSet(ours) || (shared && ASKING.includes(name))) return [name];
    return keysOf(theirs)
      .filter((part) => isSet(property(theirs, part)) && !isSet(property(ours, part)))
      .filter((part) => !(name === 'elicitation' && part === 'form' && keysOf(ours).length === 0))
      .map((part) => `${name}.${part}`);
  });
  return missing.slice(0, MOST).map((name) => cut(name, LONGEST));
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

function keysOf(value: unknown): string[] {
  return typeof value === 'object' && value !== null ? Object.keys(value) : [];
}
