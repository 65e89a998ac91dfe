/** How many servers have a label of their own. */
export const MOST_SERVERS = 500;

/** The end of a name that `StdioClientTransport` makes: `stdio:<program>:<copy of the package>-<number>`. */
const OWN_NUMBER = /^(stdio:.*):[0-9a-f]{8}-\d+$/s;

/**
 * What a server is called in labels and attributes: its name. Each transport of the drop-in has a server of its own, which gets
 * no figures of its own: those of one program are added up.
 */
export function serverLabel(name: string): string {
  return OWN_NUMBER.exec(name)?.[1] ?? name;
}
