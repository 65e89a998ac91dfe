import type { Fields, JsonSchema } from '../../src/config/fields.js';
import { definitionFields, poolFields } from '../../src/config/options.js';
import { policyFields } from '../../src/config/policy-fields.js';
import type { AnyField } from './catalog.js';

/** What a file of JSON can hold of the fields. Where a part can hold nothing of it, it is left out. */
function propertiesOf(fields: Fields): Record<string, JsonSchema> {
  const entries = Object.entries(fields).flatMap(([name, field]) => {
    const schema = schemaOf(field);
    return schema === undefined || field.inFile === false ? [] : [[name, schema] as const];
  });
  return Object.fromEntries(entries);
}

/** The JSON Schema of one option; undefined where only code can give it. */
export function schemaOf(field: AnyField): JsonSchema | undefined {
  const values = valuesOf(field);
  if (values === undefined) return undefined;
  return { description: describedFor(field), ...values, ...defaultOf(field) };
}

function valuesOf({ schema, fields, fieldsOf }: AnyField): JsonSchema | undefined {
  if (fields === undefined) return schema;
  const one = objectOf(fields);
  switch (fieldsOf) {
    case 'items':
      return { type: 'array', items: one };
    case 'values':
      return { anyOf: [schema ?? {}, { type: 'object', additionalProperties: one }] };
    default:
      return one;
  }
}

function objectOf(fields: Fields): JsonSchema {
  const properties = propertiesOf(fields);
  const required = Object.keys(properties).filter((name) => fields[name]?.required);
  return {
    type: 'object',
    properties,
    ...(required.length > 0 ? { required } : {}),
    additionalProperties: false,
  };
}

function defaultOf({ default: value, required, shownDefault }: AnyField): JsonSchema {
  const isShown = typeof value === 'boolean' || typeof value === 'string' || Number.isFinite(value);
  return isShown && !required && shownDefault === undefined ? { default: value } : {};
}

/** The description of an option as it stands in an editor: a sentence, with its unit, without links and what only code can give. */
export function describedFor(field: AnyField): string {
  const { about = '' } = field;
  const text = about
    .replaceAll(/ \(\[[^\]]*\]\([^)]*\)\)/g, '')
    .replaceAll(/; \[[^\]]*\]\([^)]*\)/g, '')
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/; `Infinity`: [^;]*/g, '')
    .replaceAll(', or `Infinity`', '')
    .replaceAll(', or a function', '')
    .replaceAll(/'([\w-]+)'/g, '"$1"');
  const unit = ['milliseconds', 'megabytes', 'percent'].find((name) => field.check('')?.includes(name));
  const named = unit === undefined || text.includes(unit) ? text : `${text} (${unit})`;
  return `${named.charAt(0).toUpperCase()}${named.slice(1)}.`;
}

const reference = (name: string, of: string): JsonSchema => ({ $ref: `#/definitions/${of}/properties/${name}` });
const references = (names: readonly string[], of: string) =>
  Object.fromEntries(names.map((name) => [name, reference(name, of)]));

/** The schema of a configuration file: the servers of any host, with the policy of this package, and the key `pool`. */
export function fileSchema(): JsonSchema {
  const policy = propertiesOf(policyFields);
  const { type: _type, ...own } = Object.fromEntries(
    Object.entries(propertiesOf(definitionFields)).filter(([name]) => !Object.hasOwn(policyFields, name)),
  );
  const { servers: _servers, defaults, ...pool } = propertiesOf(poolFields);
  const server = {
    ...own,
    type: { description: 'How the server is reached. Only "stdio" (default) is started by the pool.', type: 'string' },
    url: { description: 'Address of a remote server, which no pool starts.', type: 'string' },
    headers: { description: 'Headers for a remote server.', type: 'object', additionalProperties: { type: 'string' } },
    disabled: { description: 'Whether the entry is left out.', type: 'boolean', default: false },
    ...references(Object.keys(policy), 'policy'),
  };
  const addresses = ['command', 'url', 'serverUrl', 'httpUrl'].map((name) => ({ required: [name] }));
  const servers = (title: string, of: string): JsonSchema => ({
    description: title,
    type: 'object',
    additionalProperties: { $ref: `#/definitions/${of}` },
  });
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Configuration of MCP servers with mcp-server-pool',
    description:
      'Servers as hosts have them, with policy for each, and the policy of the pool. Generated: npm run generate.',
    type: 'object',
    properties: {
      mcpServers: servers('The servers by name, as most hosts have them.', 'server'),
      servers: servers('The servers by name, as VS Code has them.', 'serverOfVsCode'),
      mcp_servers: servers('The servers by name, as Codex has them (TOML).', 'server'),
      pool: { $ref: '#/definitions/pool' },
    },
    definitions: {
      // Keys of hosts (autoApprove, trust, timeout, …) are no mistake: the loader keeps them aside.
      server: { type: 'object', properties: server, anyOf: addresses },
      serverOfVsCode: {
        type: 'object',
        properties: {
          ...references(
            Object.keys(server).filter((name) => name !== 'env'),
            'server',
          ),
          env: { ...own.env, additionalProperties: { type: ['string', 'number', 'null'] } },
        },
        anyOf: addresses,
      },
      policy: { type: 'object', properties: policy },
      pool: {
        description: 'Limits and policy of the pool.',
        type: 'object',
        properties: {
          ...pool,
          // Those of a pool that are also policy.
          ...references(
            Object.keys(pool).filter((name) => Object.hasOwn(policy, name)),
            'policy',
          ),
          defaults: { ...defaults, properties: references(Object.keys(policy), 'policy') },
        },
        additionalProperties: false,
      },
    },
  };
}
