/** A line of a file of variables: `NAME=value`, perhaps with `export`. */
const LINE = /^\s*(?:export\s+)?([A-Za-z_][\w.-]*)\s*=\s*(.*?)\s*$/;

/**
 * The variables of a file such as `.env`: a name, `=`, a value on each line; `#` begins a comment; quotes around a value are
 * removed, and in double quotes `\n` is a line break. A line that is none of these is skipped, as the hosts do. Pure.
 */
export function readEnvFile(text: string): Record<string, string> {
  const entries = text.split(/\r?\n/).flatMap((line): [string, string][] => {
    const [, name, value] = LINE.exec(line) ?? [];
    return name === undefined || value === undefined ? [] : [[name, withoutQuotes(value)]];
  });
  return Object.fromEntries(entries);
}

function withoutQuotes(written: string): string {
  const [, quote, quoted] = /^(["'`])(.*?)\1\s*(?:#.*)?$/.exec(written) ?? [];
  if (quoted === undefined) return written.replace(/(?:^|\s+)#.*$/, '');
  return quote === '"' ? quoted.replaceAll('\\n', '\n').replaceAll('\\r', '\r') : quoted;
}
