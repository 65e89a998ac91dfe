import { homedir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeValue, isPlainObject } from '../config/fields.js';
import { snapshot } from '../config/snapshot.js';
import type { ConfigProblem, ServerDefinition } from '../index.js';
import type { Document } from './document.js';
import { findServers, isWithin } from './find-servers.js';
import { FORMATS, type Format, type McpConfigFormat } from './formats.js';
import { readJson } from './json-document.js';
import {
  type LoadMcpConfigOptions,
  loadFields,
  type ResolvedLoadOptions,
  readCallOptions,
  refuseCall,
} from './load-options.js';
import type { PoolPolicy } from './pool-policy.js';
import { type Place, problemAt, problemOfFile } from './problem.js';
import type { ReadConfig } from './read-config.js';
import type { FileMark } from './read-file.js';
import { fileReader, type Sources } from './references.js';
import { readServers } from './servers.js';
import { shownName } from './shown-name.js';
import { formatByName, formatByShape, type Told } from './tell-format.js';
import { readToml } from './toml-document.js';

type McpConfig = ReadConfig<ServerDefinition, PoolPolicy, ConfigProblem>;

/** A configuration, and the files that it was read from, for those who watch them. */
export interface Loaded {
  readonly config: McpConfig;
  /** Whether nothing of the file could be used. */
  readonly isRejected: boolean;
  /** Servers that could not be used, as they are written. */
  readonly broken: readonly string[];
  readonly marks: ReadonlyMap<string, FileMark>;
}

/** See `loadMcpConfig()`. */
export async function loadConfig(
  source: string | URL | object,
  options: LoadMcpConfigOptions = {},
): Promise<McpConfig> {
  const resolved = readCallOptions(loadFields, options, 'loadMcpConfig()');
  const path = pathOfSource(source, 'loadMcpConfig()');
  if (path !== undefined) return (await loadFile(path, resolved)).config;
  return (await loadObject(snapshotOf(source), resolved)).config;
}

/** The absolute path of a file; undefined for an object. */
export function pathOfSource(source: unknown, call: string): string | undefined {
  if (source instanceof URL) {
    if (source.protocol !== 'file:') refuseCall(['the source must be a path, a file: URL or an object'], call);
    return fileURLToPath(source);
  }
  if (typeof source === 'string') {
    if (source.trim() === '' || source.includes('\0'))
      refuseCall(['the path of the file must be a string that is not empty, without NUL characters'], call);
    return resolve(source);
  }
  if (!isPlainObject(source))
    refuseCall([`the source must be the path of a file, or an object, got ${describeValue(source)}`], call);
  return undefined;
}

/** Each property is read once, whatever the object is. */
function snapshotOf(source: unknown): unknown {
  try {
    return snapshot(source, 'the object');
  } catch {
    return refuseCall(['the object cannot be read: a getter or a proxy of it throws'], 'loadMcpConfig()');
  }
}

/** Never rejects. */
export async function loadFile(path: string, options: ResolvedLoadOptions): Promise<Loaded> {
  const marks = new Map<string, FileMark>();
  const read = fileReader((place, file) => marks.set(place, file.mark));
  const file = await read(path);
  const byName = options.format ?? formatByName(path) ?? (path.endsWith('.toml') ? 'codex' : undefined);
  const rejected = (problem: ConfigProblem) => ({ ...emptyOf(byName ?? 'claude-desktop', [problem]), marks });
  if ('problem' in file) return rejected(problemOfFile(path, `the file ${file.problem}`));
  const told = byName === undefined ? undefined : { format: byName, isSure: true };
  const format: Format = FORMATS[byName ?? 'claude-desktop'];
  const isLenient = told === undefined;
  const document =
    format.language === 'toml'
      ? readToml(file.text)
      : readJson(file.text, {
          title: format.title,
          comments: isLenient || format.comments,
          trailingCommas: isLenient || format.trailingCommas,
        });
  if ('message' in document) return rejected(problemOfFile(path, `the file ${document.message}`, document));
  const workspaceFolder = options.workspaceFolder ?? projectOf(path);
  const sources: Sources = {
    options,
    env: options.env ?? process.env,
    inputs: isPlainObject(document.value) ? document.value.inputs : undefined,
    folder: workspaceFolder ?? dirname(path),
    workspaceFolder,
    isFile: true,
    read,
  };
  return { ...(await readDocument(document, told, { file: path, document }, sources)), marks };
}

async function loadObject(value: unknown, options: ResolvedLoadOptions): Promise<Loaded> {
  const document: Document = { value, repeated: [], locate: () => undefined };
  const sources: Sources = {
    options,
    env: options.env ?? {},
    inputs: isPlainObject(value) ? value.inputs : undefined,
    folder: options.workspaceFolder,
    workspaceFolder: options.workspaceFolder,
    isFile: false,
    read: fileReader(() => {}),
  };
  const told = options.format === undefined ? undefined : { format: options.format, isSure: true };
  return { ...(await readDocument(document, told, { file: undefined, document }, sources)), marks: new Map() };
}

async function readDocument(
  document: Document,
  known: Told | undefined,
  place: Place,
  sources: Sources,
): Promise<Omit<Loaded, 'marks'>> {
  const told = known ?? { format: formatByShape(document.value), isSure: false };
  const format: Format = FORMATS[told.format];
  const found = findServers(document.value, format, told.isSure);
  if ('message' in found) return emptyOf(told.format, [problemAt(place, 'file', found.path, found.message)]);
  const root = document.value as Readonly<Record<string, unknown>>;
  const read = await readServers(found.servers, root, { format, isSure: told.isSure, sources });
  const problems = [
    ...document.repeated
      .filter((path) => isWithin(path, found.path) || isWithin([...found.path, ''], path) || path[0] === 'pool')
      .map((path) =>
        problemAt(place, 'warning', path, `${shownName(String(path.at(-1)))} is written twice: the last one counts`),
      ),
    ...read.notices.map(({ kind, path, message, server }) =>
      problemAt(place, kind, kind === 'pool' ? ['pool', ...path] : [...found.path, ...path], message, server),
    ),
  ];
  const { servers, remote, disabled, pool, extra, broken } = read;
  const config = { format: told.format, servers, remote, disabled, pool, extra, problems: inOrder(problems) };
  return { config, broken, isRejected: false };
}

function emptyOf(format: McpConfigFormat, problems: readonly ConfigProblem[]): Omit<Loaded, 'marks'> {
  const config = { format, servers: {}, remote: {}, disabled: [], pool: undefined, extra: {}, problems };
  return { config, broken: [], isRejected: true };
}

function inOrder(problems: readonly ConfigProblem[]): ConfigProblem[] {
  const place = ({ line = Infinity, column = 0 }: ConfigProblem): [number, number] => [line, column];
  return [...problems].sort((a, b) => {
    const [[lineA, columnA], [lineB, columnB]] = [place(a), place(b)];
    return lineA === lineB ? columnA - columnB : lineA < lineB ? -1 : 1;
  });
}

/** Where a project keeps the files of hosts, besides `.mcp.json` in its own folder. */
const PROJECT_FOLDERS: ReadonlySet<string> = new Set(['.cursor', '.vscode', '.gemini', '.codex']);

/** The folder of the project that a file belongs to; undefined when it is not in its usual place in one. */
function projectOf(path: string): string | undefined {
  const folder = dirname(path);
  const project = PROJECT_FOLDERS.has(basename(folder))
    ? dirname(folder)
    : basename(path) === '.mcp.json'
      ? folder
      : undefined;
  // There they are the files of the user, for all projects.
  return project === homedir() ? undefined : project;
}
