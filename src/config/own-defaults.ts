/**
 * A property of a definition: values for policies that neither the definition nor `defaults` of the pool set. The drop-in has
 * the defaults of the SDK by it. The symbol is registered, because the pool may belong to another copy of this package. A
 * version of the package that does not know the symbol ignores it.
 */
export const OWN_DEFAULTS: unique symbol = Symbol.for('mcp-server-pool.own-defaults') as never;
