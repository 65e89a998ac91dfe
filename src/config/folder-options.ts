import {
  about,
  absolutePath,
  describeValue,
  type Field,
  type Given,
  isPlainObject,
  oneOf,
  type Resolved,
} from './fields.js';
import { megabytes } from './number-fields.js';

/** A folder over its budget, as `onExceeded` gets it. */
export interface ExceededFolder {
  /** As it was given. */
  readonly path: string;
  /** Its budget, in MB. */
  readonly limitMB: number;
  /** What the files in it take on the disk, in MB. A file with several names counts once. */
  readonly sizeMB: number;
  /** Number of files. */
  readonly files: number;
}

/** More than a disk has. */
const MOST_FOLDER_MB = 100_000_000;

/** A folder with a budget. */
export const folderFields = {
  /** Absolute path. The folder itself must not be a symbolic link. Required. */
  path: about('absolute path of the folder, which must not be a symbolic link', {
    ...absolutePath(),
    required: true,
  } as Field<string> & { required: true }),
  /** Most that its files may use, in MB. Required. */
  limitMB: about('most that its files may use on the disk', {
    ...megabytes(1, MOST_FOLDER_MB),
    required: true,
  } as Field<number> & { required: true }),
  /**
   * What is done when they use more. Default: `report`.
   *
   * - `report`: `limit:exceeded` only.
   * - `prune-oldest`: the files that were not changed for longest are deleted, until the rest fits. It never leaves the
   *   folder, follows no link, spares files that are open, changed within 60 s or have several names, and refuses the home of
   *   this user and a folder that other users, or a group, can write. On Linux only.
   * - a function: it is called with the folder, at each look (once a minute) while it is over its budget.
   */
  onExceeded: about(
    "what is done when they use more: `'report'`, `'prune-oldest'` (Linux only), or a function",
    whenExceeded(),
  ),
};

/** One folder with a budget: see `monitoring.folders`. */
export type FolderBudget = Given<typeof folderFields>;
/** The same with its defaults. */
export type ResolvedFolderBudget = Resolved<typeof folderFields>;

function whenExceeded(): Field<'report' | 'prune-oldest' | ((folder: ExceededFolder) => unknown)> {
  const word = oneOf('report', 'report', 'prune-oldest');
  return {
    default: 'report',
    check: (value) => (typeof value === 'function' ? undefined : word.check(value)?.concat('; or a function')),
    schema: { enum: ['report', 'prune-oldest'] },
  };
}

/** Each item is read by its own table in `resolve-monitoring.ts`. */
export function folders(): Field<readonly FolderBudget[]> {
  return {
    default: [],
    check(value) {
      if (!Array.isArray(value)) return `an array of folders ({ path, limitMB }), got ${describeValue(value)}`;
      const wrong = value.findIndex((item) => !isPlainObject(item));
      return wrong === -1 ? undefined : `an array of folders ({ path, limitMB }); item ${wrong} is no object`;
    },
    fields: folderFields,
    fieldsOf: 'items',
  };
}
