import { callback, copied, type EnvSource, environment, optional, optionalString, strings } from './fields.js';

/** What a call may change of the definition of its server. */
export const variantFields = {
  /**
   * Variables for this call, beside those of the definition; one with the same name replaces that of it. Calls with other values
   * get other instances. A function is called once for each start; another function counts as another value. Values appear in no
   * event, error or log. Default: none.
   */
  env: copied(optional(environment())),
  /** Arguments for this call, in place of those of the definition; calls with others get other instances. Default: those of it. */
  args: copied(optional(strings())),
  /** Working directory for this call, in place of that of the definition; as `args`. Default: that of it. */
  cwd: optionalString(),
};

/** What a call, or `perTenant`, changes of a definition: `args` and `cwd` replace those of it, `env` is merged over that of it. */
export interface VariantValues {
  readonly env?: EnvSource | undefined;
  readonly args?: readonly string[] | undefined;
  readonly cwd?: string | undefined;
}

/**
 * Gives what a tenant changes of a definition; undefined, or nothing in it, where that is nothing.
 * @param tenant undefined: for calls without a tenant
 */
export type PerTenant = (tenant: string | undefined) => VariantValues | undefined;

export const perTenant = () => callback<PerTenant>();
