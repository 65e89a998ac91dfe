import { fileURLToPath } from 'node:url';
import { MARKER } from './processes.js';

/** A definition of a server of `test/fixtures/servers`; add policy by spreading. */
export interface FixtureDefinition {
  readonly command: string;
  readonly args: string[];
  readonly inheritEnv: string[];
}

/** Absolute path of a file in `test/fixtures/servers`. */
export function fixturePath(file: string): string {
  return fileURLToPath(new URL(`../fixtures/servers/${file}`, import.meta.url));
}

/** `fixture('echo')` runs `node echo.js`, marked so that the leak check finds it. */
export function fixture(name: string, ...args: string[]): FixtureDefinition {
  return { command: process.execPath, args: [fixturePath(`${name}.js`), ...args], inheritEnv: [MARKER] };
}

/** The same below a shell that waits for it, as with `npx` and in many configurations: `sh -c 'node echo.js; true'`. */
export function wrapped(name: string, ...args: string[]): FixtureDefinition {
  const { command, args: inner, inheritEnv } = fixture(name, ...args);
  return { command: 'sh', args: ['-c', '"$0" "$@"; true', command, ...inner], inheritEnv };
}
