/**
 * Where the reaper is: `reaper.js` beside the compiled code, in `dist` as in a build without bundling. Undefined where a
 * bundler has left no trace of the place.
 */
export function reaperUrl(): string | undefined {
  try {
    // Written so that bundlers which follow such URLs ship the file.
    return new URL('./reaper.js', import.meta.url).href;
  } catch {
    return undefined;
  }
}
