import { debuglog } from 'node:util';

/** Writes lines to stderr when the host was started with `NODE_DEBUG=mcp-server-pool`. */
export const debug = debuglog('mcp-server-pool');
