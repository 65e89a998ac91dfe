import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compiledSource } from './compiled.js';

let url: string | undefined;

/** Stands in for src/reaper-url.ts: beside the TypeScript under test there is no reaper that Node could run. */
export function reaperUrl(): string {
  url ??= pathToFileURL(join(compiledSource(), 'reaper.js')).href;
  return url;
}
