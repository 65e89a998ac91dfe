import { homedir } from 'node:os';
import { basename, isAbsolute, join, resolve, sep } from 'node:path';
import { isPlainObject } from '../config/fields.js';
import type { McpConfigInput, ResolvedLoadOptions } from './load-options.js';
import { type ReadFile, readTrusted } from './read-file.js';
import { shownName } from './shown-name.js';
import { keyOfReference, type Reference } from './substitution.js';

/** The value of a placeholder; or why it has none: a sentence. */
export type ReferenceValue = { readonly text: string } | { readonly unset: string } | { readonly problem: string };

/** Where values come from: what one load has. */
export interface Sources {
  readonly options: ResolvedLoadOptions;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `inputs` of the file. */
  readonly inputs: unknown;
  /** The folder that relative paths begin in; undefined for an object. */
  readonly folder: string | undefined;
  readonly workspaceFolder: string | undefined;
  readonly isFile: boolean;
  /** Reads a file, once for each load. */
  readonly read: (path: string) => Promise<ReadFile>;
}

/** `read` of {@link Sources}, which also tells what it has read. */
export function fileReader(onRead: (path: string, file: ReadFile) => void): Sources['read'] {
  const known = new Map<string, Promise<ReadFile>>();
  return (path) => {
    let file = known.get(path);
    if (file === undefined) {
      file = readTrusted(path).then((content) => {
        onRead(path, content);
        return content;
      });
      known.set(path, file);
    }
    return file;
  };
}

/** The values of placeholders, by their keys. Each is read once. Never rejects. */
export async function readReferences(
  references: Iterable<Reference>,
  sources: Sources,
): Promise<ReadonlyMap<string, ReferenceValue>> {
  const wanted = new Map([...references].map((reference) => [keyOfReference(reference), reference]));
  const values = [...wanted].map(async ([key, reference]) => [key, await read(reference, sources)] as const);
  return new Map(await Promise.all(values));
}

async function read(reference: Reference, sources: Sources): Promise<ReferenceValue> {
  switch (reference.kind) {
    case 'variable': {
      const value = variableOf(sources.env, reference.name);
      const name = shownName(reference.name);
      return value === undefined ? { unset: `the variable ${name} is not set` } : { text: value };
    }
    case 'place':
      return placeOf(reference.name, sources);
    case 'input':
      return inputOf(reference.id, sources);
    case 'file':
      return fileOf(reference.path, sources);
  }
}

/** Own ones alone: `constructor` is no variable. */
export function variableOf(env: Sources['env'], name: string): string | undefined {
  const value = Object.hasOwn(env, name) ? env[name] : undefined;
  return typeof value === 'string' ? value : undefined;
}

function placeOf(name: string, { workspaceFolder }: Sources): ReferenceValue {
  if (name === 'userHome') return { text: homedir() };
  if (name === 'pathSeparator') return { text: sep };
  if (workspaceFolder === undefined)
    return { problem: `\${${name}} is not known here: pass the option workspaceFolder` };
  return { text: name === 'workspaceFolderBasename' ? basename(workspaceFolder) : workspaceFolder };
}

async function inputOf(id: string, { options: { input }, inputs }: Sources): Promise<ReferenceValue> {
  const name = shownName(id);
  const written = Array.isArray(inputs) ? inputs.find((one) => isPlainObject(one) && one.id === id) : undefined;
  if (!isPlainObject(written)) return { problem: `the input ${name} is not in the inputs of the file` };
  const asked = inputFrom(id, written);
  try {
    const given = typeof input === 'function' ? await input(asked) : input && variableOf(input, id);
    const value = given ?? asked.default;
    if (typeof value === 'string') return { text: value };
    return { problem: `the input ${name} has no value: pass the option input` };
  } catch {
    // What was thrown may hold what was entered.
    return { problem: `the input ${name} has no value: the option input has thrown an error` };
  }
}

function inputFrom(id: string, written: Readonly<Record<string, unknown>>): McpConfigInput {
  const text = (value: unknown) => (typeof value === 'string' ? value : undefined);
  const choices = Array.isArray(written.options) ? written.options : [];
  return {
    id,
    type: text(written.type),
    description: text(written.description),
    password: written.password === true,
    default: text(written.default),
    options: choices.flatMap((choice) => text(isPlainObject(choice) ? choice.value : choice) ?? []),
  };
}

async function fileOf(path: string, sources: Sources): Promise<ReferenceValue> {
  if (!sources.options.allowFileReferences)
    return { problem: `\${file:…} is not read: allow it by the option allowFileReferences` };
  const place = pathFrom(path, sources.folder);
  if (place === undefined) return { problem: `\${file:…} has a relative path, and an object has no folder` };
  const file = await sources.read(place);
  if ('problem' in file) return { problem: `the file ${shownName(path)} ${file.problem}` };
  // Editors end the last line.
  return { text: file.text.replace(/\r?\n$/, '') };
}

/** An absolute path; `~` is the home of this user. Undefined for a relative one without a folder. */
export function pathFrom(path: string, folder: string | undefined): string | undefined {
  const place = atHome(path);
  if (isAbsolute(place)) return place;
  return folder === undefined ? undefined : resolve(folder, place);
}

/** The same path, where `~` is the home of this user. */
export function atHome(path: string): string {
  return /^~(?=$|[/\\])/.test(path) ? join(homedir(), path.slice(1)) : path;
}
