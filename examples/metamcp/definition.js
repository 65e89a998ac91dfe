// @ts-check

/**
 * A row of MetaMCP's table of servers, as its `getMcpServers()` returns it.
 * @typedef {object} ServerParameters
 * @property {string} uuid
 * @property {string} name
 * @property {'STDIO' | 'SSE' | 'STREAMABLE_HTTP'} [type] Default: STDIO
 * @property {string | null} [command]
 * @property {string[] | null} [args]
 * @property {Record<string, string> | null} [env]
 * @property {string | null} [url]
 * @property {Record<string, string> | null} [headers]
 * @property {{ access_token: string } | null} [oauth_tokens]
 * @property {string | null} [bearerToken]
 */

/** What MetaMCP's pool does, in options of this one. Its `minIdle` is set by the pool. */
const POLICY = /** @type {const} */ ({
  // A process serves one session, and ends with it.
  sharing: 'exclusive',
  reuse: 'never',
  // MetaMCP has no cap for one server. The default is 3: the fourth session would wait.
  maxInstances: Infinity,
  // The first start of an npm package downloads it, which may take minutes.
  startTimeout: 180_000,
  // What servers have seen of MetaMCP so far.
  clientInfo: { name: 'metamcp-client', version: '2.0.0' },
  protocolVersion: '2025-06-18',
  // A `${NAME}` that was not replaced goes to the server as it is. The default is to refuse it.
  placeholders: 'literal',
});

/** What every server inherits anyway, with the value of its start. */
const INHERITED = ['HOME', 'LOGNAME', 'PATH', 'SHELL', 'TERM', 'USER'];

/** Certificates and proxies: MetaMCP passes them on, the SDK and this package only when they are named. */
const NETWORK = [
  ...['NODE_EXTRA_CA_CERTS', 'NODE_TLS_REJECT_UNAUTHORIZED', 'SSL_CERT_FILE', 'CERT_FILE', 'REQUESTS_CA_BUNDLE'],
  ...['REQUESTS_CERT_FILE', 'CURL_CA_BUNDLE', 'PIP_CERT', 'UV_CERT'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'],
];

/** @param {ServerParameters} params */
export function isStdio({ type }) {
  return type === undefined || type === 'STDIO';
}

/**
 * The definition of a server. Throws nothing: the pool refuses what is wrong, such as an empty command.
 * @param {ServerParameters} params
 */
export function definitionOf({ name, command, args, env }) {
  return {
    ...POLICY,
    // Errors and logs say the name, not the uuid. A label has 1 to 100 characters, without control characters.
    ...(name === '' ? {} : { label: name.replace(/\p{Cc}/gu, ' ').slice(0, 100) }),
    command: command ?? '',
    args: args ?? [],
    env: ownVariables(env ?? {}),
    inheritEnv: NETWORK,
  };
}

/**
 * The variables that are of this server alone, with `${NAME}` as a whole value replaced. MetaMCP's `env` also has those of the
 * host; the pool would take their values for secrets, and hide every `/home/me` in an error.
 * @param {Record<string, string>} env
 */
function ownVariables(env) {
  const inherited = new Set([...INHERITED, ...NETWORK]);
  const own = Object.entries(env).filter(([name, value]) => !(inherited.has(name) && process.env[name] === value));
  return Object.fromEntries(own.map(([name, value]) => [name, resolved(value)]));
}

/** @param {string} value */
function resolved(value) {
  const [, name] = /^\$\{(.+)\}$/s.exec(value) ?? [];
  // An empty variable counts as none, as in MetaMCP.
  return (name !== undefined && process.env[name]) || value;
}
