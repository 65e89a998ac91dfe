import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

const PAGE = fileURLToPath(new URL('../page/', import.meta.url));

/**
 * Path → content, read once. A request never names a file: what is not in this table does not exist.
 * @throws Error when uPlot is not installed
 */
export function readFiles() {
  const uplot = findUplot();
  const page = readdirSync(PAGE).map((name) => [name === 'index.html' ? '' : name, PAGE + name]);
  const files = [...page, ['uplot.js', uplot.program], ['uplot.css', uplot.style]];
  return new Map(files.map(([path, file]) => [path, { type: TYPES[extname(file)], content: readFileSync(file) }]));
}

function findUplot() {
  const require = createRequire(import.meta.url);
  try {
    return {
      program: require.resolve('uplot/dist/uPlot.iife.min.js'),
      style: require.resolve('uplot/dist/uPlot.min.css'),
    };
  } catch (cause) {
    throw new Error('the dashboard draws its graphs with uPlot: npm install uplot', { cause });
  }
}
