import { expect, it } from 'vitest';
import { FileWatch } from '../../src/config-files/file-watch.js';
import { ManualClock } from '../helpers/clock.js';

it('[CONFIG-11] the quiet begins anew with each change', () => {
  const clock = new ManualClock();
  const told: number[] = [];
  const watch = new FileWatch({ clock, quiet: 500, pollInterval: 5_000, onQuiet: () => told.push(clock.now()) });
  const start = clock.now();
  for (let change = 0; change < 5; change++) {
    watch.touch();
    expect(watch.isTouched).toBe(true);
    clock.advance(499);
  }
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toEqual([start + 4 * 499 + 500]);
  expect(watch.isTouched).toBe(false);
  watch.touch();
  watch.close();
  clock.advance(10_000);
  expect(told).toHaveLength(1);
  expect(clock.pending).toBe(0);
});
