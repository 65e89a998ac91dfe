import { isDeepStrictEqual } from 'node:util';
import { errnoOf, messageOf } from '../errors.js';
import type { ConfigProblem, ConfigRejected, MCPServerPool, ServerDefinition } from '../index.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { changedKeys } from './changed-keys.js';
import { FileWatch } from './file-watch.js';
import { type Loaded, loadFile, pathOfSource } from './load.js';
import { type InputReader, type McpConfigInput, readCallOptions, refuseCall } from './load-options.js';
import type { McpConfigWatch } from './mcp-config-watch.js';
import type { PoolPolicy } from './pool-policy.js';
import { problemOfFile } from './problem.js';
import { sentenceForFile } from './shown-name.js';
import { type WatchMcpConfigOptions, watchFields } from './watch-options.js';

type Servers = Readonly<Record<string, ServerDefinition>>;

const CALL = 'watchMcpConfig()';

/** See `watchMcpConfig()`. */
export function watchConfig(
  path: string | URL,
  pool: MCPServerPool,
  options: WatchMcpConfigOptions = {},
  { clock = systemClock }: { readonly clock?: Clock } = {},
): McpConfigWatch {
  const resolved = readCallOptions(watchFields, options, CALL);
  const file = pathOfSource(path, CALL);
  if (file === undefined) return refuseCall(['the source must be the path of a file'], CALL) as never;
  if (typeof pool?.applyConfig !== 'function') refuseCall(['the pool must be a MCPServerPool'], CALL);
  const load = { ...resolved, input: askedOnce(resolved.input) };
  return new ConfigWatch(file, pool, { read: () => loadFile(file, load), clock, ...resolved });
}

interface WatchParts {
  readonly read: () => Promise<Loaded>;
  readonly clock: Clock;
  readonly quiet: number;
  readonly pollInterval: number;
}

class ConfigWatch implements McpConfigWatch {
  readonly ready: Promise<void>;
  readonly #file: string;
  readonly #pool: MCPServerPool;
  readonly #read: () => Promise<Loaded>;
  readonly #files: FileWatch;
  readonly #close = () => this.close();
  /** What of the file is in force. */
  #good: Servers = {};
  #policy: PoolPolicy | undefined;
  #isPolicyKnown = false;
  /** The problems that were told last. */
  #told: readonly ConfigProblem[] = [];
  /** Looks at the file, one after the other. */
  #looks: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(file: string, pool: MCPServerPool, { read, clock, quiet, pollInterval }: WatchParts) {
    this.#file = file;
    this.#pool = pool;
    this.#read = read;
    this.#files = new FileWatch({ clock, quiet, pollInterval, onQuiet: () => void this.#look('if changed') });
    // Before it is read: what changes meanwhile is seen.
    this.#files.follow(new Map([[file, undefined]]));
    pool.once('pool:closed', this.#close);
    this.ready = this.#look('if changed');
  }

  reload(): Promise<void> {
    return this.#look('always');
  }

  close(): void {
    this.#isClosed = true;
    this.#files.close();
    this.#pool.off('pool:closed', this.#close);
  }

  #look(when: 'if changed' | 'always'): Promise<void> {
    this.#looks = this.#looks.then(async () => {
      if (this.#isClosed) return;
      const loaded = await this.#read();
      if (this.#isClosed) return;
      this.#files.follow(new Map([[this.#file, undefined], ...loaded.marks]));
      // It has changed while it was read: the next quiet reads it again.
      if (this.#files.isTouched && when === 'if changed') return;
      this.#conclude(loaded, when);
    });
    return this.#looks;
  }

  #conclude({ config, isRejected, broken }: Loaded, when: 'if changed' | 'always'): void {
    if (isRejected) return this.#tell(config.problems, Object.keys(this.#good));
    const kept = broken.filter((name) => Object.hasOwn(this.#good, name));
    const servers = { ...config.servers, ...pick(this.#good, kept) };
    const refused = when === 'always' || !isDeepStrictEqual(servers, this.#good) ? this.#apply(servers) : undefined;
    if (this.#isClosed) return;
    const isPolicyWrong = config.problems.some(({ kind }) => kind === 'pool');
    if (!isPolicyWrong) this.#comparePolicy(config.pool);
    this.#tell([...config.problems, ...(refused?.problems ?? [])], [...kept, ...(refused?.kept ?? [])]);
  }

  /** Applies what the pool takes. Returns what it refuses, if anything. */
  #apply(servers: Servers): Pick<ConfigRejected, 'problems' | 'kept'> | undefined {
    const told: string[] = [];
    const dropped = new Set<string>();
    for (;;) {
      const kept = [...dropped].filter((name) => Object.hasOwn(this.#good, name));
      const others = Object.entries(servers).filter(([name]) => !dropped.has(name));
      const refusals = this.#try({ ...Object.fromEntries(others), ...pick(this.#good, kept) });
      const problems = [...told, ...(refusals ?? [])].map((refusal) =>
        problemOfFile(this.#file, `the pool refuses what the file says: ${sentenceForFile(refusal)}`),
      );
      if (refusals === undefined) return problems.length === 0 ? undefined : { problems, kept };
      // It names the servers that do not fit, such as to its limits. The others must not wait for these.
      const names = others.map(([name]) => name).filter((name) => refusals.some((one) => one.startsWith(`${name}.`)));
      if (names.length === 0) return { problems, kept: Object.keys(this.#good) };
      told.push(...refusals);
      for (const name of names) dropped.add(name);
    }
  }

  /** Returns why the pool refuses it, or undefined. */
  #try(servers: Servers): readonly string[] | undefined {
    try {
      this.#pool.applyConfig(servers, { source: this.#file });
      this.#good = servers;
      return undefined;
    } catch (error) {
      if (errnoOf(error) === 'POOL_CLOSED') {
        this.close();
        return undefined;
      }
      const { data } = error as { readonly data?: { readonly problems?: readonly string[] } };
      return data?.problems ?? [messageOf(error)];
    }
  }

  #comparePolicy(policy: PoolPolicy | undefined): void {
    const changed = this.#isPolicyKnown ? changedKeys(this.#policy ?? {}, policy ?? {}) : [];
    this.#policy = policy;
    this.#isPolicyKnown = true;
    if (changed.length > 0) this.#pool.emit('config:pool-changed', { file: this.#file, changed });
  }

  /** Once, until the problems are others. A warning alone rejects nothing. */
  #tell(problems: readonly ConfigProblem[], kept: readonly string[]): void {
    const isNew = !isDeepStrictEqual(problems, this.#told);
    this.#told = problems;
    if (isNew && problems.some(({ kind }) => kind !== 'warning'))
      this.#pool.emit('config:rejected', { file: this.#file, kept, problems });
  }
}

function pick(servers: Servers, names: readonly string[]): Servers {
  return Object.fromEntries(names.flatMap((name) => (servers[name] ? [[name, servers[name]]] : [])));
}

/** A user is not asked again at each change of the file. */
function askedOnce(input: InputReader | Readonly<Record<string, string | undefined>> | undefined): typeof input {
  if (typeof input !== 'function') return input;
  const answers = new Map<string, string>();
  return async (asked: McpConfigInput) => {
    const known = answers.get(asked.id);
    if (known !== undefined) return known;
    const answer = await input(asked);
    if (answer !== undefined) answers.set(asked.id, answer);
    return answer;
  };
}
