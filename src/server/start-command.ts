import { delimiter } from 'node:path';
import type { LaunchSpec } from '../process/launcher.js';

/** What is started in place of the command of a definition. It is the same server, so leases and keys stay those of the definition. */
export interface StartCommand {
  /** The package that it belongs to, with its version, for `status()`. */
  readonly package: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Folders before those of PATH. */
  readonly folders: readonly string[];
  /** Variables that the server gets unless it has them. */
  readonly variables: Readonly<Record<string, string>>;
}

export function withCommand<S extends LaunchSpec>(spec: S, { command, args, folders, variables }: StartCommand): S {
  const { PATH, ...own } = spec.resolvedEnv;
  const path = [...folders, ...(PATH === undefined ? [] : [PATH])].join(delimiter);
  return { ...spec, command, args, resolvedEnv: { ...variables, ...own, PATH: path } };
}
