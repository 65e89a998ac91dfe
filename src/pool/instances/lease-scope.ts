import type { ResolvedDefinition } from '../../config/options.js';
import type { Variant } from '../../config/variant.js';

/** The names that a host gives: of whom a lease is. */
export interface ScopeLabels {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** What decides which other leases may use the same instance. */
export interface LeaseScope extends ScopeLabels {
  /** What its calls change of the definition; undefined when that is nothing. */
  readonly variant: Variant | undefined;
}

/** The scope of spare instances: the next caller is not known. */
export const SPARE: LeaseScope = { tenant: undefined, owner: undefined, variant: undefined };

/** The reuse key of {@link SPARE}, with every definition. */
export const SPARE_KEY = '';

/** Leases with the same key may use the same instances of a server, also those that have served one of them. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner, variant }: LeaseScope): string {
  // Most calls have no owner: for them no string is made.
  const key = owner === undefined || reuse !== 'owner' ? (tenant ?? SPARE_KEY) : `${tenant ?? ''}\0${owner}`;
  // No label contains NUL, and none is empty.
  return variant === undefined ? key : `${key}\0\0${variant.id}`;
}
