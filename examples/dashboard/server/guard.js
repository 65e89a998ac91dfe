import { createHash, timingSafeEqual } from 'node:crypto';

const SHORTEST_TOKEN = 32;

/** Names of this machine that lead to a server on the loopback interface. */
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];

/** What browsers say of a request that our own page, or the person at the browser, has made. */
const OWN_SITES = ['same-origin', 'none'];

/**
 * Decides which requests get an answer. The token is the first part of the path: `/<token>/events`. So a browser sends it to
 * this server only (a cookie would go to every port of this machine), and a page of another origin cannot know it.
 */
export class Guard {
  #token;
  #hosts;
  #origins;

  /**
   * @param token at least 32 characters of a-z, A-Z, 0-9, - and _
   * @param port on which the server listens
   * @param allowedHosts further values of the header `Host`, as behind a proxy: `pool.example.com`
   */
  constructor({ token, port, allowedHosts }) {
    if (!/^[\w-]+$/.test(token) || token.length < SHORTEST_TOKEN)
      throw new Error(`the token must have at least ${SHORTEST_TOKEN} characters of a-z, A-Z, 0-9, - and _`);
    this.#token = digest(token);
    const own = LOOPBACK.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`]));
    const allowed = allowedHosts.map((host) => host.toLowerCase());
    this.#hosts = new Set([...own, ...allowed]);
    // Only a proxy can add TLS.
    this.#origins = new Set([
      ...[...this.#hosts].map((host) => `http://${host}`),
      ...allowed.map((host) => `https://${host}`),
    ]);
  }

  /**
   * The path after the token, with its query; undefined for a request that must get nothing.
   */
  admit({ url, headers, rawHeaders }) {
    const [, token = '', path] = /^\/([^/?]*)\/(.*)$/s.exec(url) ?? [];
    // All are looked at in each case: the time of the answer says nothing about which of them was wrong.
    const checks = [
      path !== undefined && timingSafeEqual(digest(token), this.#token),
      this.#isOwnHost(headers, rawHeaders),
      this.#isOwnOrigin(headers),
    ];
    return checks.every(Boolean) ? path : undefined;
  }

  /** A name that an attacker has made lead to 127.0.0.1 ("DNS rebinding") is in this header, and is refused. */
  #isOwnHost({ host }, rawHeaders) {
    const given = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host');
    return given.length === 1 && this.#hosts.has(host.toLowerCase());
  }

  /** Programs other than browsers send neither header. */
  #isOwnOrigin({ origin, 'sec-fetch-site': site }) {
    return (origin === undefined || this.#origins.has(origin)) && (site === undefined || OWN_SITES.includes(site));
  }
}

/** Of equal length for every token, as `timingSafeEqual` needs it. */
function digest(text) {
  return createHash('sha256').update(text).digest();
}
