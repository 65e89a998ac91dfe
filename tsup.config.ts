import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/stdio.ts'],
  format: 'esm',
  target: 'node20',
  platform: 'node',
  dts: true,
  sourcemap: true,
  clean: true,
  // One file for each entry: stack traces and source maps stay easy to read, and nobody can import an inner chunk.
  splitting: false,
  // The classes exist once: `mcp-server-pool/stdio` takes them from the index beside it.
  external: ['./index.js'],
  // `dependencies` of package.json stay imports (tsup's default); nothing of them is bundled.
});
