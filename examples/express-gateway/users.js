import { createHash } from 'node:crypto';

/** Finds who sends a request, by its token. Keeps hashes only: what is read from memory opens no door. */
export class Users {
  #byHash = new Map();

  /** `user` is `{ name, tenant }`, or whatever the gateway wants to know. */
  add(token, user) {
    this.#byHash.set(hashOf(token), user);
  }

  /** The user of a header `Authorization: Bearer TOKEN`; undefined when there is none. */
  find(authorization) {
    const token = /^Bearer ([\x21-\x7e]{1,512})$/i.exec(authorization ?? '')?.[1];
    return token === undefined ? undefined : this.#byHash.get(hashOf(token));
  }
}

/** A lookup by the hash takes the same time for every wrong token. */
function hashOf(token) {
  return createHash('sha256').update(token).digest('hex');
}
