// What a published MCP server is like: how it starts, what it costs, how it ends, what it keeps of its clients, and so how it is
// to be pooled. Measured through the built package, in a folder of its own (see profile/place.js), with dummy keys only.
//
//   node test/real/profile.js @modelcontextprotocol/server-memory        one package, and what its definition should say
//   node test/real/profile.js some-server --args=--stdio --env API_KEY=dummy       (--args and --env once for each)
//   node test/real/profile.js some-server --command node --args server.js --json
//   node test/real/profile.js --all                      the servers of popular.js, into servers.json; hours
//   node test/real/profile.js --all --only memory,git --ask start,tree          some of them, some questions
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Place } from './profile/place.js';
import { questions } from './profile/questions.js';
import { recommend } from './profile/recommend.js';

const TABLE = fileURLToPath(new URL('./profile/servers.json', import.meta.url));
const YARDSTICK = { command: 'npx', args: ['-y', '@modelcontextprotocol/server-everything'] };
/** `first` is asked only by name: it downloads everything again. */
const USUAL = Object.keys(questions).filter((question) => question !== 'first');
/** For all answers to one question, ms. */
const LONGEST = 900_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean' },
    only: { type: 'string' },
    ask: { type: 'string' },
    missing: { type: 'boolean' },
    command: { type: 'string' },
    args: { type: 'string', multiple: true, default: [] },
    env: { type: 'string', multiple: true, default: [] },
    yardstick: { type: 'string' },
    rounds: { type: 'string', default: '5' },
    folder: { type: 'string' },
    json: { type: 'boolean' },
  },
});
const asked = values.ask?.split(',') ?? USUAL;
const unknown = asked.filter((question) => questions[question] === undefined);
if (unknown.length > 0) throw new Error(`--ask is some of ${Object.keys(questions).join(', ')}, not ${unknown}`);
// Only tests have another one: a server of theirs, without npm.
const yardstick = values.yardstick === undefined ? YARDSTICK : { command: process.execPath, args: [values.yardstick] };
const options = { yardstick, rounds: Number(values.rounds) };
const say = (text) => process.stderr.write(`${text}\n`);

const place = new Place(values.folder);
for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, () => void place.clear().finally(() => process.exit(1)));
try {
  if (values.all) await measureAll();
  else if (positionals.length === 1) await measureOne(positionals[0]);
  else throw new Error('give one package, or --all');
} finally {
  await place.clear();
}

async function measureOne(name) {
  const { command = 'npx', args } = values;
  const env = Object.fromEntries(values.env.map((pair) => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]));
  const facts = await answers({ command, args: command === 'npx' ? ['-y', name, ...args] : args, env }, asked);
  const { policy, reasons } = recommend(facts);
  const shown = values.json ? { facts, policy, reasons } : { ...facts, policy, reasons };
  if (values.json) console.log(JSON.stringify(shown, undefined, 2));
  else console.dir(shown, { depth: 5 });
}

async function measureAll() {
  const { popular } = await import('./profile/popular.js');
  const only = values.only?.split(',');
  for (const [name, subject] of Object.entries(popular).filter(([name]) => only?.includes(name) ?? true)) {
    const known = readTable()[name];
    // Answers about another command line are not kept.
    const kept = known?.args.join(' ') === subject.args.join(' ') ? known.facts : {};
    const open = values.missing
      ? asked.filter((question) => (kept[question] ?? { error: '' }).error !== undefined)
      : asked;
    if (open.length === 0) continue;
    say(name);
    const found = await answers(subject, open);
    const facts = Object.fromEntries(
      Object.keys(questions).flatMap((question) => {
        const answer = found[question] ?? kept[question];
        return answer === undefined ? [] : [[question, answer]];
      }),
    );
    const measured = new Date().toISOString().slice(0, 10);
    // Read again: another run may have written meanwhile.
    const table = { ...readTable(), [name]: { measured, args: subject.args, facts } };
    const sorted = Object.fromEntries(Object.keys(popular).flatMap((key) => (table[key] ? [[key, table[key]]] : [])));
    writeFileSync(TABLE, `${JSON.stringify(sorted, undefined, 2)}\n`);
  }
}

/** One question after the other. One that fails is answered with its error, and stops nothing. */
async function answers(subject, names) {
  const facts = {};
  for (const question of names) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer within ${LONGEST / 1_000} s`)), LONGEST);
    });
    try {
      facts[question] = await Promise.race([questions[question](subject, place, options), late]);
    } catch (error) {
      facts[question] = { error: error.message.split('\n')[0].slice(0, 300) };
    } finally {
      clearTimeout(timer);
      await place.clear();
    }
    say(`  ${question}: ${JSON.stringify(facts[question])}`);
  }
  return facts;
}

function readTable() {
  return existsSync(TABLE) ? JSON.parse(readFileSync(TABLE, 'utf8')) : {};
}
