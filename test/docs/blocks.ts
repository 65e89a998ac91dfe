/**
 * The page with what stands between two markers made anew: `<!-- <label> (npm run generate) -->` and `<!-- end of <kind> -->`, in
 * which the kind is the first word of the label.
 * @throws Error if a marker is missing
 */
export function withBlock(text: string, label: string, content: string): string {
  const [kind = ''] = label.split(':');
  const [begin, end] = [`<!-- ${label} (npm run generate) -->\n`, `<!-- end of ${kind} -->\n`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end, text.indexOf(begin))];
  if (from === -1 || to === -1) throw new Error(`the page has no markers for '${label}'`);
  return `${text.slice(0, from)}${begin}\n${content}\n${text.slice(to)}`;
}

/** A table of Markdown whose columns have one width; with `endsOpen` not the last one, so that the page is smaller. */
export function tableOf(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  { endsOpen = false } = {},
): string {
  const widths = head.map((title, column) =>
    endsOpen && column === head.length - 1
      ? title.length
      : Math.max(...[head, ...rows].map((row) => [...(row[column] ?? '')].length)),
  );
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - [...cell].length))).join(' | ')} |\n`;
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + rows.map(line).join('');
}
