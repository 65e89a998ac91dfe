import { expect, it } from 'vitest';
import { DescriptorCount } from '../../src/process/descriptor-count.js';

/** A host with so many descriptors. */
function setup(open: number, hasSize: boolean) {
  const host = { open, at: 1_000, looks: 0, fails: false };
  const count = new DescriptorCount(
    {
      size: () => (hasSize ? host.open : 0),
      names: () => {
        host.looks += 1;
        return host.fails ? undefined : host.open + 1;
      },
    },
    () => host.at,
  );
  /** How often they were listed in a minute in which it is read each second. */
  const minute = (allowed?: number) => {
    const before = host.looks;
    for (let second = 0; second < 60; second += 1) {
      count.read(allowed);
      host.at += 1_000;
    }
    return host.looks - before;
  };
  return { host, count, minute };
}

it('[DESCRIPTOR-1] where the size says it, they are listed once', () => {
  const { host, count, minute } = setup(20_000, true);
  expect(count.read(30_000)).toBe(20_000);
  host.open = 7;
  expect([count.read(30_000), minute(), host.looks]).toEqual([7, 0, 1]);
});

it('[DESCRIPTOR-1] where it does not, the more there are the less often they are listed, and often where few are left', () => {
  expect(setup(50, false).minute(1_024)).toBe(60);
  expect(setup(1_000, false).minute(100_000)).toBe(6);
  expect(setup(20_000, false).minute(100_000)).toBe(1);
  expect(setup(20_000, false).minute()).toBe(1);
  expect(setup(20_000, false).minute(20_100)).toBe(60);
  // All are used.
  expect(setup(20_000, false).minute(20_000)).toBe(60);
});

it('[DESCRIPTOR-1] what was listed counts no more after forget(), or when they cannot be listed any more', () => {
  const { host, count } = setup(5_000, false);
  expect(count.read()).toBe(5_000);
  host.fails = true;
  host.open = 6_000;
  expect(count.read()).toBe(5_000);
  count.forget();
  expect(count.read()).toBeUndefined();
  host.fails = false;
  expect(count.read()).toBe(6_000);
  host.at += 60_000;
  host.fails = true;
  expect([count.read(), count.read()]).toEqual([undefined, undefined]);
});
