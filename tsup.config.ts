import { defineConfig } from 'tsup';

export default defineConfig({
  // The reaper is a program of its own: the guardian starts it when the host is dead.
  entry: [
    'src/index.ts',
    'src/stdio.ts',
    'src/prometheus.ts',
    'src/opentelemetry.ts',
    'src/config.ts',
    'src/reaper.ts',
  ],
  format: 'esm',
  target: 'node20',
  platform: 'node',
  dts: { entry: ['src/index.ts', 'src/stdio.ts', 'src/prometheus.ts', 'src/opentelemetry.ts', 'src/config.ts'] },
  // Nothing is renamed or shortened, so a stack trace can be read as it is; maps would be half of the package.
  sourcemap: false,
  clean: true,
  // One file for each entry: stack traces stay easy to read, and nobody can import an inner chunk.
  splitting: false,
  // The classes exist once: the other entry points take them from the index beside them, also where a file in a folder imports
  // them. `config` has the tables of options a second time, from which it takes nothing but the problems that they find.
  external: ['./index.js'],
  esbuildPlugins: [
    {
      name: 'index beside',
      setup: (build) => {
        build.onResolve({ filter: /^\.{1,2}\/index\.js$/ }, () => ({ path: './index.js', external: true }));
      },
    },
  ],
  // `dependencies` and `peerDependencies` of package.json stay imports (tsup's default); nothing of them is bundled.
});
