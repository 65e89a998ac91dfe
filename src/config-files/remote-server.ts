/** A server that is reached at an address. A pool cannot hold it; a host connects to it by itself. */
export interface RemoteServer {
  readonly type: 'http' | 'sse' | 'ws';
  /** It may hold a secret. */
  readonly url: string;
  /** Their values may be secret. */
  readonly headers: Readonly<Record<string, string>>;
}
