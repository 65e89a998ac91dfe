import { describeValue, isPlainObject } from '../config/fields.js';
import { mayHoldPlaceholder } from '../config/placeholders.js';
import { type Path, setOwn } from './document.js';
import type { RemoteEntry } from './entry.js';
import { fill, partsOfField, referencesIn } from './fill.js';
import type { Field, Format } from './formats.js';
import { type Mistake, placeholderMessage, type Reading } from './local-entry.js';
import { variableOf } from './references.js';
import type { RemoteServer } from './remote-server.js';
import { shownName } from './shown-name.js';
import type { Reference } from './substitution.js';

/** The texts in which placeholders may be. */
function textsOf({ url, urlKey, headers }: RemoteEntry): { field: Field; path: Path; text: string }[] {
  const map = isPlainObject(headers) ? Object.entries(headers) : [];
  const ofHeaders = map.flatMap(([name, text]) =>
    typeof text === 'string' ? [{ field: 'headers' as const, path: ['headers', name], text }] : [],
  );
  return typeof url === 'string' ? [{ field: 'url', path: [urlKey], text: url }, ...ofHeaders] : ofHeaders;
}

export function referencesOfRemote(entry: RemoteEntry, format: Format): Reference[] {
  return textsOf(entry).flatMap(({ field, text }) => referencesIn(partsOfField(text, field, format)));
}

/** The server of an entry, or what is wrong with it. Pure. */
export function readRemote(
  entry: RemoteEntry,
  { format, isSure, values, sources }: Omit<Reading, 'pool'>,
): { readonly server: RemoteServer } | { readonly mistakes: readonly Mistake[] } {
  const { type, urlKey, headers: written = {}, variables } = entry;
  const mistakes: Mistake[] = [];
  const headers: Record<string, string> = {};
  let url = '';
  if (!isPlainObject(written))
    mistakes.push({
      path: ['headers'],
      message: `headers must be an object of strings, got ${describeValue(written)}`,
    });
  else {
    const wrong = Object.entries(written).find(([, value]) => typeof value !== 'string');
    if (wrong)
      mistakes.push({ path: ['headers', wrong[0]], message: `the header ${shownName(wrong[0])} must be a string` });
  }
  for (const { field, path, text } of textsOf(entry)) {
    const filled = fill(partsOfField(text, field, format), values, format);
    for (const message of filled.problems) mistakes.push({ path, message });
    if (mayHoldPlaceholder(filled.probe))
      mistakes.push({ path, message: placeholderMessage(path.join('.'), { format, isSure }) });
    if (field === 'url') url = filled.text;
    else setOwn(headers, String(path[1]), filled.text);
  }
  for (const [header, name] of Object.entries(variables)) addVariable(header, name);
  if (mistakes.length === 0 && !isAddress(url))
    mistakes.push({ path: [urlKey], message: `${urlKey} must be an address that begins with http:// or https://` });
  return mistakes.length > 0 ? { mistakes } : { server: { type, url, headers } };

  /** Codex: a header whose variable is not set is left out; but without its token the server cannot be used. */
  function addVariable(header: string, name: unknown): void {
    const isToken = header === 'Authorization';
    const key = isToken ? 'bearer_token_env_var' : 'env_http_headers';
    if (typeof name !== 'string')
      return void mistakes.push({ path: [key], message: `${key} must name variables, got ${describeValue(name)}` });
    const value = variableOf(sources.env, name);
    if (value !== undefined) setOwn(headers, header, isToken ? `Bearer ${value}` : value);
    else if (isToken) mistakes.push({ path: [key], message: `the variable ${shownName(name)} is not set` });
  }
}

function isAddress(url: string): boolean {
  return URL.canParse(url) && /^(?:https?|wss?):$/.test(new URL(url).protocol);
}
