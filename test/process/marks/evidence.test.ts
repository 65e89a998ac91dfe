import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { judge, type MarkMatch, type MarkReading, type Seeker } from '../../../src/process/marks/evidence.js';
import { InnerHosts } from '../../../src/process/marks/inner-hosts.js';
import { environmentValue, type InstanceMark, newHostMark, rlimitValue } from '../../../src/process/marks/marker.js';
import { SearchKnowledge } from '../../../src/process/marks/search-knowledge.js';
import { marksOf, UNMARKED } from '../../helpers/fake-marks.js';

const OURS: InstanceMark = { host: newHostMark(), instance: 3 };
const NEIGHBOUR = { ...OURS, instance: 4 };
const FOREIGN = { host: newHostMark(), instance: 3 };
const INNER = { host: newHostMark(), instance: 1 };
const [HOST, SERVER, OTHER] = [1_000, 2_001, 2_002];

/** The host runs as `HOST`, a process with our key as `SERVER`; that one has named an inner host. */
const SEEKER: Seeker = {
  mark: OURS,
  users: new Set([HOST, SERVER]),
  login: HOST,
  isInner: (limit, user) => limit >> 31n === BigInt(INNER.host.number) && user === SERVER,
};

const key = environmentValue(OURS, '');
/** What a process can have in its environment, by what could have written it there. */
const ENVIRONMENTS = {
  none: [],
  hidden: undefined,
  ours: [key],
  'ours, in a chain': [...environmentValue(FOREIGN, '').split(':'), key],
  'a key of our host, of another instance': [environmentValue(NEIGHBOUR, '')],
  'our id and instance, without the key': [`${OURS.host.id}.3.${'0'.repeat(32)}`],
  'our id and instance, with the key of another instance': [
    `${OURS.host.id}.3.${environmentValue(NEIGHBOUR, '').slice(-32)}`,
  ],
  'of another host': [environmentValue(FOREIGN, '')],
} as const satisfies Record<string, MarkReading['marks']>;
const LIMITS = {
  none: undefined,
  ours: rlimitValue(OURS),
  'of the neighbour': rlimitValue(NEIGHBOUR),
  'of another host': rlimitValue(FOREIGN),
  'of the inner host': rlimitValue(INNER),
} as const;
const USERS = [HOST, SERVER, OTHER, 0, undefined];
const LOGINS = [undefined, HOST, SERVER, OTHER];

interface Case {
  readonly environment: keyof typeof ENVIRONMENTS;
  readonly limit: keyof typeof LIMITS;
  readonly user: (typeof USERS)[number];
  readonly login: (typeof LOGINS)[number];
  readonly isHere: boolean;
  readonly isRaised: boolean;
}

const keysOf = <T extends object>(of: T) => fc.constantFrom(...(Object.keys(of) as (keyof T)[]));
const anyCase: fc.Arbitrary<Case> = fc.record({
  environment: keysOf(ENVIRONMENTS),
  limit: keysOf(LIMITS),
  user: fc.constantFrom(...USERS),
  login: fc.constantFrom(...LOGINS),
  isHere: fc.boolean(),
  isRaised: fc.boolean(),
});
const decide = ({ environment, limit, ...owner }: Case): MarkMatch =>
  judge({ marks: ENVIRONMENTS[environment], limit: LIMITS[limit], owner }, SEEKER);
/** The best that a process could show. */
const BEST: Case = { environment: 'none', limit: 'ours', user: HOST, login: HOST, isHere: true, isRaised: false };

describe('what a process belongs to by its marks', () => {
  // The whole table: what is not in it is not ours.
  it.each<[string, Partial<Case>, MarkMatch]>([
    ['our key', { environment: 'ours', limit: 'none', user: OTHER, isHere: false, login: OTHER }, 'environment'],
    ['our key behind that of an outer host', { environment: 'ours, in a chain', user: undefined }, 'environment'],
    ['our limit, of the user of the host', {}, 'limit'],
    ['our limit, of a user that can read our key', { user: SERVER, login: HOST }, 'limit'],
    ['our limit, and an environment that may not be read', { environment: 'hidden' }, 'limit'],
    ['our limit, without a login', { login: undefined }, 'limit'],
    ['our limit, of another user', { user: OTHER, login: undefined }, false],
    ['our limit, of root, for which the host does not run', { user: 0, login: undefined }, false],
    ['our limit, of a setuid program', { user: undefined }, false],
    ['our limit, of a program that is wholly of our user, by its setuid bit', { isRaised: true }, false],
    ['our key, of such a program', { environment: 'ours', isRaised: true }, 'environment'],
    ['our limit, behind sudo of another user', { login: OTHER }, false],
    ['our limit, in another pid namespace', { isHere: false }, false],
    ['the limit of a neighbour', { limit: 'of the neighbour' }, false],
    [
      'a mark with our id, without its key',
      { environment: 'our id and instance, without the key', limit: 'none' },
      false,
    ],
    [
      'a mark with our id and the key of a neighbour',
      { environment: 'our id and instance, with the key of another instance', limit: 'none' },
      false,
    ],
    ['the limit of an inner host, of the user that named it', { limit: 'of the inner host', user: SERVER }, 'inner'],
    ['the limit of an inner host, of the user of the host', { limit: 'of the inner host' }, false],
    ['the limit of an inner host, of another user', { limit: 'of the inner host', user: OTHER }, false],
    [
      'the limit of an inner host, in another pid namespace',
      { limit: 'of the inner host', user: SERVER, isHere: false },
      false,
    ],
    [
      'the limit of an inner host, and the mark of a host',
      { limit: 'of the inner host', user: SERVER, environment: 'of another host' },
      false,
    ],
    ['nothing', { limit: 'none' }, false],
  ])('[MARK-11] [MARK-12] [MARK-13] [MARK-14] %s', (_what, change, expected) => {
    expect(decide({ ...BEST, ...change })).toBe(expected);
  });

  it('[MARK-12] [MARK-13] never that of a user that can not read our key, unless it has the key', () => {
    fc.assert(
      fc.property(anyCase, (one) => {
        const has = one.environment === 'ours' || one.environment === 'ours, in a chain';
        const match = decide(one);
        expect(match === 'environment').toBe(has);
        if (has || match === false) return;
        expect([HOST, SERVER]).toContain(one.user);
        expect(one.isHere && !one.isRaised && [undefined, HOST, one.user].includes(one.login)).toBe(true);
        expect(one.limit).toBe(match === 'inner' ? 'of the inner host' : 'ours');
      }),
      { numRuns: 2_000 },
    );
  });

  it('[MARK-12] a process that may not be read at all is not ours', () => {
    expect(judge({ ...UNMARKED, limit: rlimitValue(OURS) }, SEEKER)).toBe(false);
  });
});

describe('what a search learns, in a host of root', () => {
  beforeEach(() => void vi.spyOn(process, 'geteuid').mockReturnValue(0));
  afterEach(() => void vi.restoreAllMocks());

  const owner = (user: number | undefined) => ({ user, isHere: true, login: undefined, isRaised: false });
  const known = () => new SearchKnowledge(OURS, new InnerHosts(OURS));
  const chain = [key, environmentValue(INNER, '')];
  /** No host of that process is visible. */
  const nothing = () => undefined;

  it('[MARK-12] lets the limit of a user count when a process of it has our key', () => {
    const knowledge = known();
    const reading = { marks: [], limit: rlimitValue(OURS), owner: owner(SERVER) };
    expect([judge(reading, knowledge), knowledge.size]).toEqual([false, 1]);
    knowledge.learn({ ...marksOf(OURS), owner: owner(SERVER) }, nothing);
    expect([judge(reading, knowledge), knowledge.size]).toEqual(['limit', 2]);
    // The users of a setuid program are none of ours.
    knowledge.learn({ ...marksOf(OURS), owner: owner(undefined) }, nothing);
    expect(knowledge.size).toBe(2);
  });

  it('[MARK-12] reads the owner of what looks like a process of the host only when a limit of another user is found', () => {
    let reads = 0;
    const ours: MarkReading = {
      ...{ marks: [key], limit: undefined, isOwn: true },
      get owner() {
        reads += 1;
        return owner(SERVER);
      },
    };
    const knowledge = known();
    knowledge.learn(ours, nothing);
    expect([knowledge.size, reads]).toEqual([1, 0]);
    const reading = { marks: [], limit: rlimitValue(OURS), owner: owner(SERVER) };
    expect([judge(reading, knowledge), reads]).toEqual(['limit', 1]);
    // The order in which a look shows the two does not matter.
    const late = known();
    expect(judge(reading, late)).toBe(false);
    late.learn(ours, nothing);
    expect([late.size, judge(reading, late), reads]).toEqual([2, 'limit', 2]);
    // What an earlier look has shown is read no more, and an inner host is learnt at once.
    const next = known();
    next.learn(ours, nothing);
    next.begin();
    expect([judge(reading, next), reads]).toEqual([false, 2]);
    next.learn({ ...ours, marks: chain, owner: owner(SERVER) }, nothing);
    expect(judge({ ...reading, limit: rlimitValue(INNER) }, next)).toBe('inner');
  });

  it('[MARK-14] holds for the user of the process it was learnt from, if the inner host has the same', () => {
    const target = (user: number) => ({ marks: [], limit: rlimitValue(INNER), owner: owner(user) });
    const named = { marks: chain, limit: undefined, owner: owner(SERVER) };
    const knowledge = known();
    knowledge.learn(named, () => owner(HOST));
    expect(judge(target(SERVER), knowledge)).toBe(false);
    knowledge.learn(named, () => owner(SERVER));
    expect([SERVER, HOST, OTHER, 0].map((user) => judge(target(user), knowledge))).toEqual([
      'inner',
      false,
      false,
      false,
    ]);
    const orphan = known();
    orphan.learn(named, nothing);
    expect(judge(target(SERVER), orphan)).toBe('inner');
  });

  it('[MARK-14] [MARK-13] nothing from a process without our key', () => {
    const knowledge = known();
    const forged = [`${OURS.host.id}.3.${'0'.repeat(32)}`, environmentValue(INNER, '')];
    knowledge.learn({ marks: forged, limit: undefined, owner: owner(process.geteuid?.()) }, nothing);
    const target = { marks: [], limit: rlimitValue(INNER), owner: owner(process.geteuid?.()) };
    expect(judge(target, knowledge)).toBe(false);
  });

  it('[SETUID-2] nothing from a setuid program, which another user has started', () => {
    const knowledge = known();
    knowledge.learn({ marks: chain, limit: undefined, owner: { ...owner(SERVER), isRaised: true } }, nothing);
    expect(knowledge.size).toBe(1);
  });

  it('[SETUID-2] for root only while no other user has our key, and for each other user while none but root has', () => {
    const knowledge = known();
    const found = () =>
      [0, SERVER, OTHER].map((user) => {
        return judge({ marks: [], limit: rlimitValue(INNER), owner: owner(user) }, knowledge);
      });
    const learn = (user: number) => knowledge.learn({ marks: chain, limit: undefined, owner: owner(user) }, nothing);
    learn(0);
    expect(found()).toEqual(['inner', false, false]);
    learn(SERVER);
    expect(found()).toEqual([false, 'inner', false]);
    learn(OTHER);
    expect(found()).toEqual([false, false, false]);
  });

  it('[SETUID-2] in a host without privileges for its own user, while no other has our key', () => {
    vi.mocked(process.geteuid as () => number).mockReturnValue(HOST);
    const knowledge = known();
    for (const user of [HOST, SERVER, 0])
      knowledge.learn({ marks: chain, limit: undefined, owner: owner(user) }, nothing);
    const found = [HOST, SERVER, 0].map((user) => {
      return judge({ marks: [], limit: rlimitValue(INNER), owner: owner(user) }, knowledge);
    });
    expect(found).toEqual([false, false, false]);
    const alone = known();
    alone.learn({ marks: chain, limit: undefined, owner: owner(HOST) }, nothing);
    expect(judge({ marks: [], limit: rlimitValue(INNER), owner: owner(HOST) }, alone)).toBe('inner');
  });
});
