import type { ResolvedDefinition } from '../../config/options.js';

/** The tenant and the owner of a lease or an instance. They decide which other leases may use the same instance. */
export interface LeaseScope {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** The scope of spare instances: the next caller is not known. */
export const SPARE: LeaseScope = { tenant: undefined, owner: undefined };

/** The reuse key of {@link SPARE}, with every definition. */
export const SPARE_KEY = '';

/** Leases with the same key may use the same instances of a server, also those that have served one of them. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner }: LeaseScope): string {
  // Most calls have no owner: for them no string is made.
  return owner === undefined || reuse !== 'owner' ? (tenant ?? SPARE_KEY) : `${tenant ?? ''}\0${owner}`;
}
