import { describeValue, isPlainObject } from '../config/fields.js';
import { definitionFields } from '../config/options.js';
import { setOwn } from './document.js';
import type { Format } from './formats.js';

/** What was found out about an entry, before a placeholder is replaced. */
export type Entry =
  | { readonly kind: 'disabled' }
  | { readonly kind: 'wrong'; readonly key: string | undefined; readonly message: string }
  | LocalEntry
  | RemoteEntry;

type Values = Readonly<Record<string, unknown>>;

/** A server that is started by a command. */
export interface LocalEntry {
  readonly kind: 'local';
  /** The keys of a definition: command, args, env, cwd and policy. */
  readonly given: Values;
  readonly envFile: unknown;
  /** Codex: variables that the server gets from the host. */
  readonly forwarded: unknown;
  /** Keys that only hosts know. */
  readonly extra: Values;
}

/** A server that is reached at an address. */
export interface RemoteEntry {
  readonly kind: 'remote';
  readonly type: 'http' | 'sse' | 'ws';
  /** The key of the address. */
  readonly urlKey: string;
  readonly url: unknown;
  readonly headers: unknown;
  /** Codex: names of variables, by header. */
  readonly variables: Readonly<Record<string, unknown>>;
  readonly extra: Values;
}

/** The keys of the address, in the order in which they count. */
const URL_KEYS = ['httpUrl', 'serverUrl', 'url'] as const;

/** By the value of `type` in lower case, without `-` and `_`. */
const TYPES: Readonly<Record<string, 'stdio' | RemoteEntry['type']>> = {
  stdio: 'stdio',
  local: 'stdio',
  http: 'http',
  streamablehttp: 'http',
  remote: 'http',
  sse: 'sse',
  ws: 'ws',
  websocket: 'ws',
};

/** Keys that switch a server on or off, with the value that switches it off. */
const SWITCHES = [
  ['disabled', true],
  ['enabled', false],
  ['isActive', false],
] as const;

/** Keys of a remote entry that are not kept aside. */
const OF_REMOTE: ReadonlySet<string> = new Set(['type', ...SWITCHES.map(([key]) => key), ...URL_KEYS, 'headers']);
const OF_CODEX: ReadonlySet<string> = new Set(['http_headers', 'env_http_headers', 'bearer_token_env_var']);

const isCodex = ({ language }: Format) => language === 'toml';

/** Sorts the keys of an entry. Pure. @param isSure whether the format is that of the file, and not only like it */
export function readEntry(value: unknown, format: Format, isSure: boolean): Entry {
  if (!isPlainObject(value)) return wrong(undefined, `it must be an object, got ${describeValue(value)}`);
  const off = readSwitch(value);
  if (off !== undefined) return off;
  const urlKey = URL_KEYS.find((key) => value[key] !== undefined);
  const hasCommand = value.command !== undefined;
  const type = readType(value);
  if (type === 'unknown') return wrong('type', 'type is none that can be read: stdio, http, sse');
  if (hasCommand && urlKey !== undefined && type === undefined && format.both === 'refuse')
    return wrong(urlKey, `it has a command and an address (${urlKey}): ${format.title} reads one of them alone`);
  const isLocal = type === undefined ? hasCommand && !(urlKey && format.both === 'url') : type === 'stdio';
  if (isLocal || (urlKey === undefined && type === undefined)) return local(value, format);
  if (urlKey === undefined) return wrong(undefined, `it has the type of a remote server, but no url`);
  if (type === undefined && format.remoteType === 'refuse' && isSure)
    return wrong(urlKey, `it has a url but no type, so ${format.title} takes it for a command: add "type": "http"`);
  if (isCodex(format) && value.bearer_token !== undefined)
    return wrong('bearer_token', 'bearer_token is refused by Codex: name a variable in bearer_token_env_var');
  return remote(value, urlKey, type === undefined || type === 'stdio' ? defaultType(urlKey, format) : type, format);
}

function wrong(key: string | undefined, message: string): Entry {
  return { kind: 'wrong', key, message };
}

/** Disabled, or a switch that is none; undefined for an entry that is on. */
function readSwitch(value: Values): Entry | undefined {
  for (const [key, off] of SWITCHES) {
    const state = value[key];
    if (state === off) return { kind: 'disabled' };
    if (state !== undefined && typeof state !== 'boolean')
      return wrong(key, `${key} must be true or false, got ${describeValue(state)}`);
  }
  return undefined;
}

function readType({ type, transportType }: Values): 'stdio' | RemoteEntry['type'] | 'unknown' | undefined {
  const written = type ?? transportType;
  if (written === undefined) return undefined;
  if (typeof written !== 'string') return 'unknown';
  const word = written.toLowerCase().replace(/[-_]/g, '');
  return Object.hasOwn(TYPES, word) ? TYPES[word] : 'unknown';
}

function defaultType(urlKey: string, { remoteType }: Format): RemoteEntry['type'] {
  return urlKey === 'url' && remoteType === 'sse' ? 'sse' : 'http';
}

function local(value: Values, format: Format): LocalEntry {
  const [given, others] = split(value, (key) => Object.hasOwn(definitionFields, key) && key !== 'type');
  const isRead = (key: string) =>
    key === 'type' ||
    SWITCHES.some(([name]) => name === key) ||
    (key === 'env_vars' && isCodex(format)) ||
    (key === 'envFile' && format.envFile);
  return {
    kind: 'local',
    given,
    envFile: format.envFile ? value.envFile : undefined,
    forwarded: isCodex(format) ? value.env_vars : undefined,
    extra: split(others, isRead)[1],
  };
}

function remote(value: Values, urlKey: string, type: RemoteEntry['type'], format: Format): RemoteEntry {
  const [, extra] = split(value, (key) => OF_REMOTE.has(key) || (isCodex(format) && OF_CODEX.has(key)));
  const { http_headers, env_http_headers, bearer_token_env_var } = value;
  const ofCodex = isPlainObject(env_http_headers) ? env_http_headers : {};
  const bearer = bearer_token_env_var === undefined ? {} : { Authorization: bearer_token_env_var };
  return {
    kind: 'remote',
    type,
    urlKey,
    url: value[urlKey],
    headers: isCodex(format) ? http_headers : value.headers,
    variables: isCodex(format) ? { ...ofCodex, ...bearer } : {},
    extra,
  };
}

/** Those for which the test holds, and the others. */
function split(value: Values, holds: (key: string) => boolean): [Record<string, unknown>, Record<string, unknown>] {
  const [first, others]: [Record<string, unknown>, Record<string, unknown>] = [{}, {}];
  for (const [key, item] of Object.entries(value)) setOwn(holds(key) ? first : others, key, item);
  return [first, others];
}
