// The package as a host gets it: packed, installed in an empty folder beside the SDKs, then imported, required,
// type-checked, run against a published server, and its examples run. Needs `npm run build` first. Every step has a time limit.
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, normalize, relative } from 'node:path';
import { writeResolvers } from './resolvers.js';
import { subpathsOf } from './subpaths.js';

const work = mkdtempSync(join(tmpdir(), 'mcp-server-pool-consumer-'));
const host = join(work, 'host');
const root = join(import.meta.dirname, '../..');
const subpaths = subpathsOf(join(root, 'package.json'));
const modules = subpaths.filter(({ types }) => types !== undefined);
/** The files of a folder of the package. */
const filesIn = (folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(root, join(parentPath, name)));
const mustHold = [
  ...new Set([
    ...subpaths.flatMap(({ file, types = file }) => [file, types].map((path) => normalize(path))),
    ...['docs', 'examples'].flatMap(filesIn),
    ...['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'],
  ]),
];
/** The npm that runs this script, by Node itself: on Windows no program is called `npm`. */
const { npm_execpath: npm } = process.env;
const runNpm = (args, options) => (npm ? run(process.execPath, [npm, ...args], options) : run('npm', args, options));
/** Most MB of the package: what an install downloads, and what it takes on the disk. See docs/benchmarks.md. */
const MOST = { packed: 1.3, unpacked: 4 };
const peers = [
  '@modelcontextprotocol/sdk@1.32.2',
  '@modelcontextprotocol/client@2.4.0',
  'mcp-sdk-1.16@npm:@modelcontextprotocol/sdk@1.16.0',
  ...['everything', 'filesystem', 'memory', 'sequential-thinking'].map(
    (name) => `@modelcontextprotocol/server-${name}@2026.8.31`,
  ),
  // Optional peers of this package.
  'prom-client@15.1.3',
  '@opentelemetry/api@1.10.0',
  'typescript@~5.9',
  '@types/node@20',
];

let group;
const endGroup = () => {
  try {
    if (group) process.kill(-group, 'SIGKILL');
  } catch {
    // Ended meanwhile.
  }
};

/** Runs a command in a process group of its own and answers its stdout; rejects on failure or after `limit` ms. */
function run(command, args, { cwd, limit }) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    group = child.pid;
    let stdout = '';
    let output = '';
    child.stdout.on('data', (chunk) => {
      stdout += chunk;
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup();
    }, limit);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      group = undefined;
      if (code === 0) return resolve(stdout);
      const how = late ? `not finished after ${limit / 1000} s` : `ended with ${code ?? signal}`;
      reject(new Error(`${command} ${args.join(' ')}: ${how}\n${output}`));
    });
  });
}

async function step(title, action) {
  const start = performance.now();
  const detail = await action();
  console.log(`ok   ${title} (${((performance.now() - start) / 1000).toFixed(1)} s)`);
  if (detail) console.log(detail.trimEnd());
}

async function main() {
  await step('pack: only dist, docs, examples, README, CHANGELOG, LICENSE and package.json', async () => {
    const [packed] = JSON.parse(
      await runNpm(['pack', '--json', '--ignore-scripts', '--pack-destination', work], {
        cwd: root,
        limit: 60_000,
      }),
    );
    const paths = packed.files.map((file) => file.path);
    const missing = mustHold.filter((path) => !paths.includes(path));
    const extra = paths.filter((path) => !path.startsWith('dist/') && !mustHold.includes(path));
    if (missing.length > 0) throw new Error(`the tarball lacks ${missing.join(', ')} (was it built?)`);
    if (extra.length > 0) throw new Error(`the tarball should not hold ${extra.join(', ')}`);
    const size = { packed: packed.size / 2 ** 20, unpacked: packed.unpackedSize / 2 ** 20 };
    for (const [name, most] of Object.entries(MOST))
      if (size[name] > most) throw new Error(`the tarball is ${size[name].toFixed(1)} MB ${name}, more than ${most}`);
    peers.unshift(join(work, packed.filename));
    return paths.map((path) => `     ${path}`).join('\n');
  });

  await step('install beside the SDKs', async () => {
    cpSync(import.meta.dirname, host, { recursive: true });
    writeFileSync(join(host, 'package.json'), JSON.stringify({ name: 'host', private: true, type: 'module' }));
    const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    await runNpm(['install', ...flags, ...peers], { cwd: host, limit: 240_000 });
    // Fails when a dependency is missing, or is not of the range that was asked for.
    await runNpm(['ls', '--all', '--loglevel=error'], { cwd: host, limit: 60_000 });
  });

  const node = (...args) => run(process.execPath, args, { cwd: host, limit: 300_000 });
  await step('require() from CommonJS', () => node('consumer.cjs'));
  const tsc = 'node_modules/typescript/bin/tsc';
  await step('types of a host: nodenext, strict, exactOptionalPropertyTypes', () => node(tsc, '-p', '.'));
  for (const { name, project } of writeResolvers(host, subpaths))
    await step(`types of every entry point: ${name}`, () => node(tsc, '-p', project));
  await step('types of the package, without skipLibCheck', () => {
    const flags = '--noEmit --strict --exactOptionalPropertyTypes --target es2022 --module nodenext --types node';
    return node(tsc, ...flags.split(' '), ...modules.map(({ types }) => join('node_modules/mcp-server-pool', types)));
  });
  await step('every value of the types can be imported', async () => {
    for (const { specifier, types } of modules) {
      const declarations = readFileSync(join(host, 'node_modules/mcp-server-pool', types), 'utf8');
      const names = [...declarations.matchAll(/^export \{(.*)\}/gms)].flatMap(([, list]) => list.split(','));
      const values = names.map((name) => name.trim()).filter((name) => name !== '' && !name.startsWith('type '));
      if (values.length === 0) throw new Error(`no exports were found in ${types}`);
      const imported = values.map((name) => name.split(' as ').at(-1)).join(', ');
      await node('--input-type=module', '--eval', `import { ${imported} } from '${specifier}';`);
      await node('--input-type=commonjs', '--eval', `const { ${imported} } = require('${specifier}');`);
    }
    for (const { specifier } of subpaths.filter(({ types }) => types === undefined))
      await node('--input-type=commonjs', '--eval', `require('${specifier}');`);
  });
  await step('import from ESM, three generations of the SDK on server-everything', () => node('consumer.mjs'));
  for (const example of ['quickstart', 'metamcp'])
    await step(`examples/${example}`, () => node(`node_modules/mcp-server-pool/examples/${example}/index.js`));
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    endGroup();
    rmSync(work, { recursive: true, force: true });
    process.exit(1);
  });
}

try {
  await main();
  console.log('consumer test passed');
} catch (error) {
  console.error(`FAIL ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true, maxRetries: 5 });
}
