/**
 * The Theil–Sen slope: the median of the slopes between all pairs of points, so that a third of the points may be wild.
 * Its cost grows with the square of their number: give it a bounded number. 0 for fewer than two.
 *
 * @param xs Rising.
 * @param counts Whether the pair of these two indexes counts. Default: all do.
 */
export function theilSenSlope(
  xs: readonly number[],
  ys: readonly number[],
  counts?: (earlier: number, later: number) => boolean,
): number {
  const slopes: number[] = [];
  for (const [later, x] of xs.entries()) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      if (counts && !counts(earlier, later)) continue;
      slopes.push(((ys[later] ?? 0) - (ys[earlier] ?? 0)) / (x - (xs[earlier] ?? 0)));
    }
  }
  return median(Float64Array.from(slopes));
}

/** Sorts `values`. 0 when there is none. */
function median(values: Float64Array): number {
  values.sort();
  const middle = values.length >> 1;
  const upper = values[middle] ?? 0;
  return values.length % 2 === 1 ? upper : (upper + (values[middle - 1] ?? 0)) / 2;
}
