/**
 * The Theil–Sen slope: the median of the slopes between all pairs of points, so that a third of the points may be wild.
 * Its cost grows with the square of their number: give it a bounded number. 0 without a pair.
 *
 * @param xs rising
 * @param counts whether the pair with these two indexes counts. Default: all do
 */
export function theilSenSlope(
  xs: readonly number[],
  ys: readonly number[],
  counts?: (earlier: number, later: number) => boolean,
): number {
  const slopes = new Float64Array((xs.length * (xs.length - 1)) / 2);
  let count = 0;
  for (let later = 1; later < xs.length; later += 1) {
    for (let earlier = 0; earlier < later; earlier += 1) {
      if (counts && !counts(earlier, later)) continue;
      slopes[count] = (at(ys, later) - at(ys, earlier)) / (at(xs, later) - at(xs, earlier));
      count += 1;
    }
  }
  return medianOf(slopes.subarray(0, count));
}

/** Changes the order of `values`. 0 when there is none. */
function medianOf(values: Float64Array): number {
  if (values.length === 0) return 0;
  const middle = values.length >> 1;
  select(values, middle);
  const upper = at(values, middle);
  if (values.length % 2 === 1) return upper;
  let lower = -Infinity;
  for (let index = 0; index < middle; index += 1) lower = Math.max(lower, at(values, index));
  return (upper + lower) / 2;
}

/** Puts the value there that belongs there in order, and no larger one before it (Hoare). Sorting all costs five times more. */
function select(values: Float64Array, place: number): void {
  let from = 0;
  let to = values.length - 1;
  while (from < to) {
    const pivot = at(values, (from + to) >> 1);
    let left = from;
    let right = to;
    while (left <= right) {
      while (at(values, left) < pivot) left += 1;
      while (at(values, right) > pivot) right -= 1;
      if (left > right) break;
      const moved = at(values, left);
      values[left] = at(values, right);
      values[right] = moved;
      left += 1;
      right -= 1;
    }
    if (place <= right) to = right;
    else if (place >= left) from = left;
    else return;
  }
}

function at(values: ArrayLike<number>, index: number): number {
  return values[index] ?? 0;
}
