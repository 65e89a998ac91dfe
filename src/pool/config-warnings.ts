import { dockerWarnings } from '../config/docker-run.js';
import type { ResolvedDefinition } from '../config/options.js';
import type { PoolEmitter } from './events.js';

/** Tells what is questionable about a definition: when it is given, since later nobody looks at it. */
export function warnAbout(definition: ResolvedDefinition, emitter: PoolEmitter): void {
  const { name } = definition;
  for (const { code, message } of dockerWarnings(definition))
    emitter.emit('config:warned', { name, code, message: `server '${name}': ${message}` });
}
