// The consumer test, with the quickstart, on every line of Node that is supported: those that npm has as packages. Needs
// `npm run build` first. `node test/consumer/nodes.js 22 24` runs some of them.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

const LINES = process.argv.length > 2 ? process.argv.slice(2) : ['20', '22', '24', '26'];
const work = mkdtempSync(join(tmpdir(), 'mcp-server-pool-nodes-'));
/** What the package `node` installs by a script; here scripts do not run. */
const packageName = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const program = (line) =>
  join(work, 'node_modules', `node-${line}`, 'bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** Runs a command with the output of this one, and resolves with whether it succeeded. */
function run(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    child.on('error', (error) => {
      console.error(error.message);
      resolve(false);
    });
    child.on('close', (code) => resolve(code === 0));
  });
}

async function main() {
  writeFileSync(join(work, 'package.json'), '{ "private": true }');
  const flags = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const packages = LINES.map((line) => `node-${line}@npm:${packageName}@${line}`);
  if (!(await run('npm', ['install', ...flags, ...packages], { cwd: work }))) return LINES;
  const failed = [];
  for (const line of LINES) {
    if (interrupted) break;
    // npm, npx and the servers run on it, too.
    const env = { ...process.env, PATH: `${dirname(program(line))}${delimiter}${process.env.PATH}` };
    console.log(`\nNode ${line}`);
    const isThere = await run(program(line), ['--version'], { env });
    const passed = isThere && (await run(program(line), [join(import.meta.dirname, 'run.js')], { env }));
    if (!passed) failed.push(line);
  }
  return failed;
}

// Ctrl-C reaches the consumer test, too, which ends what it has started.
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    interrupted = true;
  });

try {
  const failed = await main();
  console.log(failed.length === 0 ? `\nNodes ${LINES.join(', ')} passed` : `\nFAIL Nodes ${failed.join(', ')}`);
  process.exitCode = failed.length === 0 && !interrupted ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true, maxRetries: 5 });
}
