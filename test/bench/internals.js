// Parts of the package that its public surface does not show, bundled as the package itself is.
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'tsup';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = {
  sweep: 'src/process/marks/sweep.ts',
  find: 'test/helpers/find-marked.ts',
  marker: 'src/process/marks/marker.ts',
  platform: 'src/process/platforms/linux.ts',
  spawn: 'src/process/start/local-launcher.ts',
  guard: 'src/process/guardian/host-guard.ts',
  options: 'src/config/resolve-options.ts',
  environment: 'src/config/environment.ts',
  usage: 'src/process/usage/linux-usage.ts',
  pool: 'src/pool/mcp-server-pool.ts',
};

/** All that these files export, together. */
export async function internals() {
  const outDir = `${ROOT}/.tmp/bench`;
  const entry = Object.fromEntries(Object.entries(SOURCES).map(([name, file]) => [name, `${ROOT}/${file}`]));
  await build({
    config: false,
    entry,
    outDir,
    format: 'esm',
    target: 'node20',
    splitting: true,
    silent: true,
    clean: true,
  });
  const modules = Object.keys(SOURCES).map((name) => import(pathToFileURL(`${outDir}/${name}.js`).href));
  return Object.assign({}, ...(await Promise.all(modules)));
}
