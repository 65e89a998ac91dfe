import type { EndReason } from '../server/instance-context.js';
import type { ServerInstance } from '../server/server-instance.js';
import type { ServerGroup } from './server-group.js';
import { reuseKey, SPARE } from './whose.js';

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

/** What is to become of an idle instance. */
export interface IdleVerdict {
  readonly instance: ServerInstance;
  /** Why it has had its time, or undefined when it stays. */
  readonly reason: EndReason | undefined;
}

/** The idle instances of a server, with those among them whose time is over. */
export function idleVerdicts(group: ServerGroup, now: number): IdleVerdict[] {
  const spareKey = group.definition && reuseKey(group.definition, SPARE);
  return [...group.idle].flatMap(([key, instances]) => {
    // Of the spare instances the youngest are kept, which stand last.
    const kept = key === spareKey ? (group.definition?.minIdle ?? 0) : 0;
    return instances.map((instance, index) => {
      const isKept = index >= instances.length - kept;
      return { instance, reason: whyIdleEnds(instance, isKept, now) };
    });
  });
}

function whyIdleEnds({ definition, idleSince, expiresAt }: ServerInstance, isKept: boolean, now: number) {
  if (expiresAt <= now) return 'max-lifetime';
  return isKept || idleSince + definition.idleTimeout > now ? undefined : 'idle';
}
