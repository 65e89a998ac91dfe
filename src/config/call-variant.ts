import { namesOf, PoolError, titleOf } from '../errors.js';
import { mergedEnvironment } from './env-source.js';
import type { ResolvedDefinition } from './options.js';
import { checkPlaceholders } from './placeholders.js';
import { type Problems, readOptions, refuse } from './read-options.js';
import { typed } from './snapshot.js';
import { type Variant, variantOf, withVariant } from './variant.js';
import { type VariantValues, variantFields } from './variant-options.js';

const NOTHING: VariantValues = {};

/**
 * The variant of a call: what its tenant changes of the definition, and what the call itself does; undefined when that is nothing.
 * @param call as the host writes it, such as `getServer()`
 * @throws PoolError `INVALID_OPTIONS`
 */
export function callVariant(
  definition: ResolvedDefinition,
  tenant: string | undefined,
  call: string,
  values = NOTHING,
): Variant | undefined {
  const isChanged = values.env !== undefined || values.args !== undefined || values.cwd !== undefined;
  // The path of most calls.
  if (!isChanged && definition.perTenant === undefined) return undefined;
  const problems: Problems = { wrong: [], unsupported: [] };
  const ofTenant = tenantValues(definition, tenant, problems);
  const variant = variantOf(isChanged ? over(ofTenant, values) : ofTenant);
  if (variant) checkPlaceholders(withVariant(definition, variant), '', problems);
  refuse(problems, isChanged ? `the options of ${call}` : `what perTenant of ${titleOf(definition)} returned`);
  return variant;
}

/** What the function of the host says for a tenant. */
function tenantValues(definition: ResolvedDefinition, tenant: string | undefined, problems: Problems): VariantValues {
  const { perTenant } = definition;
  if (perTenant === undefined) return NOTHING;
  const what = `what perTenant of ${titleOf(definition)} returned`;
  let given: unknown;
  try {
    given = perTenant(tenant);
  } catch (cause) {
    // Its message may quote a secret.
    const problem = `perTenant of ${titleOf(definition)} threw: see the cause of this error`;
    throw new PoolError('INVALID_OPTIONS', problem, { ...namesOf(definition), problems: [problem] }, cause);
  }
  if (given === undefined) return NOTHING;
  if (given instanceof Promise) {
    // Nobody else learns of it; it must not end the host.
    given.catch(() => {});
    const problem = `${what} is a promise, which a call cannot wait for: return values that are there, or pass them to getServer()`;
    throw new PoolError('INVALID_OPTIONS', problem, { ...namesOf(definition), problems: [problem] });
  }
  return typed(() => readOptions(variantFields, given, 'perTenant()', problems), what);
}

/** What a call gives comes before what its tenant has. */
function over(base: VariantValues, { env = {}, args = base.args, cwd = base.cwd }: VariantValues): VariantValues {
  return { env: base.env === undefined ? env : mergedEnvironment(base.env, env), args, cwd };
}
