// What a word on the command line of npx names, as npm-package-arg reads it. Nothing here reads a file.

/** What npx is asked for. */
export interface PackageSpec {
  /**
   * `registry`: a name, perhaps with a version, a range or a tag. `remote`: git, or a tarball at a URL. `local`: a folder or a file
   * of this machine, which changes without a version.
   */
  readonly kind: 'registry' | 'remote' | 'local';
  /** For events: without credentials. */
  readonly shown: string;
  /** Whether it always means the same content: a version in full, or a commit. */
  readonly isPinned: boolean;
}

const LONGEST_SHOWN = 200;

const VERSION = /^[v=\s]*\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?$/;
const COMMIT = /#[0-9a-f]{40}$/i;
const IS_PATH = /^(?:\.|~[/\\]|[/\\]|[A-Za-z]:[/\\]|file:)/;
const IS_FILE = /\.(?:tgz|tar\.gz|tar)$/i;
const IS_URL = /^(?:git\+)?[A-Za-z]+:/;
/** git@host:path */
const IS_SCP = /^[^@\s]+@[^:.\s]+\.[^:\s]+:.+$/;
const ALIAS = 'npm:';

export function packageSpec(raw: string): PackageSpec {
  const at = raw.indexOf('@', 1);
  const name = at > 0 ? raw.slice(0, at) : raw;
  const isName = !IS_URL.test(raw) && !IS_SCP.test(raw) && (name.startsWith('@') || !/[/\\]|^\./.test(name));
  const wanted = isName && !IS_FILE.test(name) ? raw.slice(name.length + 1) : raw;
  return { ...meaningOf(wanted, wanted === raw), shown: shown(raw) };
}

/** @param isWhole whether it has no name before it */
function meaningOf(wanted: string, isWhole: boolean): Pick<PackageSpec, 'kind' | 'isPinned'> {
  if (wanted.startsWith(ALIAS)) {
    const { kind, isPinned } = packageSpec(wanted.slice(ALIAS.length));
    return { kind, isPinned };
  }
  if (IS_PATH.test(wanted)) return { kind: 'local', isPinned: false };
  if (IS_URL.test(wanted) || IS_SCP.test(wanted)) return { kind: 'remote', isPinned: COMMIT.test(wanted) };
  if (IS_FILE.test(wanted)) return { kind: 'local', isPinned: false };
  // `user/repository`, of GitHub; with more parts it is a folder.
  const [path = ''] = wanted.split('#', 1);
  if (/^[^@/\\\s]+\/[^@/\\\s]+$/.test(path)) return { kind: 'remote', isPinned: COMMIT.test(wanted) };
  if (isWhole && /[/\\]/.test(wanted) && !wanted.startsWith('@')) return { kind: 'local', isPinned: false };
  return { kind: 'registry', isPinned: VERSION.test(wanted) };
}

/** A URL may have a user, a password or a token. */
function shown(raw: string): string {
  if (!/:\/\//.test(raw)) return raw.slice(0, LONGEST_SHOWN);
  return raw
    .replace(/:\/\/[^/]*@/, '://')
    .replace(/\?[^#]*/, '')
    .slice(0, LONGEST_SHOWN);
}
