/** The first `longest` characters, as a string of its own: a mere part of a string keeps all of that in memory. */
export function cut(text: string, longest: number): string {
  return text.length > longest ? ` ${text.slice(0, longest)}`.slice(1) : text;
}
