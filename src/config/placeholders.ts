import { codeFrom } from './code-arguments.js';
import type { EnvSource, Resolved } from './fields.js';
import type { definitionFields } from './options.js';
import type { Problems } from './read-options.js';

type Values = Pick<Resolved<typeof definitionFields>, 'command' | 'args' | 'env' | 'inheritEnv' | 'cwd'>;

/** A value that is nothing but what another program would replace: `${TOKEN}`, `$TOKEN`, `$env:TOKEN`, `%TOKEN%`. */
const WHOLE = /^(?:\$\{[^{}]*\}|\$(?:env:)?[A-Z_][A-Z0-9_]+|%[A-Z_][A-Z0-9_]+%)$/;

/**
 * Inside of a longer value, only what the hosts that replace it write: `${TOKEN}`, `${TOKEN:-default}`, `${env:TOKEN}`,
 * `${input:token}`, `${workspaceFolder}`, `${user_config.key}`. Others (`${level} ${message}`) may be meant for the server.
 */
const PART =
  /\$\{(?:([A-Z_][A-Z0-9_]*)(?::-[^{}]*)?|(?:env|input|config|command|secret):[^{}]+|workspace\w*(?::[^{}]+)?|user(?:Home|_config\.\w+)|extensionPath|__dirname)\}/g;

/** Whether the pool may refuse the value as a placeholder, unless the definition says `placeholders: 'literal'`. */
export function mayHoldPlaceholder(value: unknown): boolean {
  return typeof value === 'string' && (WHOLE.test(value) || value.match(PART) !== null);
}

/**
 * A placeholder is a mistake of most hosts: their files were written for a program that replaces it; this library passes it as
 * it is. Not looked for: in code for a shell or an interpreter, and inside of a longer value if the definition gives the server
 * that variable: some servers (mcp-remote) replace such parts themselves.
 */
export function checkPlaceholders(
  options: Values & Pick<Resolved<typeof definitionFields>, 'placeholders'>,
  prefix: string,
  problems: Problems,
): void {
  if (options.placeholders === 'literal') return;
  const { command, args, cwd } = options;
  const refuse = (path: string, how = '') =>
    problems.wrong.push(
      `${prefix}${path} must not have a placeholder (\${…}, $NAME): it would reach the server as it is. Put the value there${how}; placeholders: 'literal' passes it all the same`,
    );
  for (const [name, value] of Object.entries(valuesOf(options.env))) {
    if (isMistake(value, options, name)) refuse(`env.${name}`, ' (process.env.…), or name the variable in inheritEnv');
  }
  const code = codeFrom(command, args);
  const item = args.findIndex((value, index) => index < code && isMistake(value, options));
  if (item !== -1) refuse(`args[${item}]`);
  if (isMistake(command, options)) refuse('command');
  if (cwd !== undefined && isMistake(cwd, options)) refuse('cwd');
}

/** Of a function it is not known what it will return. */
function valuesOf(env: EnvSource): Readonly<Record<string, string>> {
  return typeof env === 'function' ? {} : env;
}

/** @param self the variable with this value: it cannot be replaced by itself */
function isMistake(value: string, { env, inheritEnv }: Values, self?: string): boolean {
  const known = valuesOf(env);
  if (WHOLE.test(value)) return true;
  for (const [, name] of value.matchAll(PART)) {
    const isGiven = name !== undefined && name !== self && (Object.hasOwn(known, name) || inheritEnv.includes(name));
    if (!isGiven) return true;
  }
  return false;
}
