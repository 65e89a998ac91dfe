/** A longer name is cut. */
const LONGEST = 80;
/** What is looked at: the patterns below cost more than the length of a text. */
const MOST = 200;

/** How tokens of well-known services begin, and what is long and random. A UUID is a name. */
const SECRET =
  /^(?:sk|pk|rk|ghp|gho|ghs|ghu|github_pat|glpat|xox[abps]|npm|pypi|hf|AKIA|ASIA|AIza|ya29|eyJ|Bearer|Basic)[-_. A-Za-z0-9]{12,}|:\/\/[^/@\s]*:[^/@\s]*@/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
/** Letters of both cases with digits in one long word: names have separators. */
const RANDOM = /(?=[A-Za-z0-9+/=]*\d)(?=[A-Za-z0-9+/=]*[a-z])(?=[A-Za-z0-9+/=]*[A-Z])[A-Za-z0-9+/=]{24,}|[0-9a-f]{32,}/;

/**
 * A name of a file, for a message: a key, a variable, a server. One that looks like a secret, written in the wrong place, is
 * not shown; control characters would change the terminal of its reader.
 */
export function shownName(name: string): string {
  const head = name.slice(0, MOST);
  if (!UUID.test(head) && (SECRET.test(head) || RANDOM.test(head))) return '(hidden)';
  const plain = printable(head);
  return plain.length > LONGEST ? `${plain.slice(0, LONGEST)}…` : plain;
}

function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
}

/** The path of a key, such as `mcpServers.github.args[0]`. */
export function shownKey(path: readonly (string | number)[]): string {
  return path.reduce<string>((text, step) => {
    if (typeof step === 'number') return `${text}[${step}]`;
    const name = shownName(step);
    const part = /^[\w-]+$/.test(name) ? name : `"${name}"`;
    return text === '' ? part : `${text}.${part}`;
  }, '');
}

/**
 * A sentence of the checks of options, for a file: words that look like a secret are hidden, control characters are replaced, and
 * numbers are written as in JSON, without `_`.
 */
export function sentenceForFile(message: string): string {
  const plain = message.replace(/(?<=\d)_(?=\d{3})/g, '');
  return printable(plain).replace(/[^\s'"[\]{}(),;]+/g, (word) => (word.length < 16 ? word : shownName(word)));
}
