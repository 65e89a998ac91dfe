/** The steps to a value in a document: keys, and numbers of items. */
export type Path = readonly (string | number)[];

/** Where something is written, from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** What was read from a text. */
export interface Document {
  readonly value: unknown;
  /** Where the value with this path is written, or the nearest value around it. */
  locate(path: Path): Position | undefined;
  /** Keys that are written twice: the last one counts. */
  readonly repeated: readonly Path[];
}

/** Why a text cannot be read: the end of the sentence "The file …". */
export interface SyntaxProblem extends Partial<Position> {
  readonly message: string;
}

/** Deeper values are refused: no configuration has them. */
export const DEEPEST = 100;

/** Where each line begins, to find the line of an offset. */
export function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (const { index } of text.matchAll(/\n/g)) starts.push(index + 1);
  return starts;
}

export function positionAt(offset: number, starts: readonly number[]): Position {
  let [low, high] = [0, starts.length];
  while (low < high - 1) {
    const middle = (low + high) >>> 1;
    if ((starts[middle] as number) <= offset) low = middle;
    else high = middle;
  }
  return { line: low + 1, column: offset - (starts[low] as number) + 1 };
}

/** Not an assignment: that of `__proto__` would set the prototype. */
export function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}
