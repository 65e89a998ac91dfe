/**
 * Variables by which programs reach a network: through which proxy, and with which certificates. In lower case, too. Servers do not
 * inherit them, and one that downloads something first (npx, uvx) waits for a network that it cannot reach, often without a word.
 */
const OF_NETWORK = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NODE_EXTRA_CA_CERTS', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];

/**
 * The names of those that the host has and a server did not get.
 * @param given the environment of the server
 */
export function networkVariablesKept(
  given: Readonly<Record<string, string>>,
  host: NodeJS.ProcessEnv = process.env,
): string[] {
  const got = new Set(Object.keys(given).map((name) => name.toUpperCase()));
  return OF_NETWORK.flatMap((name) => {
    const written = [name, name.toLowerCase()].find((spelling) => (host[spelling] ?? '') !== '');
    return written === undefined || got.has(name) ? [] : [written];
  });
}
