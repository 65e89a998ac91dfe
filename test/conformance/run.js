// Can a client tell a pooled server from its own? Runs the conformance suite of the MCP project against one stdio server:
// first without a pool (the baseline), then through the gateway of examples/express-gateway, in each sharing mode, alone and in
// four runs at once. What passes in the baseline must pass everywhere; on a shared server all but what needs a client of its own.
//
//   npm run test:conformance                       all of it, 5 to 10 minutes; the first time it downloads the suite
//   npm run test:conformance -- --only=shared      one mode, after the baseline
import { parseArgs } from 'node:util';
import { startSubject } from './subjects.js';
import { installSuite, runSuite, VERSIONS } from './suite.js';

const PARALLEL = 4;
const MODES = ['exclusive', 'dedicated', 'shared'];

/** Scenarios in which the server asks its client: on a shared server nothing on the wire says which client that is. */
const NEEDS_ONE_CLIENT = new Set([
  'tools-call-sampling',
  'tools-call-elicitation',
  'elicitation-sep1034-defaults',
  'elicitation-sep1330-enums',
]);

const { values } = parseArgs({ options: { only: { type: 'string' } } });
const modes = values.only === undefined ? MODES : MODES.filter((mode) => mode === values.only);
if (modes.length === 0) throw new Error(`--only is one of ${MODES.join(', ')}`);
await installSuite();
/** Sentences about what is wrong. */
const wrong = [];
for (const version of Object.keys(VERSIONS)) await check(version);
console.log(wrong.length === 0 ? 'No client can tell.' : `\n${wrong.join('\n')}`);
process.exitCode = wrong.length === 0 ? 0 : 1;

async function check(version) {
  console.log(`@modelcontextprotocol/conformance ${version}`);
  const [baseline] = await measure(version, 'baseline', 1);
  const { passes } = VERSIONS[version];
  if (baseline.passed.size !== passes || baseline.failed.size > 0)
    wrong.push(`${version}, baseline: ${passes} checks should pass, and none fail. ${list(baseline.failed)}`);
  for (const mode of modes) {
    for (const runs of [1, PARALLEL]) compare(version, mode, baseline, await measure(version, mode, runs));
  }
}

/** Runs the suite against one subject, `runs` times at once. */
async function measure(version, name, runs) {
  const subject = await startSubject(name, runs);
  const started = performance.now();
  const results = await Promise.all(subject.urls.map((url) => runSuite(version, url)));
  const report = await subject.close();
  const seconds = Math.round((performance.now() - started) / 1_000);
  const passed = results.map((result) => result.passed.size).join(', ');
  const how = runs === 1 ? 'alone' : `${runs} at once`;
  const processes = report ? `; ${report.started} processes started, ${report.survivors} left` : '';
  console.log(`  ${name}, ${how}: ${passed} checks passed in ${seconds} s${processes}`);
  if (report?.survivors > 0) wrong.push(`${version}, ${name}: processes were left`);
  if (name === 'shared' && report.started !== 1) wrong.push(`${version}, shared: ${report.started} processes for one`);
  return results;
}

function compare(version, mode, baseline, results) {
  const isNeeded = (name) => mode !== 'shared' || !NEEDS_ONE_CLIENT.has(scenarioOf(name));
  for (const [index, { passed, failed }] of results.entries()) {
    const missing = [...baseline.passed].filter((name) => !passed.has(name));
    const bad = [...new Set([...missing, ...failed])].filter(isNeeded);
    if (bad.length > 0) wrong.push(`${version}, ${mode}, run ${index + 1}: ${list(bad)}`);
  }
  if (mode !== 'shared' || results.length > 1) return;
  console.log('    these need a client of their own:');
  for (const scenario of NEEDS_ONE_CLIENT) {
    const lost = [...baseline.passed].filter((name) => scenarioOf(name) === scenario && !results[0].passed.has(name));
    console.log(`      ${scenario}: ${lost.length} checks`);
  }
}

function scenarioOf(name) {
  return name.slice(0, name.indexOf(': '));
}

function list(names) {
  return [...names].join(', ');
}
