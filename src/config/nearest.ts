/** Longer words are not compared: the cost grows with the product of both lengths. */
const LONGEST = 100;

/** Those of `known` that `word` may be a misspelling of, the nearest first: at most `most`. */
export function nearest(word: string, known: Iterable<string>, most: number): string[] {
  if (word.length > LONGEST) return [];
  const lower = word.toLowerCase();
  const furthest = Math.max(2, Math.floor(word.length / 3));
  const near: { readonly name: string; readonly distance: number }[] = [];
  for (const name of known) {
    if (Math.abs(name.length - word.length) > furthest) continue;
    const distance = editDistance(lower, name.toLowerCase());
    if (distance <= furthest) near.push({ name, distance });
  }
  return near
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ name }) => name);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
