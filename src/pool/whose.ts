import type { ResolvedDefinition } from '../config/options.js';

/** For whom an instance is, from which follows who else may use it. */
export interface Whose {
  readonly tenant: string | undefined;
  readonly owner: string | undefined;
}

/** Whose spare instances are: nobody knows which tenant comes next, so they serve calls that name none. */
export const SPARE: Whose = { tenant: undefined, owner: undefined };

/** Who may use an instance that was started for `whose`. */
export function reuseKey({ reuse }: ResolvedDefinition, { tenant, owner }: Whose): string {
  return reuse === 'owner' ? `${tenant ?? ''}\0${owner ?? ''}` : (tenant ?? '');
}

/** Callers of one kind can be served by the same instances: those of one server and one reuse key. */
export function kindOf(definition: ResolvedDefinition, whose: Whose): string {
  return kind(definition.name, reuseKey(definition, whose));
}

export function kind(name: string, key: string): string {
  return `${name}\0${key}`;
}
