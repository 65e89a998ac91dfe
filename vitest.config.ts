import { existsSync } from 'node:fs';
import { configDefaults, defineConfig } from 'vitest/config';
import { NotShown } from './test/helpers/not-shown.js';

/**
 * What `npm run test:fast` leaves out: chaos, real servers, and files that take more than 10 s because they wait for graces
 * or start many hosts (by the durations in `.tmp/vitest.json`).
 */
const SLOW = [
  'test/chaos/',
  'test/docs/api.test.ts',
  'test/examples/',
  'test/hostile/',
  'test/package/blocks.test.ts',
  'test/real/',
  'test/stdio.test.ts',
  'test/pool/cost.test.ts',
  ...['host-death', 'real-processes', 'worker-threads'].map((name) => `test/pool/${name}.test.ts`),
  'test/process/cgroup/cgroup.test.ts',
  'test/process/guardian/guardian.test.ts',
  ...['escapes', 'nested', 'sweep'].map((name) => `test/process/marks/${name}.test.ts`),
  'test/process/platforms/init.test.ts',
  'test/process/tree/termination.test.ts',
  ...['killed-holder', 'leftovers', 'lock'].map((name) => `test/sequence/lanes/${name}.test.ts`),
];
const moved = SLOW.filter((path) => !existsSync(new URL(path, import.meta.url)));
if (moved.length > 0) throw new Error(`vitest.config.ts names tests that are not there: ${moved.join(', ')}`);

export default defineConfig({
  resolve: {
    alias: [
      { find: /^.*\/reaper-url\.js$/, replacement: new URL('test/helpers/reaper-url.ts', import.meta.url).pathname },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/helpers/compiled.ts', 'test/helpers/runtime-folder.ts'],
    // After each test: no process, descriptor or timer of it is left.
    setupFiles: ['test/helpers/runtime-folder.ts', 'test/helpers/leaks.ts', 'test/helpers/properties.ts'],
    exclude: [
      ...configDefaults.exclude,
      ...['test/consumer/**', 'test/bench/**'],
      ...(process.env.FAST === undefined ? [] : SLOW.map((path) => path.replace(/\/$/, '/**'))),
    ],
    // Real child processes, signals and file descriptors: each test file gets a process of its own.
    pool: 'forks',
    // Tests start process trees; more workers than this make them late on small machines.
    maxWorkers: 2,
    // They end what hangs; a loaded machine is no reason to fail.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    teardownTimeout: 10_000,
    // The JSON file is what `.ci/run` counts.
    reporters: ['default', ['json', { outputFile: '.tmp/vitest.json' }], new NotShown()],
  },
});
