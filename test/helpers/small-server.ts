import type { ServerDefinition } from '../../src/index.js';
import { MARKER } from './processes.js';

/**
 * A server in two milliseconds, of a shell: it answers each request with an empty result, and reads its environment for what else it
 * does. `FAILS`: it exits at once. `DEAF`: it ignores SIGTERM and the end of its input.
 */
const SCRIPT = `
[ -z "$FAILS" ] || exit 3
[ -z "$DEAF" ] || trap '' TERM
while read -r line; do
  case $line in *'"id":'*) ;; *) continue ;; esac
  rest=\${line#*'"id":'}
  id=\${rest%%[,\\}]*}
  printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"small","version":"1"}}}\n' "$id"
done
while [ -n "$DEAF" ]; do sleep 1; done`;

export function smallServer(options: Partial<ServerDefinition> = {}): ServerDefinition {
  return { command: 'sh', args: ['-c', SCRIPT], inheritEnv: [MARKER], health: { check: false }, ...options };
}
