import type { ResolvedDefinition } from '../config/options.js';

/** A shorter value is in ordinary words, too, and protects nothing. */
const SHORTEST = 4;
/** Names of options whose values are secrets. */
const SECRET_NAME = /token|key|secret|passw|pwd|auth|credential|cookie/i;

type Given = Pick<ResolvedDefinition, 'args' | 'env' | 'inheritEnv'>;

/** Takes the secrets of a definition out of what its server wrote. */
export class Secrets {
  /** Longest first: one may be a part of another. */
  readonly #values: readonly string[];

  /** @param environment of its process */
  constructor({ args, env, inheritEnv }: Given, environment: Readonly<Record<string, string>>) {
    const values = [
      ...Object.values(env),
      ...inheritEnv.map((name) => environment[name] ?? ''),
      ...args.flatMap((arg, index) => secretsIn(arg, args[index - 1])),
    ];
    this.#values = [...new Set(values.map((value) => value.trim()))]
      .filter((value) => value.length >= SHORTEST)
      .sort((a, b) => b.length - a.length);
  }

  /** The string with `[hidden]` in place of each value. */
  hideIn(output: string): string {
    return this.#values.reduce((hidden, value) => hidden.replaceAll(value, '[hidden]'), output);
  }
}

/** The secret parts of an argument: `--api-key=x`, `--api-key x`, `postgres://user:x@host`. */
function secretsIn(arg: string, before: string | undefined): string[] {
  const found = /:\/\/[^/@\s]*:([^/@\s]+)@/.exec(arg)?.slice(1) ?? [];
  const [, name = '', value = ''] = /^([\w-]+)=(.+)$/s.exec(arg) ?? [];
  if (SECRET_NAME.test(name)) found.push(value);
  if (before?.startsWith('-') && SECRET_NAME.test(before) && !before.includes('=') && !arg.startsWith('-'))
    found.push(arg);
  return found;
}
