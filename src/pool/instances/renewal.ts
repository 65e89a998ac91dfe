import type { ResolvedDefinition } from '../../config/options.js';
import { processKey } from '../../config/process-key.js';
import { withVariant } from '../../config/variant.js';
import type { PooledInstance } from './pooled-instance.js';

// Whether an instance is one of a definition that was changed.

/** Gives an instance the policy of a definition, if they differ in nothing else. @param key of the definition */
export function renew(instance: PooledInstance, definition: ResolvedDefinition, key: string): void {
  const own = withVariant(definition, instance.variant);
  if (instance.processKey === keyOf(own, definition, key)) instance.definition = own;
}

/** Whether its process would see something else if it was started by a definition now. @param key of the definition */
export function isOutdated(instance: PooledInstance, definition: ResolvedDefinition, key: string): boolean {
  return instance.processKey !== keyOf(withVariant(definition, instance.variant), definition, key);
}

function keyOf(own: ResolvedDefinition, definition: ResolvedDefinition, key: string): string {
  return own === definition ? key : processKey(own);
}
