import { describeValue, isPlainObject } from '../config/fields.js';
import type { Path } from './document.js';
import type { Format } from './formats.js';

/** Where hosts have their servers. */
const OF_HOSTS = ['mcpServers', 'servers', 'mcp_servers', 'context_servers'] as const;

/** The entries, and the path to them. */
export function findServers(
  value: unknown,
  { roots, title, isShared }: Format,
  isSure: boolean,
):
  | { readonly servers: Readonly<Record<string, unknown>>; readonly path: Path }
  | { readonly path: Path; readonly message: string } {
  if (!isPlainObject(value)) return { path: [], message: `the file must hold an object, got ${describeValue(value)}` };
  for (const path of roots) {
    const at = path.reduce<unknown>((object, key) => (isPlainObject(object) ? ownOf(object, key) : undefined), value);
    if (at === undefined || (path.length === 0 && !isFlat(value))) continue;
    if (isPlainObject(at)) return { servers: at, path };
    return { path, message: `${path.join('.')} must be an object of servers by name, got ${describeValue(at)}` };
  }
  const keys = roots.filter((path) => path.length > 0).map((path) => path.join('.'));
  const foreign = OF_HOSTS.find((key) => isPlainObject(ownOf(value, key)));
  if (isSure && foreign !== undefined) {
    const message = `the file has ${foreign}, which ${title} does not read: it reads ${keys.join(' or ')}; name the host that the file is of by the option format`;
    return { path: [foreign], message };
  }
  const entry = roots.some((path) => path.length === 0) ? Object.values(value).find(isEntry) : undefined;
  if (isSure && entry !== undefined)
    return { path: [], message: `the file has servers beside what is none: put these into ${keys.join(' or ')}` };
  if (isSure && isShared) return { servers: {}, path: roots[0] ?? [] };
  const where = isSure
    ? `as ${title} reads it, they are in ${keys.join(' or ')}`
    : 'they are in mcpServers (most hosts), servers (VS Code) or mcp_servers (Codex)';
  return { path: [], message: `the file has no servers: ${where}` };
}

/** Whether all of it are entries, without a key above them, as in the `.mcp.json` of a plugin of Claude Code. */
export function isFlat(value: Readonly<Record<string, unknown>>): boolean {
  const entries = Object.values(value);
  return entries.length > 0 && entries.every(isEntry);
}

function isEntry(value: unknown): boolean {
  return isPlainObject(value) && ('command' in value || 'url' in value);
}

function ownOf(object: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** Whether a path is below another one. */
export function isWithin(path: Path, root: Path): boolean {
  return path.length > root.length && root.every((step, at) => path[at] === step);
}
