import { knownEnvironment, withEnvironment } from '../config/environment.js';
import type { ResolvedDefinition } from '../config/options.js';
import { processKey } from '../config/process-key.js';
import { replacedValues } from '../config/variant.js';
import { PoolError } from '../errors.js';
import { type StartCommand, withCommand } from './start-command.js';

/** A shorter value is in ordinary words, too, and protects nothing. */
const SHORTEST = 4;
/** Names of options that have secrets as values. */
const SECRET_NAME = /token|key|secret|passw|pwd|auth|credential|cookie/i;

type Given = Pick<ResolvedDefinition, 'args' | 'inheritEnv'> & { readonly env: Readonly<Record<string, string>> };

/** Takes the secrets of a definition out of what its server wrote. */
export class Secrets {
  /** Longest first: one may be a part of another. */
  readonly #values: readonly string[];

  /**
   * @param environment of its process
   * @param replaced what calls have put in place of values of the definition: all of it may be secret
   */
  constructor(
    { args, env, inheritEnv }: Given,
    environment: Readonly<Record<string, string>>,
    replaced: readonly string[] = [],
  ) {
    const values = [
      ...Object.values(env),
      ...inheritEnv.map((name) => environment[name] ?? ''),
      ...args.flatMap((arg, index) => secretsIn(arg, args[index - 1])),
      ...replaced,
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

/** In a URL: a password (`postgres://user:x@host`), or a user that is long enough for a token (`https://x@host`). */
const IN_URL = /:\/\/(?:[^/@\s:]*:([^/@\s]+)|([^/@\s:]{16,}))@/g;
/** All that follows a name: an option, a variable, a header, or a header as the value of an option. */
const WHOLE = [/^([\w-]+)=(.+)$/s, /^(?:--?[\w-]+=)?([\w-]+):\s+(.+)$/s];
/** A value anywhere in an argument, up to its end or its quote: the query of a URL, one of several pairs, JSON. */
const NAMED =
  /(?<![\w-])([\w-]+)["']?\s{0,9}[=:]\s{0,9}(?:"(?=([^"]{1,4096})")|'(?=([^']{1,4096})')|(?=(?:(?:Bearer|Basic|Token)\s{1,9})?([^\s"'&#;,]{1,4096})))/gi;

/** The secret parts of an argument. */
function secretsIn(arg: string, before: string | undefined): string[] {
  const found = [...arg.matchAll(IN_URL)].map(([, password, user]) => password ?? user ?? '');
  const named = [...WHOLE.map((pattern) => pattern.exec(arg) ?? []), ...arg.matchAll(NAMED)];
  for (const [, name = '', ...values] of named) {
    // Also what cookies have for values.
    const value = values.join('');
    if (SECRET_NAME.test(name)) found.push(value, ...value.split(/;\s*/).map((part) => part.replace(/^[^=]*=/, '')));
  }
  // `--api-key x`
  const isValue = before?.startsWith('-') && !before.includes('=') && !arg.startsWith('-');
  if (isValue && SECRET_NAME.test(before ?? '')) found.push(arg);
  return found;
}

/** Those that are known before its process is spawned: a function that `env` may be is called only then. */
export function secretsBefore(definition: ResolvedDefinition): Secrets {
  const { env } = definition;
  const known = { ...definition, env: typeof env === 'function' ? {} : env };
  return new Secrets(known, knownEnvironment(definition), replacedValues(definition));
}

/** What a process is spawned with: its definition, and what the host has at that moment. */
export class Spawned {
  readonly spec: ReturnType<typeof withEnvironment>;
  /** As {@link processKey}. */
  readonly key: string;
  readonly #definition: ResolvedDefinition;
  #secrets: Secrets | undefined;

  /**
   * @param command what is started in place of that of the definition
   * @throws PoolError `SPAWN_FAILED` when its `env` is a function that fails
   */
  constructor(definition: ResolvedDefinition, command?: StartCommand) {
    this.#definition = definition;
    const spec = withEnvironment(definition);
    this.spec = command ? withCommand(spec, command) : spec;
    // The values of a function are for this process alone.
    const isKnown = typeof definition.env !== 'function';
    this.key = isKnown ? processKey(definition, spec.resolvedEnv) : processKey(definition);
  }

  /** An error of its launcher, which may quote its working directory: the host knows what is in its definition, and callers theirs. */
  withoutValues<E extends Error>(error: E): E | PoolError {
    if (!(error instanceof PoolError) || replacedValues(this.#definition).length === 0) return error;
    return new PoolError(error.code, this.secrets.hideIn(error.message), error.data, error.cause);
  }

  /** What must not be shown of what it writes. */
  get secrets(): Secrets {
    this.#secrets ??= new Secrets(this.spec, this.spec.resolvedEnv, replacedValues(this.#definition));
    return this.#secrets;
  }
}
