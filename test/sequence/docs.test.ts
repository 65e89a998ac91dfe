import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { Fields } from '../../src/config/fields.js';
import { backoffFields, sequenceFields, stepFields } from '../../src/config/sequence-options.js';
import { type PoolOptions, SequenceManager } from '../../src/index.js';
import { setUp } from '../helpers/fake-pool.js';

const all = readFileSync(new URL('../../docs/sequences.md', import.meta.url), 'utf8');
const [ofPool = '', page = ''] = all.split('\n## Steps of your own\n');

/** The manager of the example. */
function example(): SequenceManager {
  const [, code = ''] = /const sequence = (new SequenceManager\(.*?\n\));?\n/s.exec(page) ?? [];
  const names = [...new Set(code.match(/\b(start|stop)[A-Z]\w*|\bdbAnswers\b/g))];
  return new Function('SequenceManager', ...names, `return ${code}`)(SequenceManager, ...names.map(() => () => {}));
}

/** The waves of a line of the diagram. */
function wavesOf(action: string, text = page): string[][] {
  const [, line = ''] = new RegExp(`^${action} +(wave 1: .*)$`, 'm').exec(text) ?? [];
  return line.split(/\s*wave \d: /).flatMap((wave) => (wave === '' ? [] : [wave.trim().split(', ')]));
}

it('[SEQ-15] shows the waves that plan() returns, and the reports of a start and a stop have', async () => {
  const sequence = example();
  expect(wavesOf('start')).toHaveLength(3);
  expect(sequence.plan().waves).toEqual(wavesOf('start'));
  const started = await sequence.start();
  expect(started).toMatchObject({ state: 'ready', waves: wavesOf('start') });
  expect(sequence.plan('shutdown').waves).toEqual(wavesOf('shutdown'));
  expect(await sequence.stop()).toMatchObject({ state: 'stopped', waves: wavesOf('shutdown') });
});

it('[SEQ-15] shows the waves of a pool, as its start, its plan and its shutdown have them', async () => {
  const [, code = ''] = /const pool = new MCPServerPool\((.*?\n\})\);\n/s.exec(ofPool) ?? [];
  const { pool } = setUp({ ...(new Function(`return ${code}`)() as PoolOptions), defaults: {} });
  const started = await pool.start();
  expect(started).toMatchObject({ state: 'ready', waves: wavesOf('start', ofPool) });
  (await pool.getServer('rare')).release();
  const planned: string[][] = [];
  for (const { name, wave } of pool.plan('shutdown').ends) planned[wave] = [...(planned[wave] ?? []), name];
  expect(planned).toEqual(wavesOf('shutdown', ofPool));
  expect((await pool.shutdown()).waves).toEqual(wavesOf('shutdown', ofPool));
});

/** The rows of the table with this heading: what is in code, and its default. */
function defaultsOf(heading: string): Record<string, unknown> {
  const [, table = ''] = page.split(`| ${heading} `);
  const rows = (table.split('\n\n')[0] ?? '').split('\n').slice(2);
  return Object.fromEntries(
    rows.map((row) => {
      const [, name = '', value = ''] = row.split('|').map((cell) => cell.trim().replaceAll('`', ''));
      const isValue = value !== 'none' && value !== 'required';
      return [name.replace(/\(.*/, ''), isValue ? new Function(`return (${value})`)() : undefined];
    }),
  );
}

it('[SEQ-15] has each option with its default', () => {
  const given = (fields: Fields) =>
    Object.fromEntries(
      Object.entries(fields).map(([name, field]) => [name, field.default === '' ? undefined : field.default]),
    );
  expect(defaultsOf('of a step')).toEqual(given(stepFields));
  expect(defaultsOf('of a manager')).toEqual(given(sequenceFields));
  const [, pauses = ''] = /^\| `backoff` .*`(\{ minDelay.*\})`/m.exec(page) ?? [];
  expect(new Function(`return (${pauses})`)()).toEqual(given(backoffFields));
});

it('[SEQ-15] has each event, and the reference each method', () => {
  const source = readFileSync(new URL('../../src/sequence/sequence-events.ts', import.meta.url), 'utf8');
  const events = [...source.matchAll(/^ {2}'(\w+:[\w-]+)': /gm)].map(([, event = '']) => event);
  const [, listed = ''] = /^Events: (.*?)\. /ms.exec(page) ?? [];
  expect([...listed.matchAll(/`([^`]+)`/g)].map(([, event]) => event)).toEqual(
    expect.arrayContaining(events.filter((event) => event !== 'listener:error')),
  );
  const reference = readFileSync(new URL('../../docs/reference.md', import.meta.url), 'utf8');
  const [, table = ''] = /^\| of a sequence manager .*?\n(.*?)\n\n/ms.exec(reference) ?? [];
  const methods = [...table.matchAll(/^\| `(\w+)\(/gm)].map(([, name]) => name);
  const own = Object.getOwnPropertyNames(SequenceManager.prototype).filter(
    (name) => !['constructor', 'toJSON'].includes(name),
  );
  expect(methods.sort()).toEqual(own.sort());
});
