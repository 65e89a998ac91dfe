import { Refusal } from './refusal.js';

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/**
 * A page in a browser of this machine can send requests to the gateway, and by DNS rebinding also read the answers. Its requests
 * show where they come from: `Host` is the name that was looked up, `Origin` the page.
 */
export function loopbackOnly(request, _response, next) {
  const { host = '', origin } = request.headers;
  const name = host.replace(/:\d+$/, '').toLowerCase();
  if (!LOOPBACK.has(name)) throw new Refusal(403, 'this host is not allowed');
  if (origin !== undefined && origin !== `http://${host}`) throw new Refusal(403, 'this origin is not allowed');
  next();
}

/** Lets requests of known users pass; `response.locals.user` is who sends it. */
export function knownUser(users) {
  return (request, response, next) => {
    const user = users.find(request.headers.authorization);
    if (!user) throw new Refusal(401, 'a bearer token of a user is needed');
    response.locals.user = user;
    next();
  };
}
