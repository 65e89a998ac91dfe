import { describeValue, type Field } from './fields.js';

/** The longest label, in characters. */
const LONGEST = 100;

/** What messages call a server. A control character or a line break would change the terminal or the log of its reader. */
const label: Field<string | undefined> = {
  default: undefined,
  check(value) {
    if (typeof value !== 'string') return `a string, got ${describeValue(value)}`;
    if (value.trim() === '') return 'a string that is not empty';
    // A character has one or two code units: a very long text is not split into characters.
    if (value.length > 2 * LONGEST || [...value].length > LONGEST) return `a string of at most ${LONGEST} characters`;
    return /[\p{Cc}\p{Zl}\p{Zp}]/u.test(value) ? 'a string without control characters and line breaks' : undefined;
  },
};

export const labelFields = {
  /**
   * What messages of errors call the server, for end users: 1 to 100 characters, no control characters. Errors have it as
   * `data.label`, beside `data.name`. Another label replaces no process. Default: none; messages say the name.
   */
  label,
};
