import { isPlainObject } from '../config/fields.js';
import { isFlat } from './find-servers.js';
import type { McpConfigFormat } from './formats.js';

/** The format of a file. */
export interface Told {
  readonly format: McpConfigFormat;
  /** Whether the host was named, by the caller or by the name of the file. Else what it alone refuses is not refused. */
  readonly isSure: boolean;
}

/** By the end of the path. The first that matches counts. */
const BY_NAME: readonly (readonly [RegExp, McpConfigFormat])[] = [
  [/(?:^|\/)claude_desktop_config\.json$/, 'claude-desktop'],
  [/(?:^|\/)\.mcp\.json$/, 'claude-code'],
  [/(?:^|\/)\.claude\.json$/, 'claude-code'],
  [/(?:^|\/)\.cursor\/mcp\.json$/, 'cursor'],
  [/(?:^|\/)\.vscode\/(?:mcp|settings)\.json$/, 'vscode'],
  [/(?:^|\/)Code(?: - Insiders)?\/User\/(?:.*\/)?(?:mcp|settings)\.json$/, 'vscode'],
  [/(?:^|\/)\.codeium\/(?:.*\/)?mcp_config\.json$/, 'windsurf'],
  [/(?:^|\/)cline_mcp_settings\.json$/, 'cline'],
  [/(?:^|\/)\.gemini\/settings\.json$/, 'gemini-cli'],
  [/(?:^|\/)\.codex\/config\.toml$/, 'codex'],
];

/** By the name of the file; undefined when it says nothing. Pure. */
export function formatByName(path: string): McpConfigFormat | undefined {
  const name = path.replaceAll('\\', '/');
  return BY_NAME.find(([pattern]) => pattern.test(name))?.[1];
}

/** By keys that one host alone knows. */
const BY_KEY: Readonly<Record<string, McpConfigFormat>> = {
  httpUrl: 'gemini-cli',
  trust: 'gemini-cli',
  includeTools: 'gemini-cli',
  excludeTools: 'gemini-cli',
  serverUrl: 'windsurf',
  disabledTools: 'windsurf',
  autoApprove: 'cline',
  alwaysAllow: 'cline',
  transportType: 'cline',
  envFile: 'cursor',
};

/** By how placeholders are written, in this order: `${env:X}` is of Windsurf, too, but most files with it are of Cursor. */
const BY_PLACEHOLDER: readonly (readonly [RegExp, McpConfigFormat])[] = [
  [/\$\{file:/, 'windsurf'],
  [/\$\{(?:env:|workspaceFolder|userHome\})/, 'cursor'],
  [/\$\{[A-Za-z_]\w*(?::-[^{}]*)?\}/, 'claude-code'],
  [/^(?:\$[A-Z_][A-Z0-9_]+|%[A-Z_][A-Z0-9_]+%)$/, 'gemini-cli'],
];

/**
 * By the shape of the content. What nothing tells is read as Claude Desktop does, from which the others have their format.
 * Pure.
 */
export function formatByShape(value: unknown): McpConfigFormat {
  if (!isPlainObject(value)) return 'claude-desktop';
  if (isPlainObject(value.mcp_servers)) return 'codex';
  if (isPlainObject(value.servers)) return 'vscode';
  if (!Object.hasOwn(value, 'mcpServers')) return isFlat(value) ? 'claude-code' : 'claude-desktop';
  const servers = isPlainObject(value.mcpServers) ? value.mcpServers : {};
  const entries = Object.values(servers).filter(isPlainObject);
  if (entries.some(({ type }) => type === 'STDIO' || type === 'SSE' || type === 'STREAMABLE_HTTP')) return 'metamcp';
  const key = entries.flatMap((entry) => Object.keys(entry)).find((name) => Object.hasOwn(BY_KEY, name));
  const byKey = key === undefined ? undefined : BY_KEY[key];
  if (byKey !== undefined) return byKey;
  const texts = entries.flatMap((entry) => textsOf(entry));
  return BY_PLACEHOLDER.find(([pattern]) => texts.some((text) => pattern.test(text)))?.[1] ?? 'claude-desktop';
}

function textsOf({ command, args, env, url, headers }: Record<string, unknown>): string[] {
  const list = (value: unknown) =>
    Array.isArray(value) ? value : isPlainObject(value) ? Object.values(value) : [value];
  return [command, args, env, url, headers].flatMap(list).filter((value) => typeof value === 'string');
}
