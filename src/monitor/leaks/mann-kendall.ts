/**
 * The Mann–Kendall test for a trend: z above 0 when later values are mostly higher than earlier ones. Without a trend, z has
 * a normal distribution of mean 0 and variance 1, so that z > 2.33 comes by chance in 1 % of all cases. Its cost grows with
 * the square of their number: give it a bounded number. 0 for fewer than two values.
 */
export function mannKendallZ(values: readonly number[]): number {
  let score = 0;
  const ties = new Map<number, number>();
  for (const [later, value] of values.entries()) {
    ties.set(value, (ties.get(value) ?? 0) + 1);
    for (let earlier = 0; earlier < later; earlier += 1) score += Math.sign(value - (values[earlier] ?? 0));
  }
  let variance = spread(values.length);
  for (const count of ties.values()) variance -= spread(count);
  // The score moves in steps of 2: half a step less is the usual correction.
  return variance <= 0 ? 0 : (score - Math.sign(score)) / Math.sqrt(variance);
}

/** The variance of the score of so many different values; of equal values, what they take from it. */
function spread(count: number): number {
  return (count * (count - 1) * (2 * count + 5)) / 18;
}
