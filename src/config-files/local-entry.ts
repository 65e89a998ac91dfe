import { codeFrom } from '../config/code-arguments.js';
import { describeValue, isPlainObject } from '../config/fields.js';
import type { ResolvedPoolOptions } from '../config/options.js';
import { checkPlaceholders, mayHoldPlaceholder } from '../config/placeholders.js';
import { resolveDefinition } from '../config/resolve-options.js';
import { PoolError as OwnPoolError } from '../errors.js';
import type { ServerDefinition } from '../index.js';
import { standInsFor } from './dependencies.js';
import { type Path, setOwn } from './document.js';
import type { LocalEntry } from './entry.js';
import { readEnvFile } from './env-file.js';
import { type Filled, fill, partsOfField, referencesIn } from './fill.js';
import type { Field, Format } from './formats.js';
import { atHome, pathFrom, type ReferenceValue, type Sources, variableOf } from './references.js';
import { sentenceForFile, shownName } from './shown-name.js';
import type { Reference } from './substitution.js';

/** A mistake of an entry: where, below the entry, and the sentence. */
export interface Mistake {
  readonly path: Path;
  readonly message: string;
}

/** A definition, or what is wrong with the entry. */
export type LocalServer = { readonly definition: ServerDefinition } | { readonly mistakes: readonly Mistake[] };

/** A text of an entry. */
interface Text {
  readonly field: Field;
  readonly path: Path;
  readonly text: string;
}

/** The texts in which placeholders may be. */
function textsOf({ given: { command, args, env, cwd }, envFile }: LocalEntry): Text[] {
  const list = Array.isArray(args) ? args.entries() : [];
  const map = isPlainObject(env) ? Object.entries(env) : [];
  const all: (readonly [Field, Path, unknown])[] = [
    ['command', ['command'], command],
    ...[...list].map(([index, item]) => ['args', ['args', index], item] as const),
    ...map.map(([name, item]) => ['env', ['env', name], item] as const),
    ['cwd', ['cwd'], cwd],
    ['envFile', ['envFile'], envFile],
  ];
  return all.flatMap(([field, path, text]) => (typeof text === 'string' ? [{ field, path, text }] : []));
}

export function referencesOfLocal(entry: LocalEntry, format: Format): Reference[] {
  return textsOf(entry).flatMap(({ field, text }) => referencesIn(partsOfField(text, field, format)));
}

/** What an entry is read with. */
export interface Reading {
  readonly format: Format;
  readonly values: ReadonlyMap<string, ReferenceValue>;
  readonly sources: Sources;
  /** Whether the format was named, and not told by what the file holds. */
  readonly isSure: boolean;
  /** What the definition is checked against. */
  readonly pool: ResolvedPoolOptions;
}

/** The definition of an entry. Never rejects. */
export async function readLocal(name: string, entry: LocalEntry, reading: Reading): Promise<LocalServer> {
  const { format, values } = reading;
  const code = codeAt(entry);
  const mistakes: Mistake[] = [];
  const filled = new Map<string, Filled>();
  for (const { field, path, text } of textsOf(entry)) {
    const isCode = field === 'args' && (path[1] as number) >= code;
    const result = fill(partsOfField(text, field, format), values, format, isCode);
    filled.set(path.join('\0'), result);
    for (const message of result.problems) mistakes.push({ path, message });
  }
  const textAt = (kind: 'text' | 'probe', ...path: Path) => filled.get(path.join('\0'))?.[kind];
  const fromFile = await readVariables(textAt('text', 'envFile'), entry, reading, mistakes);
  const forwarded = forwardedFrom(entry.forwarded, reading.sources, mistakes);
  const build = (kind: 'text' | 'probe'): Record<string, unknown> => {
    const { command, args, env, cwd, ...policy } = entry.given;
    const named = isPlainObject(env) ? variables(env, (key) => textAt(kind, 'env', key), format) : env;
    const folder = cwdFrom(textAt(kind, 'cwd') ?? cwd, reading.sources);
    return {
      command: typeof command === 'string' ? atHome(textAt(kind, 'command') ?? '') : command,
      ...(args === undefined
        ? {}
        : { args: Array.isArray(args) ? args.map((item, at) => textAt(kind, 'args', at) ?? item) : args }),
      ...(env === undefined && fromFile === undefined && forwarded === undefined
        ? {}
        : {
            env: isPlainObject(named ?? {}) ? { ...forwarded, ...fromFile, ...(named as object | undefined) } : named,
          }),
      ...(folder === undefined ? {} : { cwd: folder }),
      ...policy,
    };
  };
  const definition = build('text');
  if (mistakes.length === 0) mistakes.push(...check(name, definition, reading));
  if (mistakes.length === 0 && definition.placeholders !== 'literal')
    mistakes.push(...leftOver(build('probe'), reading));
  if (mistakes.length > 0) return { mistakes };
  return { definition: withLiteral(definition) as unknown as ServerDefinition };
}

/** The number of the first argument that may be code. */
function codeAt({ given: { command, args } }: LocalEntry): number {
  const isRead = typeof command === 'string' && Array.isArray(args) && args.every((item) => typeof item === 'string');
  return isRead ? codeFrom(command, args) : Infinity;
}

/** VS Code takes numbers, and null for a variable that the server should not have. */
function variables(
  env: Record<string, unknown>,
  textOf: (key: string) => string | undefined,
  { unset }: Format,
): object {
  const isVsCode = unset === 'empty';
  const filled = {};
  for (const [key, value] of Object.entries(env)) {
    if (isVsCode && value === null) continue;
    setOwn(filled, key, textOf(key) ?? (isVsCode && typeof value === 'number' ? String(value) : value));
  }
  return filled;
}

async function readVariables(
  path: string | undefined,
  { envFile }: LocalEntry,
  { format, sources }: Reading,
  mistakes: Mistake[],
): Promise<Record<string, string> | undefined> {
  if (envFile === undefined || !format.envFile) return undefined;
  const wrong = (message: string) => {
    mistakes.push({ path: ['envFile'], message });
    return undefined;
  };
  if (path === undefined) return wrong(`envFile must be a string, got ${describeValue(envFile)}`);
  if (!sources.isFile && !sources.options.allowFileReferences)
    return wrong('envFile of an object is not read: allow it by the option allowFileReferences');
  const place = pathFrom(path, sources.folder);
  if (place === undefined) return wrong('envFile has a relative path, and an object has no folder');
  const file = await sources.read(place);
  return 'problem' in file ? wrong(`envFile ${file.problem}`) : readEnvFile(file.text);
}

/** Codex: a variable that is not set is not passed on. */
function forwardedFrom(names: unknown, { env }: Sources, mistakes: Mistake[]): Record<string, string> | undefined {
  if (names === undefined) return undefined;
  const entries: [string, string][] = [];
  for (const item of Array.isArray(names) ? names : [undefined]) {
    const name: unknown = isPlainObject(item) ? item.name : item;
    if (typeof name !== 'string') {
      mistakes.push({ path: ['env_vars'], message: 'env_vars must be an array of names of variables' });
      return undefined;
    }
    const value = variableOf(env, name);
    if (value !== undefined) entries.push([name, value]);
  }
  return Object.fromEntries(entries);
}

/** An entry without one runs in the folder of its project, where that is known, as its host would run it. */
function cwdFrom(cwd: unknown, { folder, workspaceFolder }: Sources): unknown {
  if (cwd === undefined) return workspaceFolder;
  // An empty one is a mistake, which the check below names.
  return typeof cwd === 'string' && cwd.trim() !== '' ? (pathFrom(cwd, folder) ?? cwd) : cwd;
}

/** The checks of a pool: the same sentences. */
function check(name: string, definition: Record<string, unknown>, { pool }: Reading): Mistake[] {
  try {
    // Placeholders are judged by what was written, not by values that were put in.
    const { placeholders = 'refuse' } = definition;
    const judged = { ...definition, placeholders: placeholders === 'refuse' ? 'literal' : placeholders };
    resolveDefinition(
      name,
      judged as never,
      pool,
      standInsFor(definition, pool, (other) => other === name),
    );
    return [];
  } catch (error) {
    const problems = (error instanceof OwnPoolError && error.data.problems) || ['it cannot be read'];
    return problems.map((problem) => mistakeFrom(problem, name));
  }
}

/** `github.args must be …` is about `args` of the entry. */
function mistakeFrom(problem: string, name: string): Mistake {
  const prefix = `${name}.`;
  const message = problem.startsWith(prefix) ? problem.slice(prefix.length) : problem;
  const [key = ''] = message.split(' ', 1);
  const path = key.split(/\.|\[(\d+)\]/).filter((step) => step !== undefined && step !== '');
  return { path: path.map((step) => (/^\d+$/.test(step) ? Number(step) : step)), message: sentenceForFile(message) };
}

/** Placeholders of another host: this one would pass them as text. */
function leftOver(probe: Record<string, unknown>, reading: Reading): Mistake[] {
  const problems = { wrong: [] as string[], unsupported: [] };
  const { command, args = [], env = {}, cwd, inheritEnv = [] } = probe;
  checkPlaceholders({ command, args, env, cwd, inheritEnv, placeholders: 'refuse' } as never, '', problems);
  return problems.wrong.map((problem) => {
    const { path } = mistakeFrom(problem, '');
    const [key = ''] = problem.split(' ', 1);
    return { path, message: `${placeholderMessage(key, reading)}, or placeholders: "literal" to pass it` };
  });
}

/** About a placeholder that nothing replaces. */
export function placeholderMessage(key: string, { format, isSure }: Pick<Reading, 'format' | 'isSure'>): string {
  const { title, placeholders } = format;
  const known = placeholders === 'none' ? 'replaces no placeholders' : `replaces ${placeholders} alone`;
  const told = isSure ? '' : ' (told by what the file holds: name another host by the option format)';
  return `${shownName(key)} has a placeholder that would stay as it is, since ${title} ${known}${told}: write the value`;
}

/** What was put in may look like a placeholder, and is none. */
function withLiteral(definition: Record<string, unknown>): Record<string, unknown> {
  const { command, args, env, cwd } = definition;
  const all = [
    command,
    cwd,
    ...((args as unknown[] | undefined) ?? []),
    ...Object.values((env as object | undefined) ?? {}),
  ];
  return all.some(mayHoldPlaceholder) ? { ...definition, placeholders: 'literal' } : definition;
}
