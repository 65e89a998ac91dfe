import type { Resolved } from './fields.js';
import type { definitionFields } from './options.js';
import type { Problems } from './read-options.js';

/** A value that another program would replace: `${TOKEN}`, `${env:TOKEN}`, `${workspaceFolder}`. */
const PLACEHOLDER = /^\$\{[^{}]*\}$/;

/** Whether a whole value is a placeholder, which this library passes as it is. */
export function isPlaceholder(value: unknown): boolean {
  return typeof value === 'string' && PLACEHOLDER.test(value);
}

/**
 * A value that is nothing but a placeholder is a mistake of most hosts: their files were written for a program that replaces
 * it. Inside of a longer value it is not looked for: some servers (mcp-remote) replace such parts themselves.
 */
export function checkPlaceholders(
  { args, env, placeholders }: Pick<Resolved<typeof definitionFields>, 'args' | 'env' | 'placeholders'>,
  prefix: string,
  problems: Problems,
): void {
  if (placeholders === 'literal') return;
  const what = (path: string) =>
    `${prefix}${path} must not be a placeholder (\${…}): it would reach the server as it is. Put the value there`;
  const literal = "; placeholders: 'literal' passes it all the same";
  for (const [name, value] of Object.entries(env)) {
    if (isPlaceholder(value))
      problems.wrong.push(`${what(`env.${name}`)} (process.env.…), or name the variable in inheritEnv${literal}`);
  }
  const item = args.findIndex(isPlaceholder);
  if (item !== -1) problems.wrong.push(`${what(`args[${item}]`)}${literal}`);
}

/** A remote server has no command: that it is remote is the one problem, and the missing command none. */
export function checkRemote(own: Readonly<Record<string, unknown>>, path: string, problems: Problems): void {
  const isRemote =
    own.command === undefined && ['url', 'serverUrl', 'httpUrl', 'type'].some((key) => own[key] !== undefined);
  const missing = `${path === '' ? '' : `${path}.`}command must be a string, got undefined`;
  const index = isRemote && own.type !== 'stdio' ? problems.wrong.indexOf(missing) : -1;
  if (index !== -1) problems.wrong.splice(index, 1);
}
