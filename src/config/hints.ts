import { alertFields } from './alert-options.js';
import { auditFields } from './audit-options.js';
import { cleanupFields } from './call-options.js';
import { cgroupLimitFields, markerFields, rlimitFields } from './containment-options.js';
import type { Fields } from './fields.js';
import { guardianFields } from './guardian-options.js';
import { healthFields } from './health-options.js';
import { limitFields } from './limit-options.js';
import { monitoringFields } from './monitoring-options.js';
import { definitionFields, poolFields } from './options.js';
import { policyFields, restartFields } from './policy-fields.js';
import { serviceLevelFields } from './service-level-options.js';
import { similarName, synonymsOf } from './similar-names.js';

const REMOTE =
  'a remote server cannot be pooled, only one that is started by a command: leave this server out, or start a bridge (mcp-remote) as its command';
const OF_A_CLIENT = 'it is a setting of another host, without a meaning here; leave it out';

/** Keys of the configuration files of other hosts, and of the options of other libraries: what to do instead. */
const FOREIGN: Readonly<Record<string, string>> = {
  url: REMOTE,
  serverUrl: REMOTE,
  httpUrl: REMOTE,
  headers: REMOTE,
  oauth: REMOTE,
  transport: `there is only stdio; leave it out. Else ${REMOTE}`,
  transportType: `there is only stdio; leave it out. Else ${REMOTE}`,
  alwaysAllow: OF_A_CLIENT,
  autoApprove: OF_A_CLIENT,
  trust: OF_A_CLIENT,
  description: OF_A_CLIENT,
  icon: OF_A_CLIENT,
  name: 'the name of a server is its key in servers, or the first argument of the call',
  timeout: 'set acquireTimeout or startTimeout; the timeout of a request is that of its client',
  envFile: 'read the file in the host, and pass its values as env',
  shell: 'commands are started without a shell; for one use command: "sh" and args: ["-c", "…"]',
  cmd: "did you mean 'command'?",
  executable: "did you mean 'command'?",
  shared: "did you mean sharing: 'shared'?",
  dedicated: "did you mean sharing: 'dedicated'?",
  exclusive: "did you mean sharing: 'exclusive'?",
  arguments: "did you mean 'args'?",
  environment: "did you mean 'env'?",
  workingDirectory: "did you mean 'cwd'?",
  mcpServers: "did you mean 'servers'?",
};

/** Keys that switch a server on or off, with the value that switches it off. */
const SWITCHES: Readonly<Record<string, boolean>> = { disabled: true, enabled: false, isActive: false };

/** The objects of options that have fields of their own, by their place in the options of a pool or of a definition. */
const OF_POOL: readonly (readonly [string, Fields])[] = [
  ['limits', limitFields],
  ['cleanup', cleanupFields],
  ['guardian', guardianFields],
  ['monitoring', monitoringFields],
  ['audit', auditFields],
  ['serviceLevels', serviceLevelFields],
  ['alerts', alertFields],
];
const OF_POLICY: readonly (readonly [string, Fields])[] = [
  ['restart', restartFields],
  ['health', healthFields],
  ['markers', markerFields],
  ['rlimits', rlimitFields],
  ['cgroupLimits', cgroupLimitFields],
];

/** Where unknown keys are found. */
export type Place = 'pool' | 'shorthand' | 'definition' | 'defaults' | 'limits';

/** What to write instead of a key that is not known at a place; empty when nothing is near. */
export function hintFor(key: string, place: Place, known: readonly string[], value: unknown): string {
  const hint = foreign(key, place, value) ?? elsewhere(key, place);
  if (hint !== undefined) return `; ${hint}`;
  const near = similarName(key, known);
  if (near !== undefined) return `; did you mean '${near}'?`;
  const [other] = synonymsOf(key).flatMap((name) => elsewhere(name, place) ?? []);
  return other === undefined ? '' : `; ${other}`;
}

function foreign(key: string, place: Place, value: unknown): string | undefined {
  if (place === 'limits') return undefined;
  if (Object.hasOwn(SWITCHES, key)) return switchHint(value === SWITCHES[key], typeof value === 'boolean');
  return Object.hasOwn(FOREIGN, key) ? FOREIGN[key] : undefined;
}

/** A server that is wanted must not be left out. */
function switchHint(isOff: boolean, isKnown: boolean): string {
  if (isOff) return 'leave the server out of servers instead';
  const on = 'each server in servers can be used: leave this key out';
  return isKnown ? on : `${on}; to switch the server off, leave it out of servers`;
}

/** The place at which an option of this name is known. */
function elsewhere(key: string, place: Place): string | undefined {
  const section = (sections: typeof OF_POOL) => sections.find(([, fields]) => Object.hasOwn(fields, key))?.[0];
  const ofPool = section(OF_POOL);
  const ofPolicy = section(OF_POLICY);
  switch (place) {
    case 'pool':
      if (ofPool) return `did you mean '${ofPool}.${key}'?`;
      if (Object.hasOwn(policyFields, key))
        return `set it as defaults.${key} for all servers, or in the definition of one`;
      if (Object.hasOwn(definitionFields, key)) return 'it belongs to the definition of a server, in servers';
      return ofPolicy && `did you mean 'defaults.${ofPolicy}.${key}'?`;
    case 'shorthand':
      return (ofPool ?? ofPolicy) && `did you mean '${ofPool ?? ofPolicy}.${key}'?`;
    case 'definition':
    case 'defaults':
      if (key === 'maxProcesses' || key === 'maxProcessesPerServer')
        return `did you mean 'maxInstances'? limits.${key} is an option of the pool`;
      if (ofPolicy) return `did you mean '${ofPolicy}.${key}'?`;
      if (place === 'defaults' && Object.hasOwn(definitionFields, key)) return 'it is set for each server, in servers';
      if (Object.hasOwn(poolFields, key)) return 'it is an option of the pool, not of a server';
      return ofPool && key !== 'timeout' ? `it is an option of the pool: ${ofPool}.${key}` : undefined;
    case 'limits':
      if (Object.hasOwn(policyFields, key)) return 'it is set for one server in its definition, or for all in defaults';
      if (Object.hasOwn(poolFields, key)) return `it is an option of the pool itself: ${key}`;
      return ofPool && `did you mean '${ofPool}.${key}'? it is an option of the pool`;
  }
}
