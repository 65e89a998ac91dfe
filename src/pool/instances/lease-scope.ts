import type { ResolvedDefinition } from '../../config/options.js';

/** For which tenant and owner a lease or an instance is. From it follows who else may use the instance. */
export interface LeaseScope {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** Of spare instances: the tenant that comes next is not known, so they serve calls that name none. */
export const SPARE: LeaseScope = { tenant: undefined, owner: undefined };

/** Scopes with the same key may use the same instances. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner }: LeaseScope): string {
  return reuse === 'owner' ? `${tenant ?? ''}\0${owner ?? ''}` : (tenant ?? '');
}
