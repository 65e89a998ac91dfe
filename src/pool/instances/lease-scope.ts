import type { ResolvedDefinition } from '../../config/options.js';

/** The tenant and the owner of a lease or an instance. They decide which other leases may use the same instance. */
export interface LeaseScope {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** The scope of spare instances: the next tenant is not known, so they serve calls without a tenant. */
export const SPARE: LeaseScope = { tenant: undefined, owner: undefined };

/** Leases with the same key may use the same instances of a server. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner }: LeaseScope): string {
  return reuse === 'owner' ? `${tenant ?? ''}\0${owner ?? ''}` : (tenant ?? '');
}
