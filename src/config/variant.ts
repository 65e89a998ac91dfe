import { createHmac, randomBytes } from 'node:crypto';
import { environmentKey, mergedEnvironment } from './env-source.js';
import type { ResolvedDefinition } from './options.js';
import type { VariantValues } from './variant-options.js';

/** A definition as some calls change it. Calls with equal values have the same variant. */
export interface Variant extends VariantValues {
  /** Shows nothing of the values: it may stand in a key. */
  readonly id: string;
}

/** Of this process alone: without it, a value that is short could be found by trying. */
const KEY = randomBytes(32);

/** Where changed definitions come from. Apart from them: a definition is passed on as a whole. */
const ORIGINS = new WeakMap<ResolvedDefinition, { readonly base: ResolvedDefinition; readonly variant: Variant }>();

/** The variant with these values; undefined when they change nothing. */
export function variantOf({ env, args, cwd }: VariantValues): Variant | undefined {
  const isEmpty = env === undefined || (typeof env !== 'function' && Object.keys(env).length === 0);
  if (isEmpty && args === undefined && cwd === undefined) return undefined;
  // `process.env` is no copy, and may change.
  const ownEnv = isEmpty || typeof env === 'function' ? env : mergedEnvironment({}, env);
  const content = JSON.stringify([isEmpty ? null : environmentKey(env), args ?? null, cwd ?? null]);
  const id = createHmac('sha256', KEY).update(content).digest('base64url');
  return { id, env: isEmpty ? undefined : ownEnv, args, cwd };
}

/** Whether instances and callers of the two have the same values. */
export function isSameVariant(a: Variant | undefined, b: Variant | undefined): boolean {
  return a?.id === b?.id;
}

/** What is started for a variant. */
export function withVariant(definition: ResolvedDefinition, variant: Variant | undefined): ResolvedDefinition {
  if (variant === undefined) return definition;
  const { args = definition.args, cwd = definition.cwd } = variant;
  const env = variant.env === undefined ? definition.env : mergedEnvironment(definition.env, variant.env);
  const changed = { ...definition, env, args, cwd };
  ORIGINS.set(changed, { base: definition, variant });
  return changed;
}

/** The definition of the server, without what a variant changes. */
export function baseOf(definition: ResolvedDefinition): ResolvedDefinition {
  return ORIGINS.get(definition)?.base ?? definition;
}

/** The values with which a variant has replaced those of the definition, apart from variables: each may be secret. */
export function replacedValues(definition: ResolvedDefinition): string[] {
  const { base, variant } = ORIGINS.get(definition) ?? {};
  if (base === undefined || variant === undefined) return [];
  const { args = [], cwd } = variant;
  // The name of an option is no secret, and neither is what the definition says, too.
  const own = args.filter((arg) => !base.args.includes(arg) && !/^--?[\w-]+$/.test(arg));
  return cwd === undefined || cwd === base.cwd ? own : [...own, cwd];
}
