import { describeValue, type Field, type Given } from './fields.js';
import { reader } from './read-options.js';

const applyConfigFields = {
  /**
   * Where the servers come from, such as the path of a file: each source adds, changes and removes servers of its own alone.
   * Default: `''`.
   */
  source: {
    default: '',
    check: (value) => (typeof value === 'string' ? undefined : `a string, got ${describeValue(value)}`),
  } as Field<string>,
};

/** Options of `applyConfig()`. */
export type ApplyConfigOptions = Given<typeof applyConfigFields>;

export const resolveApplyConfigOptions = reader(applyConfigFields, 'the options of applyConfig()');
