/**
 * A property of a definition: values for policies that neither the definition nor `defaults` of the pool set. For the drop-in,
 * whose defaults are those of the SDK. Registered, because the pool may belong to another copy of this package; a version that
 * does not know it takes no notice.
 */
export const OWN_DEFAULTS: unique symbol = Symbol.for('mcp-server-pool.own-defaults') as never;
