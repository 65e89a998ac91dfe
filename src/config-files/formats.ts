import { BRACES, prefixed, SHELL, type Syntax, WHOLE_VALUE } from './substitution.js';

/** The host whose rules a configuration file follows. */
export type McpConfigFormat =
  | 'claude-desktop'
  | 'claude-code'
  | 'cursor'
  | 'windsurf'
  | 'cline'
  | 'gemini-cli'
  | 'metamcp'
  | 'vscode'
  | 'codex';

/** The fields of an entry in which a host replaces placeholders. */
export type Field = 'command' | 'args' | 'env' | 'cwd' | 'url' | 'headers' | 'envFile';

const ALL: readonly Field[] = ['command', 'args', 'env', 'cwd', 'url', 'headers', 'envFile'];

/** How one host reads its configuration file. */
export interface Format {
  /** Its name in messages. */
  readonly title: string;
  readonly language: 'json' | 'toml';
  /** Where the servers are in the file: the first of these that is there. */
  readonly roots: readonly (readonly string[])[];
  /** Whether the file holds other settings, too, so that one without servers is complete. */
  readonly isShared: boolean;
  readonly comments: boolean;
  readonly trailingCommas: boolean;
  /** Undefined: it replaces nothing. */
  readonly syntax: Syntax | undefined;
  /** What it writes for a message. */
  readonly placeholders: string;
  readonly fields: ReadonlySet<Field>;
  /** What a variable becomes that is not set. `problem`: the host passes the placeholder on as text, or its rule is not known. */
  readonly unset: 'problem' | 'empty';
  readonly envFile: boolean;
  /** What counts when an entry has both a command and an address, and no type. */
  readonly both: 'command' | 'url' | 'refuse';
  /** What a remote entry without a type is. `refuse`: the host takes it for a server without a command. */
  readonly remoteType: 'http' | 'sse' | 'refuse';
}

const JSON_FILE = {
  language: 'json',
  roots: [['mcpServers']],
  isShared: false,
  comments: false,
  trailingCommas: false,
  unset: 'problem',
  envFile: false,
  both: 'command',
  remoteType: 'http',
} as const;
const NO_PLACEHOLDERS = { syntax: undefined, placeholders: 'none', fields: new Set<Field>() } as const;

/**
 * One row for each host. Sources, and what could not be found out: docs/configuration-files.md.
 */
export const FORMATS = {
  /** https://modelcontextprotocol.io/docs/develop/connect-local-servers */
  'claude-desktop': { ...JSON_FILE, ...NO_PLACEHOLDERS, title: 'Claude Desktop', isShared: true },
  /** https://code.claude.com/docs/en/mcp#environment-variable-expansion-in-mcp-json */
  'claude-code': {
    ...JSON_FILE,
    title: 'Claude Code',
    roots: [['mcpServers'], []],
    isShared: true,
    syntax: BRACES,
    placeholders: `\${NAME} and \${NAME:-default}`,
    fields: new Set<Field>(['command', 'args', 'env', 'url', 'headers']),
    remoteType: 'refuse',
  },
  /** https://cursor.com/docs/mcp#config-interpolation */
  cursor: {
    ...JSON_FILE,
    title: 'Cursor',
    comments: true,
    trailingCommas: true,
    syntax: prefixed('env', 'place'),
    placeholders: `\${env:NAME}, \${userHome}, \${workspaceFolder} and \${workspaceFolderBasename}`,
    fields: new Set<Field>(['command', 'args', 'env', 'url', 'headers', 'envFile']),
    envFile: true,
  },
  /** https://docs.windsurf.com/windsurf/cascade/mcp#config-interpolation */
  windsurf: {
    ...JSON_FILE,
    title: 'Windsurf',
    syntax: prefixed('env', 'file'),
    placeholders: `\${env:NAME} and \${file:/path}`,
    fields: new Set<Field>(['command', 'args', 'env', 'url', 'headers']),
  },
  /** https://github.com/cline/cline, src/services/mcp/schemas.ts */
  cline: { ...JSON_FILE, ...NO_PLACEHOLDERS, title: 'Cline', remoteType: 'sse' },
  /** https://geminicli.com/docs/tools/mcp-server, packages/cli/src/utils/envVarResolver.ts */
  'gemini-cli': {
    ...JSON_FILE,
    title: 'Gemini CLI',
    isShared: true,
    comments: true,
    syntax: SHELL,
    placeholders: `$NAME, \${NAME}, \${NAME:-default} and %NAME%`,
    fields: new Set(ALL),
    both: 'url',
    remoteType: 'sse',
  },
  /** https://github.com/metatool-ai/metamcp, apps/backend/src/lib/metamcp/utils.ts */
  metamcp: {
    ...JSON_FILE,
    title: 'MetaMCP',
    syntax: WHOLE_VALUE,
    placeholders: `\${NAME} as the whole value of a variable`,
    fields: new Set<Field>(['env']),
  },
  /** https://code.visualstudio.com/docs/agents/reference/mcp-configuration */
  vscode: {
    ...JSON_FILE,
    title: 'VS Code',
    roots: [['servers'], ['mcp', 'servers'], ['mcpServers']],
    comments: true,
    trailingCommas: true,
    syntax: prefixed('env', 'input', 'place'),
    placeholders: `\${env:NAME}, \${input:id}, \${userHome} and \${workspaceFolder}`,
    fields: new Set(ALL),
    // As a shell does: https://github.com/microsoft/vscode/issues/46436
    unset: 'empty',
    envFile: true,
  },
  /** https://developers.openai.com/codex/mcp, codex-rs/config/src/mcp_types.rs */
  codex: {
    ...JSON_FILE,
    ...NO_PLACEHOLDERS,
    title: 'Codex',
    language: 'toml',
    roots: [['mcp_servers']],
    isShared: true,
    both: 'refuse',
  },
} as const satisfies Readonly<Record<McpConfigFormat, Format>>;

export const FORMAT_NAMES = Object.keys(FORMATS) as McpConfigFormat[];
