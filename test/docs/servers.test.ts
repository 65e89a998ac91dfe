import { expect, it } from 'vitest';
import { loadMcpConfig } from '../../src/config.js';
import { recommend } from '../real/profile/recommend.js';
import { definitionOf, type Facts, facts, subjects } from './servers.js';

const names = Object.keys(subjects);

it('[SERVERS-1] docs/servers.md shows sixteen servers or more, all of which were measured, and could be', () => {
  expect(names.length).toBeGreaterThanOrEqual(16);
  const questions = [
    'handshake',
    'start',
    'tree',
    'ending',
    'second',
    'state',
    'together',
    'asks',
    'asWritten',
  ] as const;
  const open = names.flatMap((name) =>
    questions
      .filter((question) => facts[name]?.[question] === undefined || 'error' in facts[name][question])
      .map((question) => `${name}: ${question}`),
  );
  expect(open).toEqual([]);
});

it('[SERVERS-2] each of its definitions is one that a pool takes from a configuration file, without a key in it', async () => {
  const mcpServers = Object.fromEntries(
    Object.entries(subjects).map(([name, subject]) => [name, definitionOf(subject)]),
  );
  const keys = [...JSON.stringify(mcpServers).matchAll(/\$\{(\w+)\}/g)].map(([, key = '']) => [key, `value of ${key}`]);
  const { servers, problems } = await loadMcpConfig(
    { mcpServers },
    { format: 'claude-code', env: Object.fromEntries(keys) },
  );
  expect(problems).toEqual([]);
  expect(Object.keys(servers)).toEqual(names);
  const secrets = Object.values(subjects).flatMap(({ env = {} }) =>
    Object.entries(env).filter(([name]) => /KEY|TOKEN|STRING/.test(name)),
  );
  expect(secrets.filter(([, value]) => !/^\$\{\w+\}$/.test(value))).toEqual([]);
});

it.each(names)(
  '[SERVERS-3] the definition of %s is what was measured of it recommends, or says why not; it works, and ends',
  (name) => {
    const { policy, unlike } = subjects[name]!;
    const { asWritten } = facts[name]!;
    expect(asWritten.left).toBe(0);
    const recommended = recommend(facts[name]).policy;
    const differs = Object.entries(recommended).filter(([field, value]) => policy[field] !== value);
    expect({ differs: differs.length > 0, why: unlike }).toEqual({ differs: unlike !== undefined, why: unlike });
  },
);

const USAGE = { processes: 1, memoryMB: 30 };
const HARMLESS: Facts = {
  handshake: { package: 'x@1.0.0', tools: 1 },
  start: { ratio: 1 },
  tree: { npx: USAGE, idle: USAGE },
  ending: { eof: 50, eofAfterWork: 50, sigterm: 'SIGTERM' },
  second: { works: true },
  state: { probed: false },
  together: { calls: 20, right: 20 },
  asks: { asked: [], moreTools: [] },
  asWritten: { endedBy: 'eof', left: 0 },
};

it.each([
  ['shared by what works at once', {}, { sharing: 'shared' }],
  [
    'one at a time where only that is right',
    { together: { calls: 20, right: 1, oneAtATime: 20 } },
    { sharing: 'shared', maxInFlight: 1 },
  ],
  [
    'exclusive where clients disturb each other',
    { together: { calls: 20, right: 1, oneAtATime: 1 } },
    { sharing: 'exclusive' },
  ],
  [
    'the same owner where the next client sees what is left',
    { state: { probed: true, visible: { tenant: true, owner: false } } },
    { sharing: 'exclusive', reuse: 'owner' },
  ],
  [
    'one instance where a second one fails',
    { second: { works: 'profile in use' } },
    { sharing: 'shared', maxInstances: 1 },
  ],
  [
    'no wait for what is deaf to the end of its stdin',
    { ending: { eof: 50, eofAfterWork: null, sigterm: 'exit 0' } },
    { sharing: 'shared', eofGrace: 300 },
  ],
  [
    'more time for what ends slowly',
    { ending: { eof: 50, eofAfterWork: 3_000, sigterm: 'exit 0' } },
    { sharing: 'shared', eofGrace: 3_000 },
  ],
])('[SERVERS-3] recommends %s', (_, found, policy) => {
  expect(recommend({ ...HARMLESS, ...found }).policy).toEqual(policy);
});
