import { setTimeout } from 'node:timers/promises';
import { Refused } from './actions.js';

/** Longest body of a request, bytes. */
const MOST_BODY = 4_096;
/** An action that takes longer is answered with 202, and its result is told to all pages, ms. */
const PATIENCE = 1_000;
const JSON_TYPE = 'application/json';

/** Answers requests that the guard has admitted. */
export class Routes {
  #feed;
  #files;

  constructor({ feed, files }) {
    this.#feed = feed;
    this.#files = files;
  }

  /** @param path after the token, with its query */
  async handle(path, request, response) {
    const [route, query = ''] = path.split('?', 2);
    try {
      if (request.method === 'POST' && route.startsWith('actions/'))
        await this.#act(route.slice('actions/'.length), request, response);
      else if (request.method !== 'GET') throw new Refused(405, 'only GET, and POST of an action');
      else this.#get(route, new URLSearchParams(query), request, response);
    } catch (error) {
      if (error instanceof Refused) answer(response, error.status, { error: error.message });
      // An error of the pool says what to do about it.
      else answer(response, 400, { error: error.message });
    }
  }

  #get(route, query, request, response) {
    const file = this.#files.get(route);
    if (file) response.writeHead(200, { 'content-type': file.type }).end(file.content);
    else if (route === 'events') this.#join(request.headers['last-event-id'] ?? query.get('after'), response);
    else if (route === 'history') this.#history(query, response);
    else throw new Refused(404, 'there is no such page');
  }

  #join(given, response) {
    if (!this.#feed.viewers.hasRoom) throw new Refused(503, 'too many pages are open');
    const after = Number(given);
    this.#feed.join(response, Number.isSafeInteger(after) && after > 0 ? after : 0);
  }

  #history(query, response) {
    const history = this.#feed.history.of(query.get('server') ?? undefined);
    if (history === undefined) throw new Refused(404, 'no server has this name');
    answer(response, 200, history);
  }

  async #act(action, request, response) {
    // A page of another origin cannot send this type without asking first, and is not answered.
    if (request.headers['content-type'] !== JSON_TYPE) throw new Refused(415, `the body must be ${JSON_TYPE}`);
    const given = await readBody(request);
    const running = this.#feed.actions.run(action, given);
    const stop = new AbortController();
    const late = setTimeout(PATIENCE, 'late', { signal: stop.signal, ref: false });
    late.catch(() => {});
    try {
      const result = await Promise.race([running, late]);
      if (result !== 'late') return answer(response, 200, result);
      this.#tellLater(running);
      answer(response, 202, { message: 'it is under way; the result is told here' });
    } finally {
      stop.abort();
      if (action !== 'plan') this.#feed.refresh();
    }
  }

  #tellLater(running) {
    running.then(
      ({ message }) => this.#feed.notice(message, true),
      (error) => this.#feed.notice(error.message, false),
    );
  }
}

async function readBody(request) {
  let body = '';
  request.setEncoding('utf8');
  for await (const part of request) {
    body += part;
    if (body.length > MOST_BODY) throw new Refused(413, 'the body is too long');
  }
  try {
    const given = JSON.parse(body);
    if (typeof given === 'object' && given !== null) return given;
  } catch {
    // Refused below.
  }
  throw new Refused(400, 'the body must be a JSON object');
}

function answer(response, status, data) {
  response.writeHead(status, { 'content-type': `${JSON_TYPE}; charset=utf-8` }).end(JSON.stringify(data));
}
