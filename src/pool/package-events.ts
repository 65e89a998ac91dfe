import type { FallbackReason } from '../packages/package-resolver.js';

/** A package for which npm was asked, because of `resolvePackages`. */
export interface PackageEvent {
  /** Name of the server for which it was asked first. */
  readonly name: string;
  /** As its command line names it; several are separated by blanks. Credentials of a URL are left out. */
  readonly package: string;
}

/** The events about packages. */
export interface PackageEvents {
  /** npm is run for a package that is not there: the starts that need it wait. */
  'package:resolving': PackageEvent;
  /**
   * npm has found the program that the next starts run. `version`: of its package; `previousVersion`: that of the starts until now,
   * undefined for the first. `duration`: how long npm took, in ms.
   */
  'package:resolved': PackageEvent & {
    readonly version: string;
    readonly previousVersion: string | undefined;
    readonly duration: number;
  };
  /** npm could not look for a newer version: the one of now stays in use. It is tried again after 10 minutes. */
  'package:check-failed': PackageEvent & { readonly version: string; readonly message: string };
  /** A server is started as its command is written, by npx, although `resolvePackages` is set. */
  'package:fallback': { readonly name: string; readonly reason: FallbackReason; readonly message: string };
}
