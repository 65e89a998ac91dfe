import { about, absolutePath, flag } from './fields.js';

/** The guardian: a small process that ends the servers when the host is killed. One serves all pools of a host. */
export const guardianFields = {
  /** Whether there is a guardian. Without it, servers of a killed host live on until the next host starts. Default: true. */
  enabled: about(
    'whether there is a guardian; without it, servers of a killed host live on until the next host starts',
    flag(true),
  ),
  /** Absolute path of `dist/reaper.js` of this package. Only a bundled host must set it. Default: beside this module. */
  reaper: about('absolute path of `dist/reaper.js`; only a bundled host must set it', absolutePath(), {
    inFile: false,
  }),
  /**
   * Absolute path of a Node that runs the reaper. A host that is a single executable file must set it. Default: the
   * executable of the host.
   */
  executable: about(
    'absolute path of a Node that runs the reaper; only a host that is a single executable must set it',
    absolutePath(),
    { inFile: false },
  ),
  /**
   * Absolute path of the folder for the ledger: a note that a host is running, by which the next host ends what it has left.
   * The ledger is in a private folder `mcp-server-pool` inside; the folders above must be sticky, or writable by neither others
   * nor a shared group. Default: `$XDG_RUNTIME_DIR`, else `/run/user/UID`, else the folder for temporary files.
   */
  runtimeDirectory: about(
    'absolute path of the folder for ledgers; none: `$XDG_RUNTIME_DIR`, `/run/user/UID` or `/tmp`',
    absolutePath(),
  ),
};
