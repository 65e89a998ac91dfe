import { OTHER } from './bounded-names.js';

/** The requests of clients that the protocol knows. @see https://modelcontextprotocol.io/specification/2025-11-25/schema */
export const METHODS = [
  'initialize',
  'ping',
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'tasks/list',
  'tasks/get',
  'tasks/result',
  'tasks/cancel',
  'server/discover',
  OTHER,
] as const;

const KNOWN: ReadonlySet<string> = new Set(METHODS);

/** A client may invent as many methods as it likes: those that the protocol does not know are one. */
export function methodLabel(method: string): string {
  return KNOWN.has(method) ? method : OTHER;
}
