import {
  absolutePath,
  describeValue,
  type Field,
  flag,
  isPlainObject,
  oneOf,
  optional,
  type Resolved,
} from '../config/fields.js';
import { type Problems, readOptions } from '../config/read-options.js';
import { didYouMean } from '../config/similar-names.js';
import { PoolError } from '../index.js';
import { FORMAT_NAMES, type McpConfigFormat } from './formats.js';

/** An input of a VS Code file: what its user is asked for. */
export interface McpConfigInput {
  readonly id: string;
  /** Such as `promptString` or `pickString`. */
  readonly type: string | undefined;
  readonly description: string | undefined;
  /** Whether what is entered should be hidden. */
  readonly password: boolean;
  readonly default: string | undefined;
  /** What can be chosen. */
  readonly options: readonly string[];
}

/** Gives the value of an input; undefined: it has none. It may throw or reject. */
export type InputReader = (input: McpConfigInput) => string | undefined | Promise<string | undefined>;

type Variables = Readonly<Record<string, string | undefined>>;

/** The checks of {@link LoadMcpConfigOptions}. */
export const loadFields = {
  format: optional(oneOf(FORMAT_NAMES[0] as McpConfigFormat, ...FORMAT_NAMES)) as Field<McpConfigFormat | undefined>,
  env: {
    default: undefined,
    // Not of `fields.ts`: that refuses `process.env`, which is right here.
    check: (value) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? undefined
        : `an object of strings, such as process.env, got ${describeValue(value)}`,
  } as Field<Variables | undefined>,
  input: {
    default: undefined,
    check: (value) =>
      typeof value === 'function' || isPlainObject(value)
        ? undefined
        : `a function, or an object of strings by id, got ${describeValue(value)}`,
  } as Field<InputReader | Variables | undefined>,
  allowFileReferences: flag(false),
  workspaceFolder: absolutePath(),
};

/** Options of `loadMcpConfig()`. */
export interface LoadMcpConfigOptions {
  /** The host by whose rules the file is read. Default: found by the name of the file, else by its content. */
  readonly format?: McpConfigFormat | undefined;
  /** The variables that placeholders read. Default: `process.env` for a file, none for an object. */
  readonly env?: Variables | undefined;
  /** The values of `${input:id}`: by id, or a function, which is called once for each input. Default: those of the file. */
  readonly input?: InputReader | Variables | undefined;
  /** Whether `${file:/path}` reads files, and in an object also `envFile`. Default: false. */
  readonly allowFileReferences?: boolean | undefined;
  /**
   * The folder that `${workspaceFolder}` names, and the `cwd` of entries without one; absolute. Default: that of a file in its
   * usual place in a project, such as `.vscode/mcp.json`.
   */
  readonly workspaceFolder?: string | undefined;
}

export type ResolvedLoadOptions = Resolved<typeof loadFields>;

/**
 * Checks the options of a call.
 * @throws PoolError `INVALID_OPTIONS`, of the class that hosts know: this entry point has the tables, but no errors of its own
 */
export function readCallOptions<F extends typeof loadFields>(fields: F, given: unknown, call: string): Resolved<F> {
  const problems: Problems = { wrong: [], unsupported: [] };
  const options = readOptions(fields, given, '', problems, didYouMean);
  refuseCall(problems.wrong, call);
  return options;
}

/** @throws PoolError `INVALID_OPTIONS` if there is a problem */
export function refuseCall(problems: readonly string[], call: string): void {
  if (problems.length === 0) return;
  throw new PoolError('INVALID_OPTIONS', `the call of ${call} was refused: ${problems.join('; ')}`, { problems });
}
