import { describeValue, type Field, type Given } from './fields.js';
import { duration } from './number-fields.js';
import { reader } from './read-options.js';

/**
 * Matches the command lines of MCP servers in reports of leaks: `npm exec @modelcontextprotocol/server-everything`,
 * `/usr/local/bin/uv tool uvx mcp-server-time` (metatool-ai/metamcp#128), `node …/.bin/chrome-devtools-mcp`, `npm exec
 * @playwright/mcp@latest`, `mcp-remote` (anthropics/claude-code#27707, zai-org/feedback#25, agiletec-inc/airis-mcp-gateway#232).
 */
const MCP_SERVERS: readonly (RegExp | string)[] = [
  '@modelcontextprotocol/',
  // Not the processes of this package itself.
  /mcp-server(?!-pool)/,
  /[\w.]-mcp(?=[\s@/]|\.[cm]?js|$)/,
  /@[\w.-]+\/mcp(?=[\s@/]|$)/,
  /(?<![\w-])mcp-remote(?![\w-])/,
];

export const patterns: Field<readonly (RegExp | string)[]> = {
  default: MCP_SERVERS,
  check(value) {
    const what = 'an array of strings and regular expressions';
    if (!Array.isArray(value)) return `${what}, got ${describeValue(value)}`;
    if (value.length === 0) return `${what} that is not empty; leave it out for the default patterns`;
    const wrong = value.findIndex((item) => !isPattern(item));
    if (wrong !== -1) return `${what}; item ${wrong} is neither`;
    // `search`, since the result of `test` depends on earlier calls when a pattern has the flag `g`.
    const all = value.findIndex((item) => (typeof item === 'string' ? item.trim() === '' : ''.search(item) !== -1));
    return all === -1 ? undefined : `${what} that match servers only; item ${all} matches everything`;
  },
};

function isPattern(item: unknown): boolean {
  return typeof item === 'string' || item instanceof RegExp;
}

const findFields = {
  /**
   * What the command line of a stray (its arguments joined by blanks, of these the first 4,096 characters) matches: regular
   * expressions, or strings that it contains. One match is enough. Default: patterns of most MCP servers (`@modelcontextprotocol/`, `mcp-server`, names that
   * end in `-mcp`, `@scope/mcp`, `mcp-remote`).
   */
  patterns,
  /**
   * Least age of a stray, in milliseconds. A host may not yet hold the stdin of a server that it has just started.
   * Default: 60,000.
   */
  olderThan: duration(60_000),
};

/** Options of `findStrays()`. */
export type FindStraysOptions = Given<typeof findFields>;

export const endFields = {
  /** How long a stray may take to exit after SIGTERM, in milliseconds; then SIGKILL. Default: 5,000. */
  termGrace: duration(5_000),
};

/** Options of `endStrays()`. */
export type EndStraysOptions = Given<typeof endFields>;

export const resolveFindStrays = reader(findFields, 'the options of findStrays()');
export const resolveEndStrays = reader(endFields, 'the options of endStrays()');
