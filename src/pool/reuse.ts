import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';

/** Why an instance may not be used again after its lease, or undefined when it may. */
export function whyNotAgain(
  { definition, retired, uses, expiresAt }: Pick<ServerInstance, 'definition' | 'retired' | 'uses' | 'expiresAt'>,
  now: number,
): EndReason | undefined {
  if (retired !== undefined) return retired;
  if (definition.sharing === 'dedicated' || definition.reuse === 'never') return 'released';
  if (uses >= definition.maxUses) return 'max-uses';
  if (expiresAt <= now) return 'max-lifetime';
  return undefined;
}
