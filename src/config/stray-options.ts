import { reader } from './call-options.js';
import { duration, type Field, type Given } from './option-table.js';

/**
 * How command lines of MCP servers look in reports of leaks: `npm exec @modelcontextprotocol/server-everything`,
 * `/usr/local/bin/uv tool uvx mcp-server-time` (metatool-ai/metamcp#128), `node …/.bin/chrome-devtools-mcp`, `npm exec
 * @playwright/mcp@latest`, `mcp-remote` (anthropics/claude-code#27707, zai-org/feedback#25, agiletec-inc/airis-mcp-gateway#232).
 */
const MCP_SERVERS: readonly (RegExp | string)[] = [
  '@modelcontextprotocol/',
  // Not what this package itself runs.
  /mcp-server(?!-pool)/,
  /[\w.]-mcp(?=[\s@/]|\.[cm]?js|$)/,
  /@[\w.-]+\/mcp(?=[\s@/]|$)/,
  /(?<![\w-])mcp-remote(?![\w-])/,
];

const patterns: Field<readonly (RegExp | string)[]> = {
  default: MCP_SERVERS,
  check(value) {
    if (!Array.isArray(value) || value.length === 0) {
      return 'a list of texts and regular expressions with one at least; leave it out for those of MCP servers';
    }
    const wrong = value.findIndex((item) => !isPattern(item));
    if (wrong !== -1) return `a list of texts and regular expressions; item ${wrong} is neither`;
    // `search` knows no state of a pattern with the flag `g`.
    const all = value.findIndex((item) => (typeof item === 'string' ? item.trim() === '' : ''.search(item) !== -1));
    return all === -1 ? undefined : `a list of patterns that tell servers from others; item ${all} matches everything`;
  },
};

function isPattern(item: unknown): boolean {
  return typeof item === 'string' || item instanceof RegExp;
}

const findFields = {
  /**
   * What a command line (its arguments joined by blanks) must match: a regular expression, or a text that it contains; one
   * of them is enough. Default: how MCP servers mostly look: `@modelcontextprotocol/`, `mcp-server`, names that end in
   * `-mcp`, `@scope/mcp`, `mcp-remote`.
   */
  patterns,
  /** Only what runs for longer than this, ms: a host that starts servers may not have got hold of them yet. Default 60,000. */
  olderThan: duration(60_000),
};

/** Options of `findStrays()`. */
export type FindStraysOptions = Given<typeof findFields>;

const endFields = {
  /** How long a stray may take to exit after SIGTERM, before SIGKILL, ms. Default 5,000. */
  termGrace: duration(5_000),
};

/** Options of `endStrays()`. */
export type EndStraysOptions = Given<typeof endFields>;

export const resolveFindStrays = reader(findFields, 'the options of findStrays()');
export const resolveEndStrays = reader(endFields, 'the options of endStrays()');
