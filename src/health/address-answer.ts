import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

/**
 * What an address answers to a GET request, in words; rejects when that is no success. Not by `fetch()`, whose sockets keep the host
 * alive.
 */
export function addressAnswer(url: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const get = url.startsWith('https:') ? getHttps : getHttp;
    const request = get(url, { signal, agent: false }, (response) => {
      const { statusCode = 0 } = response;
      response.destroy();
      const how = `its address answered with status ${statusCode}`;
      if (statusCode >= 200 && statusCode < 400) resolve(how);
      else reject(new Error(how));
    });
    request.once('socket', (socket) => socket.unref());
    request.once('error', reject);
  });
}
