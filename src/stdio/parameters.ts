import { OWN_DEFAULTS } from '../config/own-defaults.js';
import { mayHoldPlaceholder } from '../config/placeholders.js';
import type { StderrOption } from './stderr.js';

/** The parameters of the SDK's `StdioClientTransport`, and options of the pool that matter for one server. */
export interface StdioServerParameters {
  /** The program: a path, or a name that is looked up in PATH. */
  command: string;
  /** Arguments of the program. Default: `[]`. */
  args?: string[] | undefined;
  /** Variables of the server; they replace those of {@link getDefaultEnvironment}. Default: `{}`. */
  env?: Record<string, string> | undefined;
  /** Working directory. Default: that of the host. */
  cwd?: string | undefined;
  /**
   * Where stderr goes, byte by byte. `inherit` (default): to the stderr of the host. `pipe`, `overlapped`: it can be read
   * from `StdioClientTransport.stderr`. `ignore`: nowhere. Else a stream, or the number of a descriptor.
   */
  stderr?: StderrOption | undefined;
  /**
   * What messages of errors call the server: 1 to 100 characters, no control characters. Default: its name in the global pool,
   * `stdio:<command>:<id>`.
   */
  label?: string | undefined;
  /** Longest message of the server, in bytes, as in the SDK. Default: `maxMessageMB` of the pool, 64 MB. */
  maxBufferSize?: number | undefined;
  /** The same in MB (1,048,576 bytes); it replaces `maxBufferSize`. */
  maxMessageMB?: number | undefined;
  /**
   * How long the server may take to exit after its stdin was closed, in milliseconds; then SIGTERM. Default: `defaults` of the global
   * pool, or 2,000.
   */
  eofGrace?: number | undefined;
  /**
   * How long its tree may take to exit after SIGTERM, in milliseconds; then SIGKILL. Default: `defaults` of the global pool,
   * or 2,000.
   */
  termGrace?: number | undefined;
}

const MB = 1_048_576;
/** The upper limit of `maxMessageMB`, as in `config/options.ts`, which this entry point would bundle if it imported that. */
const MOST_MESSAGE_MB = 511;

/** The definition of its server. */
export function definitionOf({ command, args, env, cwd, ...more }: StdioServerParameters) {
  const { maxBufferSize, maxMessageMB, eofGrace, termGrace, label } = more;
  const bufferMB = maxBufferSize === undefined ? undefined : Math.min(maxBufferSize / MB, MOST_MESSAGE_MB);
  const variables = Object.entries(env ?? {})
    .filter(([, value]) => value !== undefined)
    .map(([name, value]): [string, string] => [name, String(value)]);
  const all = Array.isArray(args) ? args.map(String) : args;
  const isLiteral = [command, cwd, ...(Array.isArray(all) ? all : []), ...variables.map(([, value]) => value)].some(
    mayHoldPlaceholder,
  );
  return {
    command,
    // As Node does: each argument and variable becomes a string, and a variable that is undefined is left out. Any other
    // value of `args` is refused by the pool.
    args: all,
    env: Object.fromEntries(variables),
    // Only where it matters: a pool of another version may not know the option. The first as the SDK does.
    ...(isLiteral ? { placeholders: 'literal' as const } : {}),
    ...(label === undefined ? {} : { label }),
    cwd: cwd === '' ? undefined : cwd,
    maxMessageMB: maxMessageMB ?? bufferMB,
    eofGrace,
    termGrace,
    // The graces of the SDK, unless the host has set others in `defaults` of the global pool.
    [OWN_DEFAULTS]: { eofGrace: 2_000, termGrace: 2_000 },
  };
}
