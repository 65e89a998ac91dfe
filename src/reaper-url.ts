/**
 * `vitest.config.ts` replaces this file by `test/helpers/reaper-url.ts`.
 *
 * The default place of the reaper: `reaper.js` beside the compiled code, in `dist` and in a build without bundling.
 * Undefined if a bundler has removed `import.meta.url`.
 */
export function reaperUrl(): string | undefined {
  try {
    // In this form bundlers that follow such URLs include the file.
    return new URL('./reaper.js', import.meta.url).href;
  } catch {
    return undefined;
  }
}
