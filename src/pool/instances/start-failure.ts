import { isSameVariant, type Variant } from '../../config/variant.js';
import type { PoolError } from '../../errors.js';
import type { LeaseScope } from './lease-scope.js';

/** A start that failed: its error, for whom it was, and the clock time. */
export interface StartFailure {
  readonly error: PoolError;
  readonly tenant: string | undefined;
  readonly variant: Variant | undefined;
  readonly at: number;
}

/** Whether callers may learn of it: those of other tenants, or with other values, may not. */
export function isShownTo(failure: StartFailure, scope: Pick<LeaseScope, 'tenant' | 'variant'>): boolean {
  return failure.tenant === scope.tenant && isSameVariant(failure.variant, scope.variant);
}
