// The conformance suite of the MCP project: installs it, runs it, reads what it has found.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/mcp-conformance/', import.meta.url));
const NODE = 22;

/** Versions of the suite, with its options, and how many checks pass when nothing is wrong. */
export const VERSIONS = {
  '0.1.16': { options: [], passes: 44 },
  '0.2.0-alpha.12': { options: ['--spec-version', '2025-11-25'], passes: 78 },
};

/** Installs both versions, and a Node that can run them where this one cannot. No script of a package runs. */
export async function installSuite() {
  const packages = Object.fromEntries(
    Object.keys(VERSIONS).map((version) => [folderOf(version), `npm:@modelcontextprotocol/conformance@${version}`]),
  );
  if (needsNode()) packages[nodePackage()] = String(NODE);
  const manifest = JSON.stringify({ private: true, dependencies: packages });
  const path = join(CACHE, 'package.json');
  const isThere = Object.keys(packages).every((name) => existsSync(join(CACHE, 'node_modules', name)));
  if (isThere && readFileSync(path, 'utf8') === manifest) return;
  mkdirSync(CACHE, { recursive: true });
  writeFileSync(path, manifest);
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  await run(npm, ['install', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: CACHE,
    shell: npm.endsWith('.cmd'),
  });
}

/** Runs all scenarios against `url`. Resolves with the names of the checks that passed and those that failed. */
export async function runSuite(version, url) {
  const output = mkdtempSync(join(CACHE, 'results-'));
  const program = join(CACHE, 'node_modules', folderOf(version), 'dist/index.js');
  const args = [program, 'server', '--url', url, '--suite', 'all', '-o', output, ...VERSIONS[version].options];
  try {
    // Its exit code says whether a check failed, which is read from the results.
    await run(needsNode() ? ownNode() : process.execPath, args, { maxBuffer: 64 * 1_048_576 }).catch((error) => {
      if (typeof error.code !== 'number') throw error;
    });
    return readResults(output);
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/** Scenarios are folders `server-NAME-TIMESTAMP`. A check that occurs more than once in a scenario gets a number. */
function readResults(output) {
  const results = { passed: new Set(), failed: new Set() };
  for (const folder of readdirSync(output)) {
    const scenario = folder.replace(/^server-/, '').replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '');
    const seen = new Map();
    for (const { id, status } of JSON.parse(readFileSync(join(output, folder, 'checks.json'), 'utf8'))) {
      seen.set(id, (seen.get(id) ?? 0) + 1);
      const name = `${scenario}: ${id}${seen.get(id) > 1 ? ` (${seen.get(id)})` : ''}`;
      if (status === 'SUCCESS') results.passed.add(name);
      else if (status === 'FAILURE') results.failed.add(name);
    }
  }
  return results;
}

function folderOf(version) {
  return `conformance-${version}`;
}

function needsNode() {
  return Number(process.versions.node.split('.')[0]) < NODE;
}

/** What the npm package `node` would install by a script. */
function nodePackage() {
  return `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
}

function ownNode() {
  return join(CACHE, 'node_modules', nodePackage(), 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
}
