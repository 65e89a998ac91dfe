/** Options of `StdioClientTransport.close()`. */
export interface StdioCloseOptions {
  /**
   * `false`: the promise resolves at once, open requests are answered with an error, and the server is ended in the
   * background. `onclose` is called when it is dead, unless the transport was started again before: its handlers belong to
   * the new process then. Default: true.
   */
  readonly wait?: boolean | undefined;
}

/** Whether `close()` waits. Options that cannot be read are none: it never rejects. */
export function waits(options: StdioCloseOptions | undefined): boolean {
  try {
    return options?.wait !== false;
  } catch {
    return true;
  }
}
