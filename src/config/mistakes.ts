import type { Problems } from './read-options.js';

/** A remote server has no command: that it is remote is the one problem, and the missing command none. */
export function checkRemote(own: Readonly<Record<string, unknown>>, path: string, problems: Problems): void {
  const isRemote =
    own.command === undefined && ['url', 'serverUrl', 'httpUrl', 'type'].some((key) => own[key] !== undefined);
  const missing = `${path === '' ? '' : `${path}.`}command must be a string, got undefined`;
  const index = isRemote && own.type !== 'stdio' ? problems.wrong.indexOf(missing) : -1;
  if (index !== -1) problems.wrong.splice(index, 1);
}
