import { isAbsolute } from 'node:path';
import type { ProgramKind } from './program-start.js';
import { stringsIn } from './resolve-shell.js';

/** Goes up when a field changes its meaning. */
const FORMAT = 1;

/** What npm has found for a command line: kept in a file, for every later start of every host of this user. */
export interface PackageRecord {
  /** Absolute path of the program, as npx would have started it. */
  readonly program: string;
  readonly kind: ProgramKind;
  /** The package of the program. */
  readonly name: string;
  readonly version: string;
  /** Folders that npx puts before PATH. */
  readonly folders: readonly string[];
  /** Variables that npx adds. */
  readonly variables: Readonly<Record<string, string>>;
  /** Name of the folder in which the package was installed; undefined for one that the user has installed. */
  readonly installed: string | undefined;
  /** When npm was last asked, ms since the epoch. */
  readonly checkedAt: number;
}

export function recordText(record: PackageRecord): string {
  return JSON.stringify({ format: FORMAT, ...record });
}

/** Undefined for a text that {@link recordText} has not made. */
export function parseRecord(text: string): PackageRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { format, program, kind, name, version, folders, variables, installed, checkedAt } = (value ?? {}) as Record<
    string,
    unknown
  >;
  if (format !== FORMAT || typeof program !== 'string' || !isAbsolute(program)) return undefined;
  if (kind !== 'node' && kind !== 'itself') return undefined;
  if (typeof name !== 'string' || typeof version !== 'string' || typeof checkedAt !== 'number') return undefined;
  if (!Array.isArray(folders) || folders.some((folder) => typeof folder !== 'string')) return undefined;
  if (installed !== undefined && (typeof installed !== 'string' || !FOLDER.test(installed))) return undefined;
  return { program, kind, name, version, folders, variables: stringsIn(variables), installed, checkedAt };
}

/** The name of a folder of one installation. */
export const FOLDER = /^v-[A-Za-z0-9]{6}$/;
export const FOLDER_PREFIX = 'v-';
