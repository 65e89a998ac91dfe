import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compiledSource } from './compiled.js';

let url: string | undefined;

/** Replaces src/reaper-url.ts in tests: the TypeScript under test has no compiled `reaper.js` beside it. */
export function reaperUrl(): string {
  url ??= pathToFileURL(join(compiledSource(), 'reaper.js')).href;
  return url;
}
