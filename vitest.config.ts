import { configDefaults, defineConfig } from 'vitest/config';
import { NotShown } from './test/helpers/not-shown.js';

export default defineConfig({
  resolve: {
    alias: [
      { find: /^.*\/reaper-url\.js$/, replacement: new URL('test/helpers/reaper-url.ts', import.meta.url).pathname },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/compiled.ts'],
    // After each test: no process, descriptor or timer of it is left.
    setupFiles: ['test/helpers/runtime-folder.ts', 'test/helpers/leaks.ts', 'test/helpers/properties.ts'],
    exclude: [...configDefaults.exclude, 'test/consumer/**', 'test/bench/**'],
    // Real child processes, signals and file descriptors: each test file gets a process of its own.
    pool: 'forks',
    // Tests start process trees; more workers than this make them late on small machines.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 30_000,
    teardownTimeout: 10_000,
    // The JSON file is what `.ci/run` counts.
    reporters: ['default', ['json', { outputFile: '.tmp/vitest.json' }], new NotShown()],
  },
});
