import type { LeaseScope } from '../instances/lease-scope.js';
import type { LeaseClass } from '../instances/server-entry.js';

/**
 * Ends the idle instances that end before a lease of this scope gets another one of the class.
 * @returns whether the class is all that is left to look at; else the lease may have a spare one, or a new one
 */
export function endIdleFirst(leaseClass: LeaseClass, scope: LeaseScope, now: number): boolean {
  const first = leaseClass.endsFirst(scope, now);
  for (let ending = first; ending; ending = leaseClass.endsFirst(scope, now)) {
    // It would end although another one has made room just now.
    if (ending !== first && ending.reason === 'unfinished') return false;
    void ending.instance.stop(ending.reason);
  }
  return true;
}
