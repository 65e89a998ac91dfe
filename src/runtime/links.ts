import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, isAbsolute, join, parse, sep } from 'node:path';

/** A name in a folder. */
export interface NameIn {
  readonly folder: string;
  readonly name: string;
}

/** As Linux has it for one path. */
const MOST_LINKS = 40;

/**
 * The names on the way to a file at which it can be exchanged: its own, and each symbolic link on the way. A ConfigMap of
 * Kubernetes is exchanged at the link `..data`, which stands in no path that anybody writes. Where something is missing, its
 * name is the last one.
 */
export function linksTo(path: string): NameIn[] {
  const { root } = parse(path);
  const names = path.slice(root.length).split(sep);
  const found: NameIn[] = [];
  let folder = root;
  let links = 0;
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      folder = dirname(folder);
      continue;
    }
    const place = join(folder, name);
    const target = linkAt(place);
    if (target === undefined) return [...found, { folder, name }];
    if (target !== null) {
      found.push({ folder, name });
      links += 1;
      if (links > MOST_LINKS) return found;
      if (isAbsolute(target)) folder = parse(target).root;
      names.unshift(...target.slice(isAbsolute(target) ? parse(target).root.length : 0).split(sep));
    } else if (names.every((next) => next === '' || next === '.')) return [...found, { folder, name }];
    else folder = place;
  }
  return found;
}

/** What a link leads to; null for what is no link; undefined when there is nothing. */
function linkAt(path: string): string | null | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return undefined;
  }
}
