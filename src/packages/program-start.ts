/** How the file of a program is started. */
export type ProgramKind =
  /** By node, which PATH names: its first line says so. */
  | 'node'
  /** By itself: the system reads its first line, or it is machine code. */
  | 'itself';

/** @param head the beginning of the file */
export function programKind(head: string): ProgramKind {
  const [line = ''] = head.split('\n', 1);
  return /^#![ \t]*(?:\/usr)?\/bin\/env[ \t]+node[ \t\r]*$/.test(line) ? 'node' : 'itself';
}
