import { copyFileSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadMcpConfigOptions, loadMcpConfig, type McpConfig } from '../../src/config.js';
import type { ConfigProblem } from '../../src/index.js';
import { newFolder } from './folders.js';

const FIXTURES = fileURLToPath(new URL('../fixtures/configs/', import.meta.url));

/** A folder with a file of the corpus under the name that its host gives it, and what it names beside it. */
function placed(fixture: string, as: string, beside: readonly string[] = []) {
  const folder = newFolder();
  const path = join(folder, as);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  copyFileSync(join(FIXTURES, fixture), path);
  for (const name of beside) copyFileSync(join(FIXTURES, name), join(folder, name));
  return { folder, path };
}

/** What a file of the corpus says. */
export async function loadFixture(
  fixture: string,
  as = fixture,
  options: LoadMcpConfigOptions = {},
  beside: readonly string[] = [],
): Promise<McpConfig & { folder: string; path: string }> {
  const { folder, path } = placed(fixture, as, beside);
  return { ...(await loadMcpConfig(path, { env: {}, ...options })), folder, path };
}

/** Kind, key and line of each problem. */
export const placesOf = ({ problems }: Pick<McpConfig, 'problems'>) =>
  problems.map(({ kind, key, line }: ConfigProblem) => [kind, key, line]);

export const messagesOf = ({ problems }: Pick<McpConfig, 'problems'>) => problems.map(({ message }) => message);
