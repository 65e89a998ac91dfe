import type { MarkReading } from '../../src/process/marks/evidence.js';
import type { MarkReader } from '../../src/process/marks/mark-reader.js';
import { type Mark, markText } from '../../src/process/marks/marker.js';

/** What a process without a mark shows. */
export const UNMARKED: MarkReading = { marks: [], limit: undefined, owner: undefined };

/** What a process with that mark in its environment shows, with the key. */
export function marksOf({ host, instance = 1 }: Mark): MarkReading {
  return {
    marks: [markText({ host, instance })],
    limit: undefined,
    owner: { user: 0, isHere: true, login: undefined, isRaised: false },
  };
}

/** A reader for which those processes have the mark. */
export function readerOf(mark: Mark, hasMark: (pid: number) => boolean): MarkReader {
  const reading = marksOf(mark);
  return (pid) => (hasMark(pid) ? reading : UNMARKED);
}
