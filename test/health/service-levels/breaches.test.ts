import { expect, it } from 'vitest';
import { Breaches } from '../../../src/health/service-levels/breaches.js';

it('[SLO-2] a breach begins once, and ends when the budget has not burnt for 5 minutes', () => {
  const breaches = new Breaches();
  const seen = [
    [0, false],
    [10, true],
    [20, true],
    [300_000, false],
    [300_010, true],
    [600_000, false],
    [600_010, false],
    [600_020, false],
    [600_030, true],
  ] as const;
  const changes = seen.map(([now, burns]) => breaches.update(now, 'acquireTime', burns));
  expect(changes).toEqual([
    undefined,
    'breached',
    ...[undefined, undefined, undefined, undefined],
    'recovered',
    undefined,
    'breached',
  ]);
  expect(breaches.any).toBe(true);
  expect(breaches.update(600_030, 'failurePercent', true)).toBe('breached');
});
