import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts'],
  format: 'esm',
  target: 'node20',
  platform: 'node',
  dts: true,
  sourcemap: true,
  clean: true,
  // One file: stack traces and source maps stay easy to read, and nobody can import an inner chunk.
  splitting: false,
  // `dependencies` of package.json stay imports (tsup's default); nothing of them is bundled.
});
